//! `cargo xtask test`, `lint`, `fmt` and `bench`. Which suites there are is written in `wasm-pack.toml`.

use anyhow::{Context, Result, bail};
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::browsers::{self, Browser};
use crate::counts::Counts;
use crate::manifest::{Kind, Manifest, Need, Suite, TestPackage};
use crate::process::{self, Call, call, npm_bin};
use crate::{build, demo, install, serve};

const BIOME: &str = "@biomejs/biome/bin/biome";
/// Integration tests with a suite of their own, like those below; all other files of tests/ belong to the suite `native`.
const HOUSE_TEST: &str = "house";
/// Those that run in browsers, with the features that they take.
const BROWSER_TESTS: [(&str, &str); 2] = [("browser", ""), ("indexed_db", "session,store-contract")];
/// The benchmarks beside other packages, with a package.json of their own.
const PEERS: &str = "benches/peers";

#[derive(Debug, Default)]
pub struct Options {
    pub full: bool,
    pub no_browser: bool,
    /// Suites by name; all of the run when empty.
    pub only: Vec<String>,
    pub from: Option<String>,
}

struct Outcome<'a> {
    suite: &'a Suite,
    counts: Counts,
    time: Duration,
}

/// Runs the chosen suites, all of them even when one fails. Returns whether everything passed.
pub fn test(manifest: &Manifest, options: &Options) -> Result<bool> {
    let suites = choose(&manifest.suites, options)?;
    let mut outcomes = Vec::new();
    for suite in suites {
        println!("\n=== {}: {} ===\n", suite.name, suite.title);
        let start = Instant::now();
        let counts = run(manifest, suite, options).unwrap_or_else(|error| {
            eprintln!("\nerror: {error:#}");
            Counts::FAILED
        });
        outcomes.push(Outcome { suite, counts, time: start.elapsed() });
    }
    Ok(print_summary(&outcomes))
}

/// Formatting and lints, Rust and JavaScript. Returns whether everything passed.
pub fn lint(manifest: &Manifest) -> Result<bool> {
    install::node(manifest)?;
    install::npm_packages()?;
    let mut counts = lint_rust()?;
    counts += biome();
    Ok(counts.failed == 0)
}

/// Formats everything in place.
pub fn fmt(manifest: &Manifest) -> Result<()> {
    install::node(manifest)?;
    install::npm_packages()?;
    install::rust_components()?;
    process::cargo(["fmt", "--all"]).run()?;
    npm_bin(BIOME, ["check", "--write"]).run()
}

/// The native benchmarks, then those against other packages, which have their own package.json.
pub fn bench(manifest: &Manifest) -> Result<()> {
    install::node(manifest)?;
    install::npm_packages()?;
    ensure_package(manifest)?;
    process::cargo(["bench", "--locked", "--package", "epitome", "--bench", "fit"]).run()?;
    println!("Installing the packages to compare with into {PEERS}/node_modules/.");
    install::npm(["ci", "--prefix", PEERS, "--no-audit", "--no-fund"]).run()?;
    install::npm(["run", "--prefix", PEERS, "bench"]).run()
}

fn choose<'a>(suites: &'a [Suite], options: &Options) -> Result<Vec<&'a Suite>> {
    let position = |name: &str| {
        suites.iter().position(|suite| suite.name == name).with_context(|| {
            let names: Vec<&str> = suites.iter().map(|suite| suite.name.as_str()).collect();
            format!("there is no suite `{name}`; the suites are {}", names.join(", "))
        })
    };
    if !options.only.is_empty() {
        return options.only.iter().map(|name| Ok(&suites[position(name)?])).collect();
    }
    let start = options.from.as_deref().map_or(Ok(0), position)?;
    Ok(suites[start..].iter().filter(|suite| options.full || !suite.full).collect())
}

fn run(manifest: &Manifest, suite: &Suite, options: &Options) -> Result<Counts> {
    let browser_needs = [Need::Chromium, Need::Firefox, Need::Webkit];
    if options.no_browser && suite.needs.iter().any(|need| browser_needs.contains(need)) {
        println!("skipped: --no-browser");
        return Ok(Counts::SKIPPED);
    }
    let files = suite.files.as_deref().map_or(Ok(Vec::new()), matching_files)?;
    let prepared = prepare(manifest, suite, options)?;
    match suite.run {
        Kind::Lint => lint_rust(),
        Kind::Native => native(&prepared),
        Kind::House => {
            let house = process::cargo(["test", "--locked", "--package", "epitome", "--test", HOUSE_TEST]);
            run_and_count(house.envs(&prepared.environment), Counts::from_rust)
        }
        Kind::Build => build::build(manifest, &build::Options::default()).map(Counts::check),
        Kind::WasmBindgen => wasm_bindgen(&prepared),
        Kind::NodeTest => {
            let options = ["--test", "--test-reporter=spec"].map(OsString::from);
            let arguments = options.into_iter().chain(files.into_iter().map(PathBuf::into_os_string));
            run_and_count(call("node", arguments).envs(&prepared.environment), Counts::from_node)
        }
        Kind::NodeScript => {
            let mut counts = Counts::default();
            for file in files {
                counts += run_and_count(call("node", [file]).envs(&prepared.environment), Counts::from_summary)?;
            }
            Ok(counts)
        }
        Kind::Tsc => {
            let mut counts = Counts::default();
            for file in files {
                let project = [OsString::from("--project"), file.into()];
                counts += Counts::check(succeeded(&npm_bin("typescript/bin/tsc", project).run()));
            }
            Ok(counts)
        }
        Kind::Biome => Ok(biome()),
    }
}

/// What a suite gets from its `needs`.
#[derive(Default)]
struct Prepared {
    environment: Vec<(String, OsString)>,
    browser: Option<Browser>,
}

fn prepare(manifest: &Manifest, suite: &Suite, options: &Options) -> Result<Prepared> {
    let mut prepared = Prepared::default();
    if options.full {
        prepared.environment.push(("EPITOME_FULL".to_owned(), "1".into()));
    }
    let uses_node = !matches!(suite.run, Kind::Lint | Kind::Native | Kind::House | Kind::WasmBindgen);
    if uses_node {
        install::node(manifest)?;
        install::npm_packages()?;
    }
    for need in &suite.needs {
        match need {
            Need::Package => ensure_package(manifest)?,
            Need::TrapPackage => ensure_test_package(manifest, &manifest.trap_package)?,
            Need::ContractPackage => ensure_test_package(manifest, &manifest.contract_package)?,
            Need::Page => {
                demo::build_page(manifest)?;
                let port = serve::in_background(&manifest.demo.page_out)?;
                prepared.environment.push(("EPITOME_URL".to_owned(), format!("http://127.0.0.1:{port}/").into()));
            }
            Need::Chromium => prepared.browser = Some(browsers::chromium()?),
            Need::Firefox => prepared.browser = Some(browsers::firefox(manifest)?),
            Need::Webkit => prepared.browser = Some(browsers::webkit()?),
        }
    }
    if let Some(browser) = &prepared.browser {
        prepared.environment.extend(browser.environment.iter().cloned());
        prepared.environment.push(("CHROME".to_owned(), browser.program.clone().into()));
    }
    Ok(prepared)
}

/// Builds the package unless it is newer than its sources. Its size is the business of the suite `build`.
fn ensure_package(manifest: &Manifest) -> Result<()> {
    ensure_fresh(manifest, Path::new("pkg"), &build::Options::default())
}

fn ensure_test_package(manifest: &Manifest, package: &TestPackage) -> Result<()> {
    let TestPackage { features, out } = package;
    let options = build::Options { features: features.clone(), out: Some(out.clone()), dev: false };
    ensure_fresh(manifest, out, &options)
}

fn ensure_fresh(manifest: &Manifest, package: &Path, options: &build::Options) -> Result<()> {
    if !build::is_fresh(manifest, package) {
        build::build(manifest, options)?;
    }
    Ok(())
}

fn lint_rust() -> Result<Counts> {
    install::rust_components()?;
    install::wasm_target()?;
    let mut wasm = vec!["clippy", "--locked", "--package", "epitome", "--lib", "--all-features"];
    for (test, _) in BROWSER_TESTS {
        wasm.extend(["--test", test]);
    }
    wasm.extend(["--target", "wasm32-unknown-unknown", "--", "-D", "warnings"]);
    let native = ["clippy", "--locked", "--workspace", "--all-targets", "--all-features", "--", "-D", "warnings"];
    let mut counts = Counts::default();
    for arguments in [&["fmt", "--all", "--check"][..], &native, &wasm] {
        counts += Counts::check(succeeded(&process::cargo(arguments).run()));
    }
    Ok(counts)
}

fn biome() -> Counts {
    let checked = npm_bin(BIOME, ["check", "--error-on-warnings"]).run();
    Counts::check(succeeded(&checked))
}

/// The library's unit tests and every file of tests/ without a suite of its own, the examples in its docs, and the
/// tests of xtask.
fn native(prepared: &Prepared) -> Result<Counts> {
    let library = ["test", "--locked", "--package", "epitome", "--no-fail-fast"];
    let mut tests = [&library[..], &["--lib"]].concat().into_iter().map(str::to_owned).collect::<Vec<_>>();
    for file in matching_files("tests/*.rs")? {
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        if name != HOUSE_TEST && BROWSER_TESTS.iter().all(|(test, _)| name != *test) {
            tests.extend(["--test".to_owned(), name]);
        }
    }
    let examples = [&library[..], &["--doc"]].concat();
    // Unoptimised: the dependencies of xtask are already built so.
    let own = ["test", "--locked", "--package", "xtask", "--config", "profile.test.opt-level=0"];
    let mut counts = Counts::default();
    for call in [process::cargo(tests), process::cargo(examples), process::cargo(own)] {
        counts += run_and_count(call.envs(&prepared.environment), Counts::from_rust)?;
    }
    Ok(counts)
}

/// `cargo test` for wasm32 with xtask itself as the runner, for each test of the browsers.
fn wasm_bindgen(prepared: &Prepared) -> Result<Counts> {
    install::wasm_target()?;
    let Some(browser) = &prepared.browser else {
        bail!("a wasm-bindgen suite must name a browser in `needs`");
    };
    let mut counts = Counts::default();
    for (test, features) in BROWSER_TESTS {
        counts += in_browser(prepared, browser, test, features)?;
    }
    Ok(counts)
}

fn in_browser(prepared: &Prepared, browser: &Browser, test: &str, features: &str) -> Result<Counts> {
    let runner = std::env::current_exe().context("cannot find the program of xtask")?;
    let runner = format!("target.wasm32-unknown-unknown.runner=[{:?}, \"runner\"]", runner.display().to_string());
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let words = ["test", "--locked", "--package", "epitome", "--target", "wasm32-unknown-unknown", "--test", test];
    let mut line = browser.under.clone();
    line.push(cargo);
    line.extend(words.map(str::to_owned));
    line.extend(["--features".to_owned(), features.to_owned(), "--config".to_owned(), runner]);
    let (program, arguments) = line.split_first().context("an empty command line")?;
    let (output, success) = call(program, arguments)
        .envs(&prepared.environment)
        .env("WASM_BINDGEN_TEST_TIMEOUT", "300")
        .env("WASM_BINDGEN_TEST_DRIVER_TIMEOUT", "60")
        .without_envs(&browsers::other_drivers(browser))
        .tee()?;
    let expected = format!("Running headless tests in {} ", browser.runner_name);
    if success && !output.contains(&expected) {
        bail!("the tests did not run in {}", browser.runner_name);
    }
    Ok(Counts::from_rust(&output).of_run(success))
}

fn run_and_count(program: Call, count: impl Fn(&str) -> Counts) -> Result<Counts> {
    let (text, success) = program.tee()?;
    Ok(count(&text).of_run(success))
}

/// Prints the error, if any. For checks that go on after a failure.
fn succeeded(result: &Result<()>) -> bool {
    if let Err(error) = result {
        eprintln!("error: {error:#}");
    }
    result.is_ok()
}

/// The files of a path with one `*` in its last component, sorted. Fails when there are none: a suite whose files
/// have gone must not pass.
fn matching_files(pattern: &str) -> Result<Vec<PathBuf>> {
    let (folder, name) = pattern.rsplit_once('/').unwrap_or((".", pattern));
    let (start, end) = name.split_once('*').unwrap_or((name, ""));
    let matches = |file: &Path| {
        let file = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if name.contains('*') {
            file.len() >= start.len() + end.len() && file.starts_with(start) && file.ends_with(end)
        } else {
            file == name
        }
    };
    let entries = fs::read_dir(folder).with_context(|| format!("cannot read {folder}/, where {pattern} should be"))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).filter(|path| matches(path)).collect();
    if files.is_empty() {
        bail!("no file matches {pattern}");
    }
    files.sort();
    Ok(files)
}

fn print_summary(outcomes: &[Outcome]) -> bool {
    let mut total = Counts::default();
    println!("\n=== Summary ===\n\n{:<12}{:>8}{:>8}{:>9}{:>10}", "suite", "passed", "failed", "skipped", "seconds");
    for Outcome { suite, counts, time } in outcomes {
        let Counts { passed, failed, skipped } = counts;
        println!("{:<12}{passed:>8}{failed:>8}{skipped:>9}{:>10.1}", suite.name, time.as_secs_f64());
        total += *counts;
    }
    let seconds: f64 = outcomes.iter().map(|outcome| outcome.time.as_secs_f64()).sum();
    println!("{:<12}{:>8}{:>8}{:>9}{seconds:>10.1}\n", "total", total.passed, total.failed, total.skipped);
    println!("{} passed, {} failed, {} skipped", total.passed, total.failed, total.skipped);
    total.failed == 0
}

#[cfg(test)]
mod tests {
    use super::{Options, choose, matching_files};
    use crate::manifest::{Kind, Suite};

    fn suites() -> Vec<Suite> {
        let suite = |name: &str, full| Suite {
            name: name.to_owned(),
            title: String::new(),
            run: Kind::Lint,
            needs: Vec::new(),
            files: None,
            full,
        };
        vec![suite("a", false), suite("b", true), suite("c", false)]
    }

    fn chosen(options: &Options) -> Vec<String> {
        choose(&suites(), options).expect("known names").into_iter().map(|suite| suite.name.clone()).collect()
    }

    #[test]
    fn full_adds_suites_and_only_takes_any() {
        assert_eq!(chosen(&Options::default()), ["a", "c"]);
        assert_eq!(chosen(&Options { full: true, ..Options::default() }), ["a", "b", "c"]);
        assert_eq!(chosen(&Options { only: vec!["c".into(), "b".into()], ..Options::default() }), ["c", "b"]);
        assert_eq!(chosen(&Options { from: Some("b".into()), ..Options::default() }), ["c"]);
    }

    #[test]
    fn an_unknown_suite_is_an_error_that_lists_the_known_ones() {
        let error = choose(&suites(), &Options { only: vec!["d".into()], ..Options::default() }).expect_err("fails");
        assert!(error.to_string().ends_with("a, b, c"), "{error}");
    }

    #[test]
    fn a_pattern_without_files_is_an_error() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/src");
        assert_eq!(matching_files(&format!("{folder}/m*n.rs")).expect("main.rs").len(), 1);
        assert!(matching_files(&format!("{folder}/*.none")).is_err());
        assert!(matching_files(&format!("{folder}/none/*.rs")).is_err());
    }
}
