//! Token counts: exact `o200k_base`, and `eval`'s formula over any counter.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::OnceLock;

use epitome::{Heuristic, TokenCounter};
use tiktoken_rs::CoreBPE;

use super::message::Msg;

/// Exact `o200k_base` counts. Counting is slow and the same texts come again and again, so counts are remembered.
#[derive(Debug, Clone, Copy, Default)]
pub struct O200k;

thread_local! {
    static SEEN: RefCell<HashMap<(usize, u64), u32>> = RefCell::default();
}

impl TokenCounter for O200k {
    fn count(&self, text: &str) -> u32 {
        static BPE: OnceLock<CoreBPE> = OnceLock::new();
        if text.is_empty() {
            return 0;
        }
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let key = (text.len(), hasher.finish());
        if let Some(count) = SEEN.with_borrow(|seen| seen.get(&key).copied()) {
            return count;
        }
        let bpe = BPE.get_or_init(|| tiktoken_rs::o200k_base().expect("o200k_base is built in"));
        let count = u32::try_from(bpe.encode_ordinary(text).len()).expect("fewer than 4 billion tokens");
        SEEN.with_borrow_mut(|seen| {
            if seen.len() > 2_000_000 {
                seen.clear();
            }
            seen.insert(key, count)
        });
        count
    }
}

/// Which counter a run uses, by name.
pub fn counters() -> [(&'static str, &'static dyn TokenCounter); 2] {
    [("heuristic", &Heuristic), ("o200k", &O200k)]
}

/// `eval`: 4 + content + for each call 4 + name + arguments. The content's texts only; a lower bound of what any counter
/// of ours says.
pub fn formula(counter: &dyn TokenCounter, message: &Msg) -> u64 {
    let count = |text: &str| u64::from(counter.count(text));
    let texts: u64 = message.texts().iter().map(|text| count(text)).sum();
    let calls: u64 = message.calls().iter().map(|(_, _, name, arguments)| 4 + count(name) + count(arguments)).sum();
    4 + texts + calls
}

pub fn formula_all(counter: &dyn TokenCounter, messages: &[Msg]) -> u64 {
    messages.iter().map(|message| formula(counter, message)).sum()
}

/// Counts what it is asked to count.
#[derive(Debug, Default)]
pub struct Counted {
    pub calls: Cell<u64>,
    pub bytes: Cell<u64>,
}

impl TokenCounter for Counted {
    fn count(&self, text: &str) -> u32 {
        self.calls.set(self.calls.get() + 1);
        self.bytes.set(self.bytes.get() + text.len() as u64);
        Heuristic::count(text)
    }
}
