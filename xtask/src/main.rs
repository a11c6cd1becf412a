//! `cargo xtask`: builds, tests and shows this repository.
//!
//! Everything it needs beyond Rust and Node.js it installs itself, and says so before it does. What is built, with
//! which tools, within which size, and which suites are run is written in `wasm-pack.toml`.

mod browsers;
mod build;
mod compress;
mod counts;
mod demo;
mod glue;
mod imports;
mod install;
mod manifest;
mod process;
mod serve;
mod size;
mod suites;
mod symbols;
mod workspace;

use anyhow::{Result, bail};
use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask <command>

  start [--port N] [--once] [--provider URL [--model NAME]]
                                build everything, show a demo in the terminal, serve the web page; with a
                                provider (any OpenAI-compatible service) both use it for summaries, its key
                                is in EPITOME_API_KEY
  test [--full] [--only NAMES] [--from NAME] [--no-browser]
                                run every suite; --full adds Firefox, WebKit and large case counts,
                                --no-browser skips what needs a browser and counts it as skipped
  build [--dev] [--features LIST] [--out DIR]
                                build the WebAssembly module(s) into pkg/wasm and report their sizes;
                                with --out, DIR becomes a copy of pkg/ with its own module
  lint                          formatting and lints, Rust and JavaScript
  fmt                           format everything in place
  bench                         benchmarks: native, and side by side with other packages
  runner FILE.wasm [ARGS]       what `cargo test --target wasm32-unknown-unknown` calls; not for the terminal
";

fn main() -> ExitCode {
    match run() {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("\nerror: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<bool> {
    let mut arguments = Arguments::from_environment();
    let Some(command) = arguments.next() else {
        eprint!("{USAGE}");
        return Ok(false);
    };
    // The runner is called by cargo inside a test run, with the arguments of the test harness.
    if command == "runner" {
        let forwarded = std::iter::once("wasm-bindgen-test-runner".to_owned()).chain(arguments.rest());
        wasm_bindgen_cli::wasm_bindgen_test_runner::run_cli_with_args(forwarded)?;
        return Ok(true);
    }
    workspace::enter()?;
    let manifest = manifest::Manifest::read()?;
    match command.as_str() {
        "start" => demo::start(&manifest, &start_options(arguments)?).map(|()| true),
        "test" => suites::test(&manifest, &test_options(arguments)?),
        "build" => build::build(&manifest, &build_options(arguments)?),
        "lint" => suites::lint(&manifest),
        "fmt" => suites::fmt(&manifest).map(|()| true),
        "bench" => suites::bench(&manifest).map(|()| true),
        "help" | "--help" | "-h" => {
            print!("{USAGE}");
            Ok(true)
        }
        unknown => bail!("there is no command `{unknown}`\n\n{USAGE}"),
    }
}

fn start_options(mut arguments: Arguments) -> Result<demo::Options> {
    let mut options = demo::Options::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--port" => options.port = Some(arguments.value("--port")?.parse()?),
            "--once" => options.once = true,
            // As in `cargo xtask start -- --provider ...`.
            "--" => {}
            "--provider" => options.provider = Some(arguments.value("--provider")?),
            "--model" => options.model = Some(arguments.value("--model")?),
            _ => return unknown_option("start", &argument),
        }
    }
    Ok(options)
}

fn test_options(mut arguments: Arguments) -> Result<suites::Options> {
    let mut options = suites::Options::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--full" => options.full = true,
            "--no-browser" => options.no_browser = true,
            "--only" => options.only.extend(names(&arguments.value("--only")?)),
            "--from" => options.from = Some(arguments.value("--from")?),
            _ => return unknown_option("test", &argument),
        }
    }
    Ok(options)
}

fn build_options(mut arguments: Arguments) -> Result<build::Options> {
    let mut options = build::Options::default();
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--dev" => options.dev = true,
            "--features" => {
                options.features.extend(names(&arguments.value("--features")?));
            }
            "--out" => options.out = Some(PathBuf::from(arguments.value("--out")?)),
            _ => return unknown_option("build", &argument),
        }
    }
    Ok(options)
}

/// The names in a list such as `a,b`.
fn names(list: &str) -> Vec<String> {
    list.split([',', ' ']).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn unknown_option<T>(command: &str, option: &str) -> Result<T> {
    bail!("`cargo xtask {command}` has no option `{option}`\n\n{USAGE}")
}

/// The command line, read from left to right.
struct Arguments(std::env::Args);

impl Arguments {
    fn from_environment() -> Self {
        let mut arguments = std::env::args();
        arguments.next();
        Self(arguments)
    }

    fn next(&mut self) -> Option<String> {
        self.0.next()
    }

    fn value(&mut self, option: &str) -> Result<String> {
        match self.0.next() {
            Some(value) => Ok(value),
            None => bail!("`{option}` needs a value"),
        }
    }

    fn rest(self) -> impl Iterator<Item = String> {
        self.0
    }
}
