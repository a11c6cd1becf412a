//! What crosses to JavaScript, by name: codes, policy keys with their defaults, keys of every record. The list in
//! `tests/types/contract.json` is compared with Rust here and with `index.d.ts` in `tests/node/types.test.mjs`, so that
//! neither can drift. `EPITOME_BLESS=1 cargo test --test contract` writes it.
#![cfg(not(target_family = "wasm"))]
#![allow(clippy::expect_used, clippy::indexing_slicing, reason = "tests fail loudly")]

use epitome::store::StoreErrorClass;
use epitome::{
    Breakdown, Change, Edit, Error, ErrorClass, Format, Layout, LayoutItem, ModelUse, Patch, Plan, Policy, Purpose,
    Repair, Report, SourceMark, Step, Summary, Tier, ViewMark, Violation, Warning,
};
use serde::Serialize;
use serde_json::{Value, json};

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/types/contract.json");

fn codes() -> Vec<&'static str> {
    let text = String::new;
    let errors = [
        Error::InvalidInput { index: None, field: None, reason: text() },
        Error::InvalidOption { option: text(), reason: text() },
        Error::UnknownFormat { index: None, looks_like: None, reason: text() },
        Error::TooDeep { index: 0, field: text() },
        Error::TooLarge { index: None, bytes: 0, limit: 0 },
        Error::IrreducibleBudget { limit: 0, required: 0, breakdown: Breakdown::default() },
        Error::StalePlan,
        Error::CannotUndo { index: None, reason: text() },
    ];
    errors.iter().map(Error::code).collect()
}

/// The keys of a record, in order of writing.
fn keys(record: &impl Serialize) -> Vec<String> {
    // Not through `Value`, which sorts.
    let text = serde_json::to_string(record).expect("JSON");
    let value: Value = serde_json::from_str(&text).expect("JSON");
    let mut keys: Vec<String> = value.as_object().expect("an object").keys().cloned().collect();
    keys.sort_by_key(|key| text.find(&format!("\"{key}\":")));
    keys
}

fn contract() -> Value {
    let change = Change { path: vec![Step::Index(0)], value: Some(String::new()), remove: true };
    let (index, tokens_before, tokens_after) = (0, 0, 0);
    let edits = [
        Edit::Prune { index, tokens_before, tokens_after, changes: vec![] },
        Edit::Shrink { index, tokens_before, tokens_after, changes: vec![] },
        Edit::Hide { from: 0, to: 0, tokens_before },
        Edit::Insert { before: 0, role: String::new(), text: String::new(), covers: 0, tokens_after },
    ];
    let violation = Violation { rule: String::new(), index, field: Some(String::new()), message: String::new() };
    let repair = Repair {
        rule: String::new(),
        action: String::new(),
        index,
        field: Some(String::new()),
        message: String::new(),
        tokens_before,
        tokens_after,
    };
    let warning = Warning { code: String::new(), message: String::new(), index: Some(0) };
    let summary = Summary { index, text: String::new(), tokens: 0, covers: 0 };
    let report = Report {
        format: Format::OpenAiChat,
        tier: Tier::None,
        before: 0,
        after: 0,
        limit: 0,
        overhead: 0,
        messages_before: 0,
        messages_after: 0,
        edits: vec![],
        repairs: vec![],
        first_changed_index: None,
        prefix_tokens: 0,
        summary: Some(summary.clone()),
        models: Some(ModelUse::default()),
        warnings: vec![],
    };
    let source = SourceMark { messages: 0, hash: String::new(), sizes: vec![], probe: 0 };
    let layout = Layout(vec![LayoutItem::Kept(0, 1), LayoutItem::Edited(1), LayoutItem::Inserted]);
    let view = ViewMark { messages: 0, hash: String::new(), layout: layout.clone() };
    let patch = Patch {
        version: 1,
        format: Format::OpenAiChat,
        source: source.clone(),
        view: view.clone(),
        edits: vec![],
        repairs: vec![],
    };
    let plan = Plan { version: 1, patch: patch.clone(), report: report.clone() };
    json!({
        "codes": codes(),
        "providerCodes": ErrorClass::ALL.map(ErrorClass::code),
        "storeCodes": StoreErrorClass::ALL.map(StoreErrorClass::code),
        "purposes": Purpose::ALL,
        "formats": Format::ALL.iter().map(|format| format.name()).collect::<Vec<_>>(),
        "tiers": [Tier::None, Tier::Soft, Tier::Hard],
        "policy": Policy::default(),
        "layout": layout,
        "keys": {
            "PruneEdit": keys(&edits[0]),
            "ShrinkEdit": keys(&edits[1]),
            "HideEdit": keys(&edits[2]),
            "InsertEdit": keys(&edits[3]),
            "Change": keys(&change),
            "Violation": keys(&violation),
            "Repair": keys(&repair),
            "Warning": keys(&warning),
            "Report": keys(&report),
            "Patch": keys(&patch),
            "Plan": keys(&plan),
        },
        "nested": {
            "Report.summary": keys(&summary),
            "Patch.source": keys(&source),
            "Patch.view": keys(&view),
            "irreducible_budget.breakdown": keys(&Breakdown::default()),
        },
    })
}

#[test]
fn the_contract_with_javascript_is_what_rust_exports() {
    let now = contract();
    if std::env::var_os("EPITOME_BLESS").is_some() {
        let text = serde_json::to_string_pretty(&now).expect("JSON") + "\n";
        std::fs::write(FILE, text).expect("a file that can be written");
    }
    let text = std::fs::read_to_string(FILE).expect("tests/types/contract.json");
    let listed: Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(now, listed, "EPITOME_BLESS=1 writes the list anew; then index.d.ts has to follow");
}
