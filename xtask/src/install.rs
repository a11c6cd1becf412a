//! Gets what is missing: npm packages, the wasm32 target, Debian packages. Each step says what it does before it does
//! it, and does nothing when there is nothing to do.

use anyhow::{Context, Result, bail};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::manifest::Manifest;
use crate::process::{self, call};

const WASM_TARGET: &str = "wasm32-unknown-unknown";
/// A copy of the lock file that the packages in `node_modules` were installed from.
const INSTALLED_LOCK: &str = "node_modules/.installed-package-lock.json";

/// Fails with advice when Node.js is missing or older than the manifest's floor.
pub fn node(manifest: &Manifest) -> Result<()> {
    let floor = manifest.node_floor()?;
    let advice = format!(
        "Node.js {floor} or newer is needed, with npm, on the PATH. Get it from https://nodejs.org or with a version \
         manager (`fnm install 22`, `nvm install 22`)."
    );
    let Ok(version) = call("node", ["--version"]).stdout() else {
        bail!("Node.js was not found. {advice}");
    };
    let version = version.trim().trim_start_matches('v').to_owned();
    if parse_version(&version) < parse_version(floor) {
        bail!("Node.js {version} is too old. {advice}");
    }
    Ok(())
}

/// Installs the development packages when `node_modules` does not match package-lock.json.
pub fn npm_packages() -> Result<()> {
    let wanted = std::fs::read("package-lock.json").context("cannot read package-lock.json")?;
    if std::fs::read(INSTALLED_LOCK).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    println!("Installing the development packages of package.json into node_modules/.");
    npm(["ci", "--no-audit", "--no-fund"]).run()?;
    std::fs::write(INSTALLED_LOCK, wanted).context("cannot write into node_modules")
}

/// A call of npm, which is a script on Windows.
pub fn npm<const N: usize>(arguments: [&str; N]) -> process::Call {
    call(if cfg!(windows) { "npm.cmd" } else { "npm" }, arguments)
}

/// Adds the wasm32 target to the pinned toolchain when it is missing.
pub fn wasm_target() -> Result<()> {
    let folder = call("rustc", ["--print", "target-libdir", "--target", WASM_TARGET]).stdout()?;
    if Path::new(folder.trim()).is_dir() {
        return Ok(());
    }
    if process::find("rustup").is_none() {
        bail!(
            "this Rust toolchain has no standard library for {WASM_TARGET}. Install Rust with https://rustup.rs, or \
             that target with the package manager Rust came from."
        );
    }
    println!("Adding the {WASM_TARGET} target to the Rust toolchain.");
    call("rustup", ["target", "add", WASM_TARGET]).run()
}

/// Fails when another Rust than the pinned one would build the module: its bytes and size would differ.
pub fn check_toolchain(manifest: &Manifest) -> Result<()> {
    let pinned = manifest.tool("rust")?;
    let version = call("rustc", ["--version"]).stdout()?;
    if version.split_whitespace().nth(1) == Some(pinned) {
        return Ok(());
    }
    bail!(
        "Rust {pinned} is needed, but `rustc --version` says: {}\nWith rustup, rust-toolchain.toml selects it by \
         itself unless RUSTUP_TOOLCHAIN or a `rustup override` is set.",
        version.trim()
    )
}

/// Adds rustfmt and clippy to the pinned toolchain when they are missing.
pub fn rust_components() -> Result<()> {
    let missing = |command: &str| process::cargo([command, "--version"]).stdout().is_err();
    if !missing("fmt") && !missing("clippy") {
        return Ok(());
    }
    if process::find("rustup").is_none() {
        bail!("rustfmt and clippy are needed. Install Rust with https://rustup.rs, or add both components.");
    }
    println!("Adding rustfmt and clippy to the Rust toolchain.");
    call("rustup", ["component", "add", "rustfmt", "clippy"]).run()
}

/// Whether Debian packages can be installed: apt-get is there and this process is root.
pub fn can_use_apt() -> bool {
    process::find("apt-get").is_some() && call("id", ["-u"]).stdout().is_ok_and(|user| user.trim() == "0")
}

/// Installs Debian packages. The package lists are refreshed once per run.
pub fn apt(packages: &[&str]) -> Result<()> {
    static REFRESHED: AtomicBool = AtomicBool::new(false);
    println!("Installing Debian packages: {}.", packages.join(" "));
    let apt_get = |arguments: &[&str]| {
        call("apt-get", ["-qq", "-o", "Dpkg::Use-Pty=0"].iter().chain(arguments))
            .env("DEBIAN_FRONTEND", "noninteractive")
            .run()
    };
    if !REFRESHED.swap(true, Ordering::Relaxed) {
        apt_get(&["update"])?;
    }
    apt_get(&[&["install", "-y", "--no-install-recommends"], packages].concat())
}

/// `20.19.1` as numbers, missing parts as 0.
fn parse_version(text: &str) -> [u32; 3] {
    let mut version = [0; 3];
    for (number, part) in version.iter_mut().zip(text.split('.')) {
        *number = part.parse().unwrap_or(0);
    }
    version
}

#[cfg(test)]
mod tests {
    use super::parse_version;

    #[test]
    fn versions_compare_by_number_not_by_text() {
        assert!(parse_version("20.9.0") < parse_version("20.19"));
        assert!(parse_version("20.19.0") >= parse_version("20.19"));
        assert!(parse_version("9.0.0") < parse_version("20.19"));
    }
}
