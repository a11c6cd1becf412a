//! `wasm-pack.toml`, typed.

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Manifest {
    /// Exact versions of the tools.
    pub tools: BTreeMap<String, String>,
    #[serde(rename = "module")]
    pub modules: Vec<Module>,
    pub budget: BTreeMap<String, Budget>,
    pub wasm_opt: WasmOpt,
    /// The oldest release of each runtime that can run the package.
    pub runtimes: BTreeMap<String, String>,
    pub trap_package: TestPackage,
    pub contract_package: TestPackage,
    pub demo: Demo,
    #[serde(rename = "suite")]
    pub suites: Vec<Suite>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Module {
    pub name: String,
    pub features: Vec<String>,
    pub web: PathBuf,
    pub entries: Vec<PathBuf>,
}

/// In kB of 1000 bytes after `gzip -9`.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Budget {
    pub gzip_kb: u32,
    pub cap_kb: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WasmOpt {
    pub args: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TestPackage {
    pub features: Vec<String>,
    pub out: PathBuf,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Demo {
    /// Arguments of the package's command line program.
    pub command: Vec<String>,
    /// The same where a model is asked, which is added.
    pub command_with_model: Vec<String>,
    pub page: PathBuf,
    pub page_out: PathBuf,
    pub port: u16,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Suite {
    pub name: String,
    pub title: String,
    pub run: Kind,
    #[serde(default)]
    pub needs: Vec<Need>,
    /// A file, or a folder with one `*` in the last component.
    pub files: Option<String>,
    #[serde(default)]
    pub full: bool,
}

/// How a suite is run.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    Lint,
    Native,
    House,
    Build,
    WasmBindgen,
    NodeTest,
    NodeScript,
    Tsc,
    Biome,
}

/// What a suite needs before it can run.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
pub enum Need {
    Package,
    TrapPackage,
    ContractPackage,
    Page,
    Chromium,
    Firefox,
    Webkit,
}

impl Manifest {
    pub fn read() -> Result<Self> {
        let text = std::fs::read_to_string("wasm-pack.toml").context("cannot read wasm-pack.toml")?;
        Self::parse(&text).context("wasm-pack.toml")
    }

    /// The pinned version of a tool.
    pub fn tool(&self, name: &str) -> Result<&str> {
        self.tools.get(name).map(String::as_str).with_context(|| format!("wasm-pack.toml has no `{name}` in [tools]"))
    }

    /// The oldest Node.js that can run the package and the tools.
    pub fn node_floor(&self) -> Result<&str> {
        self.runtimes.get("node").map(String::as_str).context("wasm-pack.toml has no `node` in [runtimes]")
    }

    fn parse(text: &str) -> Result<Self> {
        let manifest: Self = toml::from_str(text)?;
        for module in &manifest.modules {
            if !manifest.budget.contains_key(&module.name) {
                bail!("module `{}` has no [budget.{}]", module.name, module.name);
            }
        }
        for suite in &manifest.suites {
            if suite.files.is_none()
                && !matches!(suite.run, Kind::Lint | Kind::Native | Kind::House | Kind::Build | Kind::Biome)
            {
                bail!("suite `{}` must say in `files` what it runs", suite.name);
            }
        }
        Ok(manifest)
    }
}

#[cfg(test)]
mod tests {
    use super::Manifest;

    const TEXT: &str = include_str!("../../wasm-pack.toml");

    #[test]
    fn the_manifest_of_this_repository_is_valid() {
        let manifest = Manifest::parse(TEXT).expect("valid");
        assert!(!manifest.suites.is_empty());
    }

    #[test]
    fn a_misspelt_key_is_refused() {
        let text = TEXT.replacen("gzip-kb", "gzip_kb", 2);
        assert!(Manifest::parse(&text).is_err());
    }

    #[test]
    fn a_module_without_a_budget_is_refused() {
        let text = TEXT.replace("[budget.epitome]", "[budget.other]");
        assert!(Manifest::parse(&text).is_err());
    }
}
