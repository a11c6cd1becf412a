//! The rules of this house: versions agree, the package is ours, the core stays free of the platform, nothing
//! committed depends on where it was made.
#![cfg(not(target_family = "wasm"))]
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests fail loudly"
)]

use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;
use toml::{Table, Value as Toml};

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";

/// Files of the core may not mention these: no JavaScript, clock, randomness or I/O.
const PLATFORM_WORDS: [&str; 20] = [
    "wasm_bindgen",
    "js_sys",
    "web_sys",
    "gloo",
    "serde_wasm_bindgen",
    "console_error_panic_hook",
    "SystemTime",
    "Instant::now",
    "rand::",
    "getrandom",
    "RandomState",
    "std::fs",
    "std::net",
    "std::env",
    "std::io",
    "std::process",
    "std::thread",
    "println!",
    "print!",
    "dbg!",
];

/// Crates that have no place in a native build of the library.
const WASM_CRATES: [&str; 8] = [
    "wasm-bindgen",
    "js-sys",
    "web-sys",
    "gloo-net",
    "gloo-timers",
    "serde-wasm-bindgen",
    "console_error_panic_hook",
    "idb",
];

#[test]
fn the_build_manifest_says_who_reads_it() {
    assert!(read("wasm-pack.toml").contains("No wasm-pack release reads this file"));
}

#[test]
fn the_rust_version_is_pinned_once() {
    let pinned = tool("rust");
    let toolchain = table("rust-toolchain.toml");
    assert_eq!(text(&toolchain["toolchain"]["channel"]), pinned);
    let minimum = text(&table("Cargo.toml")["package"]["rust-version"]).to_owned();
    assert!(pinned.starts_with(&format!("{minimum}.")), "rust-version {minimum} is not the pinned {pinned}");
}

#[test]
fn every_use_of_wasm_bindgen_has_the_pinned_version() {
    let pinned = tool("wasm-bindgen");
    let manifest = table("Cargo.toml");
    let dependencies = &manifest["target"]["cfg(target_family = \"wasm\")"]["dependencies"];
    assert_eq!(requirement(&dependencies["wasm-bindgen"]), format!("={pinned}"));
    let xtask = table("xtask/Cargo.toml");
    assert_eq!(requirement(&xtask["dependencies"]["wasm-bindgen-cli"]), format!("={pinned}"));
    let locked = locked_crates();
    for name in ["wasm-bindgen", "wasm-bindgen-cli", "wasm-bindgen-cli-support"] {
        assert_eq!(locked.get(name), Some(&BTreeSet::from([pinned.clone()])), "{name} in Cargo.lock");
    }
}

#[test]
fn npm_tools_are_pinned_exactly_and_locked_as_pinned() {
    let package = json("package.json");
    let lock = json("package-lock.json");
    let tools = package["devDependencies"].as_object().expect("devDependencies");
    assert!(package.get("dependencies").is_none(), "the root is not published; use devDependencies");
    for (name, version) in tools {
        let version = version.as_str().expect("a version");
        // Two versions of one package: `npm:name@version` under a name of its own.
        let pinned = version.strip_prefix("npm:").and_then(|alias| alias.rsplit('@').next()).unwrap_or(version);
        assert!(pinned.starts_with(|c: char| c.is_ascii_digit()), "{name} is not pinned exactly: {version}");
        assert_eq!(lock["packages"][format!("node_modules/{name}")]["version"], pinned, "{name} in package-lock.json");
        assert_eq!(
            lock["packages"][""]["devDependencies"][name], version,
            "package-lock.json is older than package.json"
        );
    }
    assert_eq!(tools["binaryen"], tool("binaryen").as_str());
}

#[test]
fn the_npm_lock_serves_every_platform() {
    // npm leaves out what the registry at hand does not have, and `npm ci` then fails everywhere else.
    let lock = json("package-lock.json");
    let packages = lock["packages"].as_object().expect("packages");
    let locked = |name: &str| packages.keys().any(|path| path.ends_with(&format!("node_modules/{name}")));
    for (path, package) in packages {
        for name in package["optionalDependencies"].as_object().into_iter().flat_map(serde_json::Map::keys) {
            assert!(locked(name), "{path} may need {name}, which package-lock.json lacks");
        }
    }
}

#[test]
fn wasm_pack_and_xtask_use_the_same_optimiser_passes() {
    let ours = table("wasm-pack.toml")["wasm-opt"]["args"].clone();
    let metadata = table("Cargo.toml")["package"]["metadata"]["wasm-pack"]["profile"]["release"]["wasm-opt"].clone();
    assert_eq!(ours, metadata);
}

#[test]
fn a_budget_is_never_above_its_cap_and_the_main_cap_never_rises() {
    let manifest = table("wasm-pack.toml");
    for module in manifest["module"].as_array().expect("modules") {
        let name = text(&module["name"]);
        let budget = &manifest["budget"][name];
        assert!(number(&budget["gzip-kb"]) <= number(&budget["cap-kb"]), "{name}");
    }
    assert!(number(&manifest["budget"]["epitome"]["cap-kb"]) <= 120);
}

#[test]
fn the_package_is_the_hand_written_one() {
    // `wasm-pack build` without --out-dir writes a package.json of its own into pkg/, without conditional exports.
    let package = json("pkg/package.json");
    assert_eq!(package["name"], "epitome");
    assert_eq!(package["type"], "module");
    for condition in ["types", "workerd", "node", "default"] {
        assert!(package["exports"]["."].get(condition).is_some(), "pkg/package.json has no `{condition}` export");
    }
    assert!(!Path::new(&root("pkg/.gitignore")).exists(), "pkg/.gitignore was written by wasm-pack; delete it");
}

#[test]
fn the_package_has_the_version_and_the_floors_of_the_crate() {
    let package = json("pkg/package.json");
    assert_eq!(package["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(package["license"], env!("CARGO_PKG_LICENSE"));
    let floor = format!(">={}", text(&table("wasm-pack.toml")["runtimes"]["node"]));
    assert_eq!(package["engines"]["node"], floor.as_str());
    assert_eq!(json("package.json")["engines"]["node"], floor.as_str());
}

#[test]
fn what_the_manifest_lists_of_the_package_exists() {
    let manifest = table("wasm-pack.toml");
    for module in manifest["module"].as_array().expect("modules") {
        let entries = module["entries"].as_array().expect("entries");
        assert!(entries.contains(&module["web"]), "`web` must be one of `entries`");
        for entry in entries {
            assert!(root(text(entry)).is_file(), "{} does not exist", text(entry));
        }
    }
}

#[test]
fn lock_files_name_no_private_registry() {
    let lock = read("package-lock.json");
    assert!(!lock.contains("\"resolved\""), "package-lock.json names a registry; see .npmrc");
    assert!(read(".npmrc").contains("omit-lockfile-registry-resolved=true"));
    for source in table("Cargo.lock")["package"].as_array().expect("packages").iter().filter_map(|p| p.get("source")) {
        assert_eq!(text(source), CRATES_IO);
    }
}

#[test]
fn the_core_does_not_mention_the_platform() {
    let files = rust_files(&root("src"));
    let searched: Vec<&PathBuf> = files.iter().filter(|file| is_core(file)).collect();
    assert!(searched.len() > 5, "found only {} files of the core", searched.len());
    let mut mentions = Vec::new();
    for file in searched {
        let text = std::fs::read_to_string(file).expect("readable");
        for (index, line) in without_unit_tests(&text).lines().enumerate() {
            let code = line.split("//").next().unwrap_or("");
            for word in PLATFORM_WORDS.iter().filter(|word| mentions_word(code, word)) {
                mentions.push(format!("{}:{}: {word}", file.display(), index + 1));
            }
        }
    }
    assert!(mentions.is_empty(), "the core must not mention the platform:\n{}", mentions.join("\n"));
}

#[test]
fn the_search_for_platform_words_finds_them() {
    assert!(mentions_word("use js_sys::Array;", "js_sys"));
    assert!(mentions_word("let x = rand::random();", "rand::"));
    assert!(!mentions_word("Operand::Left", "rand::"));
    assert!(!mentions_word("igloo", "gloo"));
    assert_eq!(without_unit_tests("a\n#[cfg(test)]\n#[allow(x)]\nmod tests {\n    std::fs\n}\n"), "a\n");
    assert_eq!(without_unit_tests("#[cfg(test)]\nfn a() {}\nb\n"), "#[cfg(test)]\nfn a() {}\nb\n");
    assert!(is_core(&root("src/engine.rs")));
    for outside in [
        "src/wasm/mod.rs",
        "src/provider/fetch.rs",
        "src/tokens/callback.rs",
        "src/store/indexed_db/mod.rs",
        "src/store/file.rs",
        "src/store/file/lock.rs",
    ] {
        assert!(!is_core(&root(outside)), "{outside}");
    }
}

#[test]
fn a_native_build_of_the_library_pulls_no_wasm_crate() {
    let metadata = cargo_metadata();
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .expect("packages")
        .iter()
        .map(|package| (package["id"].as_str().expect("id"), package["name"].as_str().expect("name")))
        .collect();
    let nodes: BTreeMap<&str, &Json> = metadata["resolve"]["nodes"]
        .as_array()
        .expect("nodes")
        .iter()
        .map(|node| (node["id"].as_str().expect("id"), node))
        .collect();
    let library = names.iter().find(|(_, name)| **name == "epitome").map(|(id, _)| *id).expect("the library");
    let (mut open, mut reached) = (vec![library], BTreeSet::new());
    while let Some(id) = open.pop() {
        if reached.insert(id) {
            let dependencies = nodes[id]["deps"].as_array().expect("deps").iter().filter(|dep| is_normal(dep));
            open.extend(dependencies.map(|dependency| dependency["pkg"].as_str().expect("pkg")));
        }
    }
    let reached: BTreeSet<&str> = reached.into_iter().map(|id| names[id]).collect();
    assert!(reached.contains("serde_json"), "the walk found no dependencies: {reached:?}");
    let unwanted: Vec<_> = WASM_CRATES.iter().filter(|name| reached.contains(**name)).collect();
    assert!(unwanted.is_empty(), "{unwanted:?}");
}

/// Whether a dependency is needed to build the library (not only its tests or build script).
fn is_normal(dependency: &Json) -> bool {
    dependency["dep_kinds"].as_array().expect("dep_kinds").iter().any(|kind| kind["kind"].is_null())
}

/// What cargo knows of this workspace for the platform of this machine, from what is already downloaded.
fn cargo_metadata() -> Json {
    let version = output(Command::new(env!("CARGO")).arg("-vV"));
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).expect("a host");
    let metadata = output(Command::new(env!("CARGO")).current_dir(root("")).args([
        "metadata",
        "--locked",
        "--offline",
        "--format-version",
        "1",
        "--filter-platform",
        host,
    ]));
    serde_json::from_str(&metadata).expect("JSON")
}

fn output(command: &mut Command) -> String {
    let output = command.output().expect("cargo starts");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("UTF-8")
}

/// Everything in src/ but the adapters to a platform.
fn is_core(file: &Path) -> bool {
    let path = file.strip_prefix(root("src")).expect("in src").to_string_lossy().replace('\\', "/");
    let is_adapter = path.starts_with("wasm/")
        || path.starts_with("provider/fetch")
        || path.starts_with("store/indexed_db")
        || path.starts_with("store/file")
        || path.contains("/callback");
    let is_test = path.ends_with("tests.rs") || path.contains("tests/");
    !is_adapter && !is_test
}

/// The text of a file up to its unit tests, which come last and may read files.
fn without_unit_tests(text: &str) -> &str {
    let is_module = |start: usize| {
        let mut lines = text[start..].lines().skip_while(|line| line.starts_with("#["));
        lines.next().is_some_and(|line| line.starts_with("mod "))
    };
    let start = text.match_indices("#[cfg(test)]\n").map(|(start, _)| start).find(|start| is_module(*start));
    start.map_or(text, |start| &text[..start])
}

/// Whether `code` contains `word` and not merely a longer word that ends with it.
fn mentions_word(code: &str, word: &str) -> bool {
    let is_start = |index: usize| {
        code[..index].chars().next_back().is_none_or(|before| !before.is_alphanumeric() && before != '_')
    };
    code.match_indices(word).any(|(index, _)| is_start(index))
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path()) {
        if entry.is_dir() {
            files.extend(rust_files(&entry));
        } else if entry.extension().is_some_and(|extension| extension == "rs") {
            files.push(entry);
        }
    }
    files.sort();
    files
}

fn locked_crates() -> BTreeMap<String, BTreeSet<String>> {
    let mut crates: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in table("Cargo.lock")["package"].as_array().expect("packages") {
        let versions = crates.entry(text(&package["name"]).to_owned()).or_default();
        versions.insert(text(&package["version"]).to_owned());
    }
    crates
}

fn tool(name: &str) -> String {
    text(&table("wasm-pack.toml")["tools"][name]).to_owned()
}

/// `"1"` or `{ version = "1", ... }`.
fn requirement(dependency: &Toml) -> &str {
    dependency.get("version").unwrap_or(dependency).as_str().expect("a version requirement")
}

fn text(value: &Toml) -> &str {
    value.as_str().expect("a string")
}

fn number(value: &Toml) -> i64 {
    value.as_integer().expect("a number")
}

fn table(path: &str) -> Table {
    read(path).parse().unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn json(path: &str) -> Json {
    serde_json::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}
