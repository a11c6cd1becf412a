//! The largest functions of a module, by name.

use anyhow::Result;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap};
use wasmparser::{KnownCustom, Name, Parser, Payload, TypeRef};

/// Prints the `count` largest symbols of a module that still has its names.
pub fn print_largest(module: &str, wasm: &[u8], count: usize) -> Result<()> {
    let mut symbols = sizes(wasm)?;
    let total: usize = symbols.iter().map(|(_, size)| size).sum();
    symbols.sort_by(|(name_a, size_a), (name_b, size_b)| size_b.cmp(size_a).then_with(|| name_a.cmp(name_b)));
    println!("\nLargest symbols of `{module}` (bytes of {total}, before compression)");
    for (name, size) in symbols.iter().take(count) {
        println!("{size:>9}  {name}");
    }
    let mut groups: BTreeMap<&str, usize> = BTreeMap::new();
    for (name, size) in &symbols {
        *groups.entry(origin(name)).or_default() += size;
    }
    let mut groups: Vec<(&str, usize)> = groups.into_iter().collect();
    groups.sort_by_key(|(_, size)| Reverse(*size));
    println!("\nBy crate and module");
    for (group, size) in groups.iter().take(count) {
        println!("{size:>9}  {group}");
    }
    Ok(())
}

/// The crate a symbol comes from, with the module for the library's own: `epitome::engine`, `serde_json`.
fn origin(name: &str) -> &str {
    if name.starts_with('[') {
        return name;
    }
    let path = name.trim_start_matches(['<', '&', '*', '(', '[']);
    let path = path.strip_prefix("mut ").unwrap_or(path);
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    let krate = path.find(|c: char| !is_name(c)).unwrap_or(path.len());
    let rest = &path[krate..];
    if !path.starts_with("epitome::") {
        return if rest.starts_with("::") { &path[..krate] } else { "[exports and shims]" };
    }
    let module = rest[2..].find(|c: char| !is_name(c)).unwrap_or(rest.len() - 2);
    &path[..krate + 2 + module]
}

/// Whether the module has a name section.
pub fn has_names(wasm: &[u8]) -> Result<bool> {
    for payload in Parser::new(0).parse_all(wasm) {
        if matches!(payload?, Payload::CustomSection(section) if section.name() == "name") {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The size of each function body under its name, and of all data as one symbol.
fn sizes(wasm: &[u8]) -> Result<Vec<(String, usize)>> {
    let mut imported = 0_u32;
    let mut bodies: Vec<usize> = Vec::new();
    let mut data = 0;
    let mut names: HashMap<u32, String> = HashMap::new();
    for payload in Parser::new(0).parse_all(wasm) {
        match payload? {
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::CodeSectionEntry(body) => bodies.push(body.range().len()),
            Payload::DataSection(section) => data = section.range().len(),
            Payload::CustomSection(section) => {
                if let KnownCustom::Name(subsections) = section.as_known() {
                    read_function_names(subsections, &mut names)?;
                }
            }
            _ => {}
        }
    }
    let mut symbols = vec![("[data: constants and string literals]".to_owned(), data)];
    for (index, size) in (imported..).zip(bodies) {
        let name = names.get(&index).map_or_else(|| format!("[function {index}]"), |name| readable(name));
        symbols.push((name, size));
    }
    Ok(symbols)
}

fn read_function_names(subsections: wasmparser::NameSectionReader, names: &mut HashMap<u32, String>) -> Result<()> {
    for subsection in subsections {
        if let Name::Function(functions) = subsection? {
            for naming in functions {
                let naming = naming?;
                names.insert(naming.index, naming.name.to_owned());
            }
        }
    }
    Ok(())
}

/// Without the hashes that Rust puts into symbols: `::h` and 16 hexadecimal digits at the end (legacy mangling), or
/// up to 16 in square brackets after a crate's name (v0 mangling).
fn readable(name: &str) -> String {
    let is_hash = |text: &str| (8..=16).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let name = match name.rsplit_once("::h") {
        Some((path, hash)) if is_hash(hash) => path,
        _ => name,
    };
    let mut text = String::with_capacity(name.len());
    for (index, piece) in name.split('[').enumerate() {
        match piece.split_once(']') {
            Some((hash, rest)) if index > 0 && is_hash(hash) => text.push_str(rest),
            _ if index == 0 => text.push_str(piece),
            _ => text.extend(["[", piece]),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{has_names, origin, readable, sizes};

    /// `(module (import "m" "f" (func)) (func $twice (result i32) i32.const 7) (memory 1) (data "abc"))`, assembled
    /// by hand, with a name section for function 1.
    const MODULE: &[u8] = b"\0asm\x01\0\0\0\
        \x01\x08\x02\x60\0\0\x60\0\x01\x7f\
        \x02\x07\x01\x01m\x01f\0\0\
        \x03\x02\x01\x01\
        \x05\x03\x01\0\x01\
        \x0a\x06\x01\x04\0\x41\x07\x0b\
        \x0b\x06\x01\x01\x03abc\
        \0\x0f\x04name\x01\x08\x01\x01\x05twice";

    #[test]
    fn imported_functions_are_not_counted_and_names_fit() {
        let symbols = sizes(MODULE).expect("a valid module");
        assert_eq!(symbols.len(), 2, "{symbols:?}");
        assert_eq!(symbols[1], ("twice".to_owned(), 4));
        assert!(has_names(MODULE).expect("a valid module"));
    }

    #[test]
    fn symbols_are_grouped_by_crate_and_own_module() {
        assert_eq!(origin("epitome::engine::fit"), "epitome::engine");
        assert_eq!(origin("<epitome::format::openai_chat::OpenAiChat as epitome::Rules>::parse"), "epitome::format");
        assert_eq!(origin("<&mut serde_json::de::Deserializer<R> as X>::y"), "serde_json");
        assert_eq!(origin("apply multivalue shim"), "[exports and shims]");
        assert_eq!(origin("[data: constants]"), "[data: constants]");
        assert_eq!(origin(""), "[exports and shims]");
    }

    #[test]
    fn the_hash_of_a_symbol_is_left_out() {
        assert_eq!(readable("epitome::fit::h0123456789abcdef"), "epitome::fit");
        assert_eq!(readable("epitome::hash"), "epitome::hash");
        assert_eq!(readable("<core[c5930c85a12de822]::fmt::Formatter>::pad"), "<core::fmt::Formatter>::pad");
        assert_eq!(readable("<[u8] as epitome::Bytes>::len"), "<[u8] as epitome::Bytes>::len");
    }
}
