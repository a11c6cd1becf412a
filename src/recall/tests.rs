//! Whether what is hidden is found again, in real conversations.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "tests fail loudly"
)]

use std::path::Path;

use serde_json::value::RawValue;

use super::search::Search;
use super::text::readable;
use crate::format::Format;

struct Conversation {
    id: String,
    texts: Vec<String>,
    /// Whether a message is a tool result or an answer.
    told: Vec<bool>,
}

/// The conversations of a source; none, with a message, where the folder is absent.
fn conversations(source: &str) -> Vec<Conversation> {
    #[derive(serde::Deserialize)]
    struct Record {
        id: String,
        messages: Vec<Box<RawValue>>,
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("../shared/data/dev/{source}.jsonl"));
    let Ok(lines) = std::fs::read_to_string(&path) else {
        println!("SKIPPED: no real conversations at {}; this test looked at nothing", path.display());
        return Vec::new();
    };
    let read = |line: &str| {
        let Record { id, messages } = serde_json::from_str(line).unwrap();
        let (mut texts, mut told) = (Vec::new(), Vec::new());
        for (at, raw) in messages.iter().enumerate() {
            let value = crate::json::parse(raw.get(), Some(at)).unwrap();
            let message = Format::OpenAiChat.rules().parse(at, value).unwrap();
            texts.push(readable(&message).into_owned());
            told.push(["tool", "assistant"].contains(&message.role_name.as_ref()));
        }
        Conversation { id, texts, told }
    };
    lines.lines().filter(|line| !line.trim().is_empty()).map(read).collect()
}

/// At which place, from 1, a query finds a message that holds the fact, among the first ten.
fn rank(conversation: &Conversation, query: &str, fact: &str) -> Option<usize> {
    let mut search = Search::new(query);
    for (id, text) in (0..).zip(&conversation.texts) {
        search.add(id, text);
    }
    let holds = |id: u64| conversation.texts[usize::try_from(id).unwrap()].contains(fact);
    search.best(10).iter().position(|hit| holds(hit.id)).map(|at| at + 1)
}

/// Where it is, what somebody asks, and what the answer has to hold.
const FACTS: [(&str, &str, &str, &str); 46] = [
    ("tau_airline", "task06-trial1", "Aarav Garcia date of birth", "1992-09-13"),
    ("tau_airline", "task06-trial1", "cheapest economy option total cost", "$295"),
    ("tau_airline", "task36-trial0", "travel insurance after booking policy", "cannot add travel insurance after"),
    ("tau_airline", "task24-trial0", "nonstop flights IAH to SFO May 19", "HAT180"),
    ("tau_airline", "task24-trial0", "available flights SFO to IAH business price", "HAT278"),
    ("tau_airline", "task08-trial1", "Mohamed Silva gift card payment", "gift_card_6136092"),
    ("tau_airline", "task08-trial1", "passenger Raj Sanchez birth date", "1986-09-12"),
    ("toolathlon", "academic-warning", "student with the largest score drop percentage", "Lisa Wright"),
    ("toolathlon", "academic-warning", "log sink filter CRITICAL_PERFORMANCE_DROP", "critical_drop_sink"),
    ("toolathlon", "merge-hf-datasets", "toolace_samples NameError", "is not defined"),
    ("toolathlon", "merge-hf-datasets", "unified dataset file size", "5001654"),
    ("toolathlon", "k8s-redis", "redis image version bitnamilegacy", "7.2.4-debian-12-r9"),
    ("toolathlon", "k8s-redis", "which commands does the master configuration rename", "rename-command FLUSHALL"),
    ("toolathlon", "k8s-redis", "disable persistence replica count", "replicaCount: 2"),
    ("toolathlon", "upenn-campus", "ENIAC address", "220 S 33rd St"),
    ("toolathlon", "upenn-campus", "Penn Museum latitude", "39.9492392"),
    ("toolathlon", "trip-itinerary", "Eiffel Tower address", "Av. Gustave Eiffel"),
    ("toolathlon", "landing-task", "Anthony Young employee email", "anthony.young28@mcp.com"),
    ("toolathlon", "landing-task", "deadline of the task Testing Development Environment", "2025-12-22"),
    ("toolathlon", "university-course", "区块链技术课程", "COMP130200.01"),
    ("toolathlon", "university-course", "自然语言处理考试时间", "2025-12-22"),
    ("toolathlon", "travel-expense", "Michael Bennett trip to Istanbul total amount", "CNY5708.61"),
    ("toolathlon", "travel-expense", "manager of Frances Jones", "marketing.manager@company.com"),
    ("toolathlon", "excel-market", "calculate_yoy_growth traceback", "line 68"),
    ("toolathlon", "gdp-cr5", "id of the spreadsheet GDP CR5 Analysis", "1NXmauL5Youdu6RnSL6xO3wadMOHQJCUY3aSNc6P589g"),
    ("specstory", "88c7bc2a", "deterministic ids for provenance deduplication", "SHA-256 of sessionID"),
    ("specstory", "32935927", "cloud authentication failed 401 revoked credentials", "specstory logout"),
    ("specstory", "bac63971", "comment says count as updated", "SessionsSkipped"),
    ("specstory", "ca68841f", "why was homeDirErr renamed", "osUserHomeDir"),
    ("specstory", "ca68841f", "warmup only sessions", "Skipping warmup-only session"),
    ("specstory", "a7593d23", "can we push a fix to the external fork", "huangruizhe"),
    ("specstory", "59fbed7f", "awk syntax error", "bailing out"),
    ("specstory", "ea61a7b5", "patch markers create file add file", "*** Modify File:"),
    ("specstory", "5459170d", "chunk size of the exchange inserts", "const chunkSize = 10"),
    ("aider", "2024-08-06", "count only non-blank lines in blame", "get_counts_for_file"),
    ("aider", "2024-08-10", "editblock tests passed", "18 passed"),
    ("aider", "2024-08-15", "title of the pass rate chart", "Pass rate by model and code wrapping strategy"),
    ("aider", "2024-08-15", "which lint command is configured", "tmp.lint.sh"),
    ("aider", "2024-08-19", "TypeError comparing MagicMock with int", "base_coder.py:242"),
    ("aider", "2024-08-10", "git diff colors pretty", "--no-color"),
    ("crosswoz_zh", "bundle00", "能做炸窝头的餐馆", "聚宝源"),
    ("crosswoz_zh", "bundle02", "凉拌土豆丝", "小吊梨汤(畅春园店)"),
    ("crosswoz_zh", "bundle04", "沙河的连锁酒店", "维也纳3好酒店"),
    ("crosswoz_zh", "bundle06", "周六周日营业时间", "11:00-14:30 17:00-21:30"),
    ("crosswoz_zh", "bundle08", "评分最高的餐馆", "奶酪魏"),
    ("crosswoz_zh", "bundle08", "画廊游玩时间", "宋庄画家村"),
];

const SOURCES: [&str; 5] = ["tau_airline", "toolathlon", "specstory", "aider", "crosswoz_zh"];

#[test]
fn a_question_about_a_fact_finds_the_message_that_holds_it() {
    let (mut asked, mut first, mut within_three) = (0, 0, 0);
    for source in SOURCES {
        let all = conversations(source);
        if all.is_empty() {
            return;
        }
        for (_, id, query, fact) in FACTS.iter().filter(|fact| fact.0 == source) {
            let conversation = all.iter().find(|one| one.id.contains(id)).expect("the conversation");
            assert!(conversation.texts.iter().any(|text| text.contains(fact)), "{id} has no {fact}");
            let rank = rank(conversation, query, fact);
            asked += 1;
            first += u32::from(rank == Some(1));
            within_three += u32::from(rank.is_some_and(|rank| rank <= 3));
            if rank.is_none_or(|rank| rank > 1) {
                println!("{source} {id}: \"{query}\" finds {fact} at {rank:?}");
            }
        }
    }
    println!("of {asked} questions, {first} found their fact first, {within_three} among the first three");
    assert!(within_three * 100 >= asked * 90 && first * 100 >= asked * 70, "{first}, {within_three} of {asked}");
}

/// Some words of a passage, of those that a reader would remember: not the shortest ones, evenly spread.
fn words_of(passage: &str) -> Vec<&str> {
    let mut words: Vec<&str> = Vec::new();
    for word in passage.split(|char: char| !char.is_alphanumeric()) {
        if word.chars().count() >= 5 && word.chars().any(char::is_alphabetic) && !words.contains(&word) {
            words.push(word);
        }
    }
    let step = words.len().div_ceil(4).max(1);
    words.into_iter().step_by(step).collect()
}

#[test]
fn four_words_of_a_passage_find_it() {
    let (mut asked, mut first, mut within_three) = (0, 0, 0);
    for source in SOURCES {
        let (mut here, mut here_first, mut here_three) = (0, 0, 0);
        for conversation in conversations(source) {
            for (at, text) in conversation.texts.iter().enumerate().filter(|(at, _)| conversation.told[*at]) {
                // From the middle of some of the longer messages.
                let characters: Vec<char> = text.chars().collect();
                if characters.len() < 150 || at % 5 != 0 {
                    continue;
                }
                let from = characters.len() / 3;
                let passage: String = characters[from..(from + 160).min(characters.len())].iter().collect();
                let words = words_of(&passage);
                if words.len() < 3 {
                    continue;
                }
                let rank = rank(&conversation, &words.join(" "), &passage);
                here += 1;
                here_first += u32::from(rank == Some(1));
                here_three += u32::from(rank.is_some_and(|rank| rank <= 3));
            }
        }
        println!("{source}: of {here} passages, {here_first} were found first, {here_three} among the first three");
        (asked, first, within_three) = (asked + here, first + here_first, within_three + here_three);
    }
    println!("of {asked} passages, {first} were found first, {within_three} among the first three");
    assert!(within_three * 100 >= asked * 80, "{first}, {within_three} of {asked}");
}
