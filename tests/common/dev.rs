//! The real conversations beside the project, `../shared/data/dev`.

use std::path::PathBuf;

use serde_json::value::RawValue;

pub const SOURCES: [&str; 5] = ["tau_airline", "toolathlon", "specstory", "aider", "crosswoz_zh"];

#[derive(Debug, Clone)]
pub struct Conversation {
    pub id: String,
    /// One JSON text per message, as in the file.
    pub messages: Vec<String>,
}

/// The conversations of one source. `None`, with a message, where the folder is absent.
pub fn load(source: &str) -> Option<Vec<Conversation>> {
    #[derive(serde::Deserialize)]
    struct Record {
        id: String,
        messages: Vec<Box<RawValue>>,
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(format!("../shared/data/dev/{source}.jsonl"));
    let Ok(text) = std::fs::read_to_string(&path) else {
        println!("SKIPPED: no real conversations at {}; this test looked at nothing", path.display());
        return None;
    };
    let conversations = text
        .lines()
        .filter(|line| !line.trim().is_empty())
        .map(|line| {
            let record: Record = serde_json::from_str(line).expect("a conversation per line");
            Conversation { id: record.id, messages: record.messages.iter().map(|raw| raw.get().to_owned()).collect() }
        })
        .collect();
    Some(conversations)
}

/// Where `eval` cuts: near 50, 70 and 90 % of the messages, each before an assistant message and after a user's or a
/// tool's.
pub fn cuts(roles: &[String]) -> Vec<usize> {
    let n = roles.len();
    let is = |at: usize, names: &[&str]| names.contains(&roles[at].as_str());
    let fit: Vec<usize> =
        (4..n.saturating_sub(1)).filter(|t| is(*t, &["assistant"]) && is(t - 1, &["user", "tool"])).collect();
    let mut out = Vec::new();
    for tenths in [5, 7, 9] {
        let best = fit.iter().min_by_key(|t| ((**t * 10).abs_diff(tenths * n), **t));
        if let Some(best) = best
            && !out.contains(best)
        {
            out.push(*best);
        }
    }
    out
}
