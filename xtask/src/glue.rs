//! Finishes the JavaScript glue that wasm-bindgen writes.
//!
//! wasm-bindgen can reset the glue's state (`__wbg_reset_state`, from `--experimental-reset-state-function`): forget
//! every cached view and table of the instance and instantiate the kept module anew. It does not say with which module.
//! `finish` adds `reinit(module?)`, which the package calls after a trap.

use anyhow::{Result, bail};

/// What the glue must contain exactly once: `reinit` is written against it, and bundlers find the module by the last.
fn required(name: &str) -> [String; 4] {
    [
        "let wasmModule,".to_owned(),
        "export function __wbg_reset_state () {".to_owned(),
        "wasmInstance = new WebAssembly.Instance(wasmModule, __wbg_get_imports());".to_owned(),
        format!("new URL('{name}_bg.wasm', import.meta.url)"),
    ]
}

/// What a strict Content-Security-Policy forbids.
const FORBIDDEN: [&str; 3] = ["new Function", "eval(", "Function("];

/// Drops the instance and everything cached from it, and instantiates the module anew, synchronously: `module`, or the
/// one that the dropped instance was made from. Handles of the dropped instance are stale afterwards.
const REINIT: &str = "
export function reinit(module) {
    if (module !== undefined) wasmModule = module;
    if (wasmModule === undefined) throw new Error('reinit: there is no module yet');
    __wbg_reset_state();
}
";

/// The glue with `reinit`. Fails when the glue is not what this function was written for.
pub fn finish(glue: &str, name: &str) -> Result<String> {
    for text in required(name) {
        let count = glue.matches(&text).count();
        if count != 1 {
            bail!("expected `{text}` once, found it {count} times");
        }
    }
    for text in FORBIDDEN {
        if glue.contains(text) {
            bail!("it contains `{text}`, which a Content-Security-Policy without 'unsafe-eval' forbids");
        }
    }
    if glue.contains("function reinit(") {
        bail!("it already has a `reinit`");
    }
    Ok(format!("{}\n{REINIT}", glue.trim_end()))
}

#[cfg(test)]
mod tests {
    use super::finish;

    fn glue() -> String {
        "let wasmModule, wasmInstance, wasm;\n\
         export function __wbg_reset_state () {\n    \
         wasmInstance = new WebAssembly.Instance(wasmModule, __wbg_get_imports());\n}\n\
         x = new URL('epitome_bg.wasm', import.meta.url);\n"
            .to_owned()
    }

    #[test]
    fn reinit_is_added_once() {
        let finished = finish(&glue(), "epitome").expect("known glue");
        assert!(finished.contains("export function reinit(module)"));
        assert!(finish(&finished, "epitome").is_err());
    }

    #[test]
    fn glue_without_a_needed_text_is_refused() {
        for needed in super::required("epitome") {
            let other = glue().replace(&needed, "changed");
            let error = finish(&other, "epitome").expect_err("refused");
            assert!(error.to_string().contains("found it 0 times"), "{error}");
        }
    }

    #[test]
    fn glue_that_needs_unsafe_eval_is_refused() {
        assert!(finish(&format!("{}new Function('return this')", glue()), "epitome").is_err());
    }
}
