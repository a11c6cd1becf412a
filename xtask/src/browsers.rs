//! Finds the browsers and their driver programs, and on Debian installs what is missing.

use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use crate::manifest::Manifest;
use crate::{install, process};

/// Where `cargo install` puts tools that are built from source.
const TOOLS: &str = "target/tools";

/// Everything a wasm-bindgen test run needs to know about a browser.
pub struct Browser {
    /// What wasm-bindgen's test runner calls it.
    pub runner_name: &'static str,
    /// The browser itself.
    pub program: PathBuf,
    /// Environment for wasm-bindgen's test runner.
    pub environment: Vec<(String, OsString)>,
    /// A program (with arguments) to run the whole test under, for browsers that need a display.
    pub under: Vec<String>,
}

/// Chromium or Chrome. `CHROME` and `CHROMEDRIVER` take precedence over what is on the PATH.
pub fn chromium() -> Result<Browser> {
    let names = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome"];
    let find_browser =
        || from_environment("CHROME").or_else(|| names.into_iter().find_map(process::find)).or_else(mac_chrome);
    let find_driver = || from_environment("CHROMEDRIVER").or_else(|| process::find("chromedriver"));
    if (find_browser().is_none() || find_driver().is_none()) && install::can_use_apt() {
        install::apt(&["chromium", "chromium-driver"])?;
    }
    let (Some(program), Some(driver)) = (find_browser(), find_driver()) else {
        bail!(
            "Chromium (or Chrome) and a chromedriver of the same version are needed.\n\
             Debian, Ubuntu: sudo apt-get install chromium chromium-driver\n\
             elsewhere: https://googlechromelabs.github.io/chrome-for-testing\n\
             Programs outside the PATH can be named in the environment variables CHROME and CHROMEDRIVER. To go on \
             without browser tests, use --no-browser."
        );
    };
    let capabilities = capabilities("webdriver.json", "goog:chromeOptions", &program)?;
    let environment = driver_environment("CHROMEDRIVER", driver, capabilities);
    Ok(Browser { runner_name: "Chrome", program, environment, under: Vec::new() })
}

/// Firefox with geckodriver, which is built from source when it is missing.
pub fn firefox(manifest: &Manifest) -> Result<Browser> {
    let find_browser =
        || from_environment("FIREFOX").or_else(|| ["firefox", "firefox-esr"].into_iter().find_map(process::find));
    if find_browser().is_none() && install::can_use_apt() {
        install::apt(&["firefox-esr"])?;
    }
    let Some(program) = find_browser() else {
        bail!("Firefox was not found. Install it, or name it in the environment variable FIREFOX.");
    };
    let built = Path::new(TOOLS).join("bin").join(format!("geckodriver{}", std::env::consts::EXE_SUFFIX));
    let find_driver = || {
        from_environment("GECKODRIVER").or_else(|| process::find("geckodriver")).or_else(|| built.canonicalize().ok())
    };
    if find_driver().is_none() {
        let version = manifest.tool("geckodriver")?;
        println!("Building geckodriver {version} from source into {TOOLS}/ (a few minutes, once).");
        process::cargo(["install", "--quiet", "--locked", "geckodriver", "--version", version, "--root", TOOLS])
            .run()?;
    }
    let driver = find_driver().context("geckodriver was built but cannot be found")?;
    let capabilities = capabilities("webdriver.firefox.json", "moz:firefoxOptions", &program)?;
    let environment = driver_environment("GECKODRIVER", driver, capabilities);
    Ok(Browser { runner_name: "Firefox", program, environment, under: Vec::new() })
}

/// `WebKitGTK`'s `MiniBrowser`, on a virtual display. wasm-bindgen's runner speaks to its driver as to Safari's.
pub fn webkit() -> Result<Browser> {
    let find_driver = || process::find("WebKitWebDriver");
    let find_display = || process::find("xvfb-run");
    if (find_driver().is_none() || find_display().is_none()) && install::can_use_apt() {
        install::apt(&["webkit2gtk-driver", "libwebkit2gtk-4.1-0", "xvfb", "xauth"])?;
    }
    let (Some(driver), Some(display)) = (find_driver(), find_display()) else {
        bail!(
            "WebKitWebDriver (of WebKitGTK) and xvfb-run are needed.\n\
             Debian, Ubuntu: sudo apt-get install webkit2gtk-driver libwebkit2gtk-4.1-0 xvfb xauth"
        );
    };
    let under = vec![display.display().to_string(), "-a".to_owned()];
    let environment = vec![
        ("SAFARIDRIVER".to_owned(), driver.clone().into_os_string()),
        // Without this, WebKitGTK refuses to start as root and in most containers.
        ("WEBKIT_DISABLE_SANDBOX_THIS_IS_DANGEROUS".to_owned(), "1".into()),
    ];
    Ok(Browser { runner_name: "Safari", program: driver, environment, under })
}

/// Variables that would make wasm-bindgen's test runner choose another browser than the one it is given.
pub fn other_drivers(chosen: &Browser) -> Vec<String> {
    let drivers = ["CHROMEDRIVER", "GECKODRIVER", "SAFARIDRIVER", "MSEDGEDRIVER"];
    let names = drivers.iter().flat_map(|driver| [(*driver).to_owned(), format!("{driver}_REMOTE")]);
    names.filter(|name| chosen.environment.iter().all(|(chosen, _)| chosen != name)).collect()
}

/// The committed capabilities with the path of the browser that was found, in a file of their own.
fn capabilities(committed: &str, options: &str, browser: &Path) -> Result<PathBuf> {
    let text = fs::read_to_string(committed).with_context(|| format!("cannot read {committed}"))?;
    let mut capabilities: serde_json::Value = serde_json::from_str(&text).with_context(|| committed.to_owned())?;
    let Some(options) = capabilities.get_mut(options).and_then(serde_json::Value::as_object_mut) else {
        bail!("{committed} has no `{options}`");
    };
    options.insert("binary".to_owned(), browser.display().to_string().into());
    let folder = crate::workspace::target()?.join("xtask");
    fs::create_dir_all(&folder)?;
    let file = folder.join(committed);
    fs::write(&file, capabilities.to_string())?;
    Ok(file)
}

fn driver_environment(variable: &str, driver: PathBuf, capabilities: PathBuf) -> Vec<(String, OsString)> {
    vec![(variable.to_owned(), driver.into()), ("WASM_BINDGEN_TEST_WEBDRIVER_JSON".to_owned(), capabilities.into())]
}

fn from_environment(variable: &str) -> Option<PathBuf> {
    std::env::var_os(variable).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn mac_chrome() -> Option<PathBuf> {
    let path = PathBuf::from("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome");
    path.is_file().then_some(path)
}
