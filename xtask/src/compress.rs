//! How large a file is on the wire.

use anyhow::{Context, Result};
use serde::Deserialize;
use std::ffi::OsString;
use std::ops::AddAssign;
use std::path::Path;

use crate::process::call;

/// Sizes of one file in bytes: as it is, after `gzip -9`, after brotli at quality 11.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
pub struct Sizes {
    pub raw: u64,
    pub gzip: u64,
    pub brotli: u64,
}

impl AddAssign for Sizes {
    fn add_assign(&mut self, other: Self) {
        self.raw += other.raw;
        self.gzip += other.gzip;
        self.brotli += other.brotli;
    }
}

/// Node.js carries the compressors that web servers use.
const SCRIPT: &str = r"
const { readFileSync } = require('node:fs');
const { gzipSync, brotliCompressSync } = require('node:zlib');
const sizes = process.argv.slice(1).map((file) => {
  const bytes = readFileSync(file);
  return { raw: bytes.length, gzip: gzipSync(bytes, { level: 9 }).length, brotli: brotliCompressSync(bytes).length };
});
console.log(JSON.stringify(sizes));
";

/// The sizes of each file, in the given order.
pub fn sizes<P: AsRef<Path>>(files: &[P]) -> Result<Vec<Sizes>> {
    let options = ["--input-type=commonjs", "--eval", SCRIPT, "--"].map(OsString::from);
    let arguments = options.into_iter().chain(files.iter().map(|file| file.as_ref().as_os_str().to_owned()));
    let text = call("node", arguments).stdout()?;
    serde_json::from_str(&text).context("cannot read the sizes")
}
