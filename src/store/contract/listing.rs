//! Lists of conversations, and their names.

use super::{Verdict, batch, begin, entry, holds, page, same, write};
use crate::store::{About, Listed, Store};

/// Names that a store might mistake for each other, or for something else.
pub(super) fn odd_names() -> Vec<String> {
    let mut names: Vec<String> = [
        "a",
        "A",
        "a ",
        " a",
        "aa",
        "ab",
        "a/b",
        "a\\b",
        "a:b",
        "a|b",
        "a%2Fb",
        "a\u{1}b",
        "a\tb",
        "a\nb",
        "a.log",
        ".",
        "..",
        "../a",
        "../../etc/passwd",
        "/",
        "/a",
        "~",
        "*",
        "a*",
        "%",
        "_",
        "null",
        "undefined",
        "__proto__",
        "constructor",
        "con",
        "CON",
        "nul.txt",
        "0",
        "00",
        "1",
        "10",
        "2",
        "-1",
        "true",
        "[\"a\"]",
        "'",
        "\"",
        "' OR 1=1 --",
        "\u{e9}",
        "e\u{301}",
        "\u{c9}",
        "\u{df}",
        "ss",
        "\u{130}",
        "i",
        "I",
        "\u{131}",
        "\u{1f600}",
        "\u{1f469}\u{200d}\u{1f4bb}",
        "\u{ffff}",
        "\u{10ffff}",
        "\u{2028}",
        "\u{feff}a",
        "\u{5bf9}\u{8bdd}",
        "018f3a5e-7b1c-7c3e-8f6a-2b4d6e8f0a1c",
    ]
    .map(str::to_owned)
    .into();
    for end in ["", "a", "b", "/", "\u{1f600}"] {
        names.push(format!("{}{end}", "x".repeat(1_000 - end.chars().count())));
    }
    names.push("\u{1f600}".repeat(1_000));
    names
}

pub(super) async fn nothing(store: &dyn Store) -> Verdict {
    same("the list of an empty store", &page(store, None, 100).await?, &Vec::new())?;
    same("its list after a name", &page(store, Some("a"), 100).await?, &Vec::new())
}

pub(super) async fn about(store: &dyn Store) -> Verdict {
    let said = [
        About { created_ms: 1_700_000_000_123.25, updated_ms: 1_700_000_000_999.0, entries: 3 },
        About { created_ms: 1_700_000_000_123.25, updated_ms: 1_800_000_000_000.125, entries: 100_000 },
        // A clock that was set back.
        About { created_ms: 0.0, updated_ms: -1.5, entries: 0 },
    ];
    begin(store, "other", vec![entry(0, "0")]).await?;
    for (expected, about) in (0..).zip(said) {
        let mut next = batch("c", expected, vec![entry(0, "0")]);
        next.about = about;
        write(store, &next).await?;
        let listed = page(store, None, 100).await?;
        let found: Vec<&Listed> = listed.iter().filter(|listed| listed.conversation == "c").collect();
        let should = Listed { conversation: "c".to_owned(), revision: expected + 1, about };
        same("what is listed of it", &found, &vec![&should])?;
        same("the number of conversations", &listed.len(), &2)?;
    }
    Ok(())
}

pub(super) async fn pages(store: &dyn Store) -> Verdict {
    let mut names: Vec<String> = (0..13).map(|number| format!("conversation {number}")).collect();
    for name in &names {
        begin(store, name, vec![entry(0, "0")]).await?;
    }
    let whole = all(store, 1_000).await?;
    for size in [1, 2, 3, 12, 13, 14] {
        same(&format!("the list in pages of {size}"), &all(store, size).await?, &whole)?;
    }
    same("a page of none", &page(store, None, 0).await?, &Vec::new())?;
    // What is written to keeps its place.
    write(store, &batch("conversation 5", 1, vec![entry(1, "1")])).await?;
    same("the list after a commit", &all(store, 4).await?, &whole)?;
    let mut sorted = whole;
    sorted.sort();
    names.sort();
    same("the listed names", &sorted, &names)
}

/// The names of all conversations, read in pages of that size.
async fn all(store: &dyn Store, size: usize) -> Result<Vec<String>, String> {
    const MOST_PAGES: usize = 1_000;
    let mut names: Vec<String> = Vec::new();
    for _ in 0..MOST_PAGES {
        let listed = page(store, names.last().map(String::as_str), size).await?;
        if listed.len() > size {
            return Err(format!("a page of {size} names {}", listed.len()));
        }
        if listed.is_empty() {
            return Ok(names);
        }
        names.extend(listed.into_iter().map(|listed| listed.conversation));
    }
    Err("the list has no end".to_owned())
}

pub(super) async fn names(store: &dyn Store) -> Verdict {
    let names = odd_names();
    for name in &names {
        begin(store, name, vec![entry(0, &format!("{:?}", name.len()))]).await?;
    }
    has_names(store, &names).await?;
    for name in names.iter().step_by(2) {
        store.delete(name).await.map_err(|error| super::in_words("deleting", &error))?;
        holds(store, name, 0, &[]).await?;
    }
    let rest: Vec<String> = names.into_iter().skip(1).step_by(2).collect();
    has_names(store, &rest).await
}

/// These are the conversations, each with one entry that says the length of its name.
pub(super) async fn has_names(store: &dyn Store, names: &[String]) -> Verdict {
    let mut listed = all(store, 7).await?;
    listed.sort();
    let mut should = names.to_vec();
    should.sort();
    same("the listed names", &listed, &should)?;
    for name in names {
        holds(store, name, 1, &[entry(0, &format!("{:?}", name.len()))]).await?;
    }
    Ok(())
}

pub(super) async fn after_a_gone_one(store: &dyn Store) -> Verdict {
    for number in 0..9 {
        begin(store, &format!("c{number}"), vec![entry(0, "0")]).await?;
    }
    let whole = all(store, 100).await?;
    let mut seen: Vec<String> = Vec::new();
    // As somebody does who deletes everything, page by page.
    while seen.len() < whole.len() {
        let listed = page(store, seen.last().map(String::as_str), 2).await?;
        if listed.is_empty() {
            break;
        }
        for listed in listed {
            store.delete(&listed.conversation).await.map_err(|error| super::in_words("deleting", &error))?;
            seen.push(listed.conversation);
        }
    }
    same("what was listed while it was deleted", &seen, &whole)?;
    same("what is left", &all(store, 100).await?, &Vec::new())
}
