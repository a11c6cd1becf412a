//! The build: cargo -> wasm-bindgen -> glue -> minifier and wasm-opt -> package -> sizes.

use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;
use wasmparser::{Validator, WasmFeatures};

use crate::manifest::{Manifest, Module};
use crate::process::{self, call};
use crate::{glue, install, size, symbols, workspace};

const CRATE: &str = "epitome";
/// The published package, hand-written but for its `wasm` folder.
const PACKAGE: &str = "pkg";
const WASM_FOLDER: &str = "wasm";
/// Files of the repository's root that belong into the package too.
const SHARED_FILES: [&str; 3] = ["README.md", "LICENSE-MIT", "LICENSE-APACHE"];
/// What the runtime floors of the manifest can load: WebAssembly 2.0. Binaryen can write newer encodings.
const NEWEST_FEATURES: WasmFeatures = WasmFeatures::WASM2;
/// How many of the largest symbols a release build lists.
const LISTED_SYMBOLS: usize = 20;

#[derive(Debug, Default)]
pub struct Options {
    /// Without optimisation, for quick turns. Sizes are not checked.
    pub dev: bool,
    /// Features on top of each module's own.
    pub features: Vec<String>,
    /// Where to put a copy of the package with its own module, instead of `pkg`.
    pub out: Option<PathBuf>,
}

/// Builds every module of the manifest and reports its size. Returns whether the size budgets are kept.
pub fn build(manifest: &Manifest, options: &Options) -> Result<bool> {
    install::node(manifest)?;
    install::npm_packages()?;
    install::wasm_target()?;
    install::check_toolchain(manifest)?;
    let package = match &options.out {
        Some(out) => {
            copy_package(out)?;
            out.clone()
        }
        None => PathBuf::from(PACKAGE),
    };
    let target = workspace::target()?;
    let stage = target.join("xtask").join(format!("stage-{}", std::process::id()));
    let published = options.out.is_none() && options.features.is_empty() && !options.dev;
    let mut within_budget = true;
    for module in &manifest.modules {
        fs::create_dir_all(&stage)?;
        let built = build_module(manifest, module, options, &target, &stage)
            .and_then(|built| move_files(&stage.join("out"), &package.join(WASM_FOLDER)).map(|()| built));
        fs::remove_dir_all(&stage)?;
        let built = built?;
        if options.dev {
            continue;
        }
        symbols::print_largest(&module.name, &built, LISTED_SYMBOLS)?;
        within_budget &= size::report(manifest, module, &package, published)?;
    }
    // That they exist is checked where the package is packed, not on every build.
    for file in SHARED_FILES.into_iter().filter(|file| Path::new(file).is_file()) {
        fs::copy(file, package.join(file)).with_context(|| format!("cannot copy {file} into the package"))?;
    }
    println!("\nBuilt {}", package.join(WASM_FOLDER).display());
    if !within_budget {
        eprintln!("error: a size budget of wasm-pack.toml is exceeded (see the table)");
    }
    Ok(within_budget)
}

/// Whether the modules in `package` (`pkg`, or a copy of it) are newer than everything the package is made from.
pub fn is_fresh(manifest: &Manifest, package: &Path) -> bool {
    let folder = package.join(WASM_FOLDER);
    let outputs = manifest.modules.iter().flat_map(|module| {
        [folder.join(format!("{}.js", module.name)), folder.join(format!("{}_bg.wasm", module.name))]
    });
    let Some(oldest_output) = outputs.map(|file| modified(&file)).min().flatten() else {
        return false;
    };
    let mut sources: Vec<PathBuf> =
        ["src", "Cargo.toml", "Cargo.lock", "wasm-pack.toml", "xtask/src", "xtask/minify.mjs"]
            .map(PathBuf::from)
            .into();
    if package != Path::new(PACKAGE) {
        let Ok(originals) = fs::read_dir(PACKAGE) else { return false };
        sources.extend(originals.flatten().filter(|entry| entry.file_name() != WASM_FOLDER).map(|entry| entry.path()));
    }
    sources.iter().all(|source| newest(source).is_some_and(|time| time < oldest_output))
}

/// Leaves `<name>.js`, `<name>_bg.wasm` (and snippets, if the crate has any) in `stage/out`. Returns the module with
/// its symbol names.
fn build_module(
    manifest: &Manifest,
    module: &Module,
    options: &Options,
    target: &Path,
    stage: &Path,
) -> Result<Vec<u8>> {
    println!("\nModule `{}`", module.name);
    let compiled = compile(module, options, target)?;
    let out = stage.join("out");
    bind(&compiled, module, options, &out)?;

    let glue_file = out.join(format!("{}.js", module.name));
    let glue_text = fs::read_to_string(&glue_file)?;
    let glue_text = glue::finish(&glue_text, &module.name)
        .with_context(|| format!("the glue of `{}` is not what this build knows how to finish", module.name))?;
    fs::write(&glue_file, glue_text)?;

    let wasm_file = out.join(format!("{}_bg.wasm", module.name));
    minify(manifest, &glue_file)?;
    if options.dev {
        return Ok(fs::read(&wasm_file)?);
    }
    let named = stage.join("named.wasm");
    optimise(manifest, &wasm_file, &named)?;
    let shipped = fs::read(&wasm_file)?;
    if symbols::has_names(&shipped)? {
        bail!("{} still carries symbol names", wasm_file.display());
    }
    reject_local_paths(&shipped)?;
    Validator::new_with_features(NEWEST_FEATURES)
        .validate_all(&shipped)
        .with_context(|| format!("{} would not load in the oldest supported runtimes", wasm_file.display()))?;
    Ok(fs::read(&named)?)
}

/// Runs cargo; returns the path of the compiled module.
fn compile(module: &Module, options: &Options, target: &Path) -> Result<PathBuf> {
    let features = module.features.iter().chain(&options.features).map(String::as_str).collect::<Vec<_>>().join(",");
    let mut arguments: Vec<OsString> =
        ["build", "--locked", "--package", CRATE, "--lib", "--target", "wasm32-unknown-unknown"].map(Into::into).into();
    if !options.dev {
        arguments.push("--release".into());
        arguments.push("--config".into());
        arguments.push(write_release_config(target)?.into());
    }
    if !features.is_empty() {
        arguments.push("--features".into());
        arguments.push(features.into());
    }
    process::cargo(arguments).run()?;
    let profile = if options.dev { "debug" } else { "release" };
    Ok(target.join("wasm32-unknown-unknown").join(profile).join(format!("{CRATE}.wasm")))
}

/// Writes the cargo configuration that only release builds of the module use; returns its path.
fn write_release_config(target: &Path) -> Result<PathBuf> {
    let file = target.join("xtask").join("release.toml");
    fs::write(&file, format!("[target.wasm32-unknown-unknown]\nrustflags = {:?}\n", remapped_paths()?))?;
    Ok(file)
}

/// Compiler flags that keep the paths of this machine out of panic messages: the module must neither tell where it
/// was built nor depend on it.
fn remapped_paths() -> Result<Vec<String>> {
    let sysroot = call("rustc", ["--print", "sysroot"]).stdout()?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib/src/rust");
    let registry = cargo_home()?.join("registry/src");
    let mut replacements = vec![(library, "rust"), (registry.clone(), "crates"), (workspace::root()?, ".")];
    // The folder of a registry carries a hash; the last flag that matches wins, so these come last.
    if let Ok(folders) = fs::read_dir(&registry) {
        replacements.extend(folders.flatten().map(|folder| (folder.path(), "crates")));
    }
    let flag = |(from, to): (PathBuf, &str)| format!("--remap-path-prefix={}={to}", from.display());
    Ok(replacements.into_iter().map(flag).collect())
}

fn cargo_home() -> Result<PathBuf> {
    if let Some(home) = std::env::var_os("CARGO_HOME") {
        return Ok(home.into());
    }
    std::env::home_dir().map(|home| home.join(".cargo")).context("cannot find the home directory")
}

/// Runs wasm-bindgen, as a library, for the `web` target: the one output that every runtime's entry can use.
fn bind(compiled: &Path, module: &Module, options: &Options, out: &Path) -> Result<()> {
    println!("$ wasm-bindgen --target web --out-name {}", module.name);
    let mut arguments: Vec<OsString> = vec![
        "wasm-bindgen".into(),
        compiled.into(),
        "--out-dir".into(),
        out.into(),
        "--out-name".into(),
        module.name.clone().into(),
        "--target".into(),
        "web".into(),
        "--no-typescript".into(),
        "--experimental-reset-state-function".into(),
    ];
    if options.dev {
        arguments.push("--debug".into());
    }
    wasm_bindgen_cli::wasm_bindgen::run_cli_with_args(arguments)
}

/// Minifies the glue, which every user loads: comments, white space and long names are a third of it. Nothing newer
/// than what the oldest supported runtimes know is written.
fn minify(manifest: &Manifest, glue: &Path) -> Result<()> {
    let targets = manifest.runtimes.iter().map(|(runtime, version)| format!("{runtime}{version}").into());
    let arguments = ["xtask/minify.mjs".into(), glue.into()].into_iter().chain(targets);
    call("node", arguments.collect::<Vec<OsString>>()).run()
}

/// Optimises twice: into `named` with symbol names, for the list of the largest, and in place without. (Stripping the
/// names afterwards would write the code anew, one per cent larger.)
fn optimise(manifest: &Manifest, wasm: &Path, named: &Path) -> Result<()> {
    let strip = ["--strip-debug", "--strip-producers", "--strip-target-features"];
    for (options, output) in [(&["-g"][..], named), (&strip[..], wasm)] {
        let mut arguments: Vec<OsString> = manifest.wasm_opt.args.iter().map(OsString::from).collect();
        arguments.extend(options.iter().map(OsString::from));
        arguments.extend([wasm.into(), "-o".into(), output.into()]);
        process::npm_bin("binaryen/bin/wasm-opt", arguments).run()?;
    }
    Ok(())
}

/// Fails when the module contains a path of the machine it was built on.
fn reject_local_paths(wasm: &[u8]) -> Result<()> {
    let mut paths = vec![workspace::root()?, cargo_home()?];
    paths.extend(std::env::home_dir().map(|home| home.join(".rustup")));
    for path in paths {
        let path = path.to_string_lossy();
        if wasm.windows(path.len()).any(|window| window == path.as_bytes()) {
            bail!("the module contains the local path {path}; see `remapped_paths`");
        }
    }
    Ok(())
}

/// Makes `out` a copy of the hand-written files of the package.
fn copy_package(out: &Path) -> Result<()> {
    if Path::new(PACKAGE).canonicalize().is_ok_and(|package| out.canonicalize().is_ok_and(|out| out == package)) {
        bail!("--out must not be {PACKAGE} itself");
    }
    if out.exists() {
        if !out.join("package.json").is_file() && fs::read_dir(out)?.next().is_some() {
            bail!("{} exists and is not a copy of {PACKAGE}; will not overwrite it", out.display());
        }
        fs::remove_dir_all(out)?;
    }
    copy_folder(Path::new(PACKAGE), out)
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let (source, name) = (entry.path(), entry.file_name());
        if entry.file_type()?.is_dir() {
            if name != WASM_FOLDER && name != "node_modules" {
                copy_folder(&source, &to.join(name))?;
            }
        } else if source.extension().is_none_or(|extension| extension != "tgz") {
            fs::copy(&source, to.join(name))?;
        }
    }
    Ok(())
}

/// Moves everything in `from` to `to`, file by file, so that a reader of `to` never sees half a file.
fn move_files(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let destination = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            move_files(&entry.path(), &destination)?;
        } else if fs::rename(entry.path(), &destination).is_err() {
            // Another file system: rename a copy made beside the destination.
            let beside = destination.with_extension("new");
            fs::copy(entry.path(), &beside)?;
            fs::rename(&beside, &destination)?;
        }
    }
    Ok(())
}

fn modified(file: &Path) -> Option<SystemTime> {
    file.metadata().and_then(|metadata| metadata.modified()).ok()
}

/// When the newest file in `path` was written; `None` when there is no such path.
fn newest(path: &Path) -> Option<SystemTime> {
    if !path.is_dir() {
        return modified(path);
    }
    fs::read_dir(path).ok()?.flatten().filter_map(|entry| newest(&entry.path())).max()
}
