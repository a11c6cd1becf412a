#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    clippy::disallowed_methods,
    reason = "tests fail loudly, run natively only, and measure"
)]

use super::{Search, logarithm};

/// The ids of the texts, which are their places, best first.
fn found(query: &str, texts: &[&str]) -> Vec<u64> {
    let mut search = Search::new(query);
    for (id, text) in (0..).zip(texts) {
        search.add(id, text);
    }
    search.best(usize::MAX).iter().map(|hit| hit.id).collect()
}

fn excerpt(text: &str, query: &str, characters: usize) -> String {
    Search::new(query).excerpt(text, characters)
}

#[test]
fn scores_are_those_of_the_formula() {
    // Three texts of 2, 4 and 6 words; the term is once in the first and twice in the third.
    let mut search = Search::new("port");
    for (id, text) in [(1, "port eighty"), (2, "nothing here of note"), (3, "port one and port two open")] {
        search.add(id, text);
    }
    let idf = (1.0_f64 + (3.0 - 2.0 + 0.5) / (2.0 + 0.5)).ln();
    let score = |count: f64, length: f64| idf * count * 2.2 / (count + 1.2 * (0.25 + 0.75 * length / 4.0));
    let hits = search.best(9);
    assert_eq!(hits.iter().map(|hit| hit.id).collect::<Vec<_>>(), [1, 3]);
    for (hit, expected) in hits.iter().zip([score(1.0, 2.0), score(2.0, 6.0)]) {
        assert!((hit.score - expected).abs() < 1e-9, "{hit:?} {expected}");
    }
}

#[test]
fn the_logarithm_is_right_to_ten_digits_from_one_on() {
    let mut number = 1.0_f64;
    while number < 1e12 {
        assert!((logarithm(number) - number.ln()).abs() < 1e-11, "{number}");
        number *= 1.000_37;
    }
    assert!(logarithm(1.0).abs() < 1e-15 && (logarithm(2.0) - std::f64::consts::LN_2).abs() < 1e-15);
}

#[test]
fn rare_words_outweigh_frequent_ones_and_shorter_texts_longer_ones() {
    let texts =
        ["deploy deploy deploy", "deploy", "deploy zebra and much else that was said then", "deploy it", "zebra"];
    assert_eq!(found("zebra deploy", &texts), [4, 2, 0, 1, 3]);
    assert_eq!(found("zebra", &["zebra", "zebra in a longer text than the other one"]), [0, 1]);
}

#[test]
fn words_that_say_nothing_do_not_outweigh_those_that_do() {
    let noise = "what was the thing that we had, and what would you do with it, and what for, and the what";
    assert_eq!(found("what was the refund policy for the user?", &[noise, "Refunds take five days."])[0], 1);
    // Where there is nothing else they are searched for, too.
    assert_eq!(found("what would you", &["Refunds.", noise]), [1]);
}

#[test]
fn of_equals_the_newest_comes_first_and_the_limit_holds() {
    let mut search = Search::new("port");
    for id in [7, 3, 9, 5] {
        search.add(id, "a port");
    }
    assert_eq!(search.best(3).iter().map(|hit| hit.id).collect::<Vec<_>>(), [9, 7, 5]);
    assert_eq!(search.best(0), []);
}

#[test]
fn names_numbers_paths_and_other_scripts_are_found() {
    let texts = [
        "fn getUserName(id: u64)",
        "see src/store/mod.rs line 42",
        "order #W2378156 was cancelled",
        "用户要求使用深色主题",
        "ПОРТ занят: 8080",
        "const MAX_RETRY_COUNT = 5;",
        "released on 2024-05-01",
        "released on 2024-06-02, not 05 or 01",
    ];
    for (query, id) in [
        ("user name", 0),
        ("getusername", 0),
        ("store/mod.rs", 1),
        ("42", 1),
        ("w2378156", 2),
        ("深色主题", 3),
        ("порт", 4),
        ("max retries count", 5),
        ("maxRetryCount", 5),
        ("2024-05-01", 6),
    ] {
        assert_eq!(found(query, &texts).first(), Some(&id), "{query}: {:?}", found(query, &texts));
    }
    assert!(found("absent", &texts).is_empty());
    assert!(found("", &texts).is_empty());
    assert!(found("?!… ___________", &texts).is_empty());
}

#[test]
fn a_text_without_any_of_the_query_leaves_no_trace() {
    let mut search = Search::new("needle");
    for id in 0..1_000 {
        search.add(id, "hay and straw");
    }
    assert!(search.kept.is_empty() && search.occurrences.is_empty());
    assert_eq!(search.texts, 1_000);
}

#[test]
fn a_large_text_is_searched_and_quoted() {
    let mut text = "some words of a log line, value=0x1f/2 getItem\n".repeat(220_000);
    text.insert_str(7_000_000 / 47 * 47, "the needle was here\n");
    let start = std::time::Instant::now();
    let mut search = Search::new("where was the needle?");
    search.add(1, &text);
    let searched = start.elapsed();
    assert_eq!(search.best(1).len(), 1);
    assert!(search.excerpt(&text, 300).contains("needle"));
    println!("{} bytes searched in {searched:?}, searched and quoted in {:?}", text.len(), start.elapsed());
}

// ------------------------------------------------------------------------------------------------------------ excerpts

#[test]
fn an_excerpt_is_the_passage_with_the_most_of_the_query() {
    let hay = "nothing of note in this line\n".repeat(100);
    let text = format!("{hay}the port alone\n{hay}the port of the server is 8080\n{hay}a server\n{hay}");
    let shown = excerpt(&text, "server port", 120);
    assert!(shown.contains("the port of the server is 8080"), "{shown}");
    assert!(shown.starts_with('…') && shown.ends_with('…') && shown.chars().count() <= 120, "{shown}");
    // From word to word.
    let inside = shown.trim_matches('…');
    assert!(text.contains(&format!("\n{inside}")) || text.contains(&format!(" {inside}")), "{shown}");
    assert_eq!(excerpt("short text", "port", 120), "short text");
    let none = excerpt(&hay, "absent", 100);
    assert!(hay.starts_with(none.trim_end_matches('…')) && none.ends_with('…'), "{none}");
    let end = excerpt(&format!("{hay}the last port"), "port", 100);
    assert!(end.ends_with("the last port") && end.starts_with('…') && end.chars().count() > 80, "{end}");
}

#[test]
fn an_excerpt_is_never_longer_than_asked_and_cuts_no_character() {
    let samples = [
        "😀👩‍👩‍👧 port ".repeat(300),
        "認証トークンの検証に失敗しました。".repeat(100),
        "x".repeat(4_000),
        format!("{}port{}", "é".repeat(2_000), "ß".repeat(2_000)),
        "port ".repeat(1_000),
    ];
    for text in &samples {
        for query in ["port", "検証", "nothing", "", "x"] {
            for characters in [0, 1, 2, 3, 10, 99, 500] {
                let shown = excerpt(text, query, characters);
                assert!(shown.chars().count() <= characters.max(2), "{characters}: {shown}");
                assert!(text.contains(shown.trim_matches('…')), "{shown}");
            }
        }
    }
    assert!(excerpt(&samples[1], "検証", 20).contains("検証"));
    assert!(excerpt(&samples[3], "port", 9).contains('…'));
}
