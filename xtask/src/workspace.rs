//! Where things are. xtask works from the root of the repository, so every path in it is relative to that.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::path::PathBuf;

use crate::process;

/// Makes the root of the repository the working directory.
pub fn enter() -> Result<()> {
    let root = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..");
    std::env::set_current_dir(&root).with_context(|| format!("cannot enter {}", root.display()))
}

/// The root of the repository, absolute and without symbolic links.
pub fn root() -> Result<PathBuf> {
    std::env::current_dir()?.canonicalize().context("cannot resolve the working directory")
}

/// Cargo's target directory (`CARGO_TARGET_DIR` and `.cargo/config.toml` are respected).
pub fn target() -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Metadata {
        target_directory: PathBuf,
    }
    let text = process::cargo(["metadata", "--no-deps", "--format-version", "1"]).stdout()?;
    let metadata: Metadata = serde_json::from_str(&text).context("cannot read `cargo metadata`")?;
    Ok(metadata.target_directory)
}
