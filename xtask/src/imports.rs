//! The files a JavaScript module loads: its static relative imports, followed to the end.

use anyhow::{Context, Result};
use std::collections::BTreeSet;
use std::fs;
use std::path::{Component, Path, PathBuf};

/// `entry` and every file it imports statically, directly or not. Dynamic imports are loaded only when asked for and
/// do not count.
pub fn closure(entry: &Path) -> Result<BTreeSet<PathBuf>> {
    let mut found = BTreeSet::new();
    let mut open = vec![entry.to_owned()];
    while let Some(file) = open.pop() {
        if !found.insert(file.clone()) {
            continue;
        }
        let text = fs::read_to_string(&file).with_context(|| format!("cannot read {}", file.display()))?;
        let folder = file.parent().unwrap_or(Path::new(""));
        open.extend(specifiers(&text).into_iter().map(|specifier| resolve(folder, &specifier)));
    }
    Ok(found)
}

/// The relative specifiers of `import ... from "./x.js"`, `import "./x.js"` and `export ... from "./x.js"`.
fn specifiers(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for quote in ['"', '\''] {
        // Splitting at the quote puts every string between two separators.
        let pieces: Vec<&str> = text.split(quote).collect();
        for pair in pieces.windows(2) {
            let [before, inside] = pair else { continue };
            let before = before.trim_end();
            let is_import = before.ends_with("from") || before.ends_with("import");
            // Comments import types, which nobody loads.
            let is_type = inside.ends_with(".d.ts");
            if is_import && !is_type && inside.starts_with('.') && !inside.contains(char::is_whitespace) {
                found.push((*inside).to_owned());
            }
        }
    }
    found
}

fn resolve(folder: &Path, specifier: &str) -> PathBuf {
    let mut path = folder.to_owned();
    for component in Path::new(specifier).components() {
        match component {
            Component::ParentDir => {
                path.pop();
            }
            Component::Normal(name) => path.push(name),
            _ => {}
        }
    }
    path
}

#[cfg(test)]
mod tests {
    use super::{resolve, specifiers};
    use std::path::Path;

    #[test]
    fn static_relative_imports_are_found_and_nothing_else() {
        let text = r#"
            import init, { fit } from "./wasm/epitome.js";
            import './side-effect.js';
            export * from "../errors.js";
            /** @import { Type } from "./index.d.ts" */
            import { readFileSync } from "node:fs";
            const later = () => import("./later.js");
            const text = "from", other = './not-imported.js';
        "#;
        let mut found = specifiers(text);
        found.sort();
        assert_eq!(found, ["../errors.js", "./side-effect.js", "./wasm/epitome.js"]);
    }

    #[test]
    fn specifiers_are_relative_to_the_importing_file() {
        assert_eq!(resolve(Path::new("pkg/adapters"), "../wasm/a.js"), Path::new("pkg/wasm/a.js"));
    }
}
