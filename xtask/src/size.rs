//! The size table of a module and its budgets.

use anyhow::Result;
use std::path::{Path, PathBuf};

use crate::compress::{self, Sizes};
use crate::imports;
use crate::manifest::{Manifest, Module};

/// Prints the sizes of everything the module ships. Returns whether they are within the budgets, which apply to the
/// `published` build only: test builds carry more.
pub fn report(manifest: &Manifest, module: &Module, package: &Path, published: bool) -> Result<bool> {
    let wasm = package.join("wasm").join(format!("{}_bg.wasm", module.name));
    let glue = package.join("wasm").join(format!("{}.js", module.name));
    let title = format!("Sizes of `{}` in kB (1000 bytes)", module.name);
    println!("\n{title:<42}{:>10}{:>13}{:>13}", "raw", "gzip -9", "brotli -11");
    let mut core = Sizes::default();
    for (file, sizes) in [&wasm, &glue].into_iter().zip(compress::sizes(&[&wasm, &glue])?) {
        print_row(&file.display().to_string(), sizes);
        core += sizes;
    }
    print_row("module + glue", core);
    if !published {
        return Ok(true);
    }
    for (entry, sizes) in module.entries.iter().zip(compress::sizes(&module.entries)?) {
        print_row(&entry.display().to_string(), sizes);
    }
    let mut loaded: Vec<PathBuf> = imports::closure(&module.web)?.into_iter().collect();
    loaded.push(wasm);
    let mut total = Sizes::default();
    for sizes in compress::sizes(&loaded)? {
        total += sizes;
    }
    print_row(&format!("all that {} loads", module.web.display()), total);

    let budget = manifest.budget[&module.name];
    let fits =
        within("module + glue", core.gzip, budget.gzip_kb) & within("all that is loaded", total.gzip, budget.cap_kb);
    Ok(fits)
}

fn within(what: &str, bytes: u64, kilobytes: u32) -> bool {
    let fits = bytes <= u64::from(kilobytes) * 1000;
    let verdict = if fits { "within" } else { "EXCEEDS" };
    println!("{what}: {} kB gzip {verdict} its budget of {kilobytes} kB", in_kb(bytes));
    fits
}

fn print_row(name: &str, sizes: Sizes) {
    println!("  {name:<40}{:>10}{:>13}{:>13}", in_kb(sizes.raw), in_kb(sizes.gzip), in_kb(sizes.brotli));
}

/// Bytes as kB with one decimal, rounded up: a budget is never met by rounding.
fn in_kb(bytes: u64) -> String {
    let tenths = bytes.div_ceil(100);
    format!("{}.{}", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use super::{in_kb, within};

    #[test]
    fn a_budget_is_inclusive_and_not_met_by_rounding() {
        assert!(within("x", 70_000, 70));
        assert!(!within("x", 70_001, 70));
        assert_eq!(in_kb(70_001), "70.1");
        assert_eq!(in_kb(70_000), "70.0");
    }
}
