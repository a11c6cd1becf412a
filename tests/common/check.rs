//! One fit, held to every promise that an offline fit makes.

use epitome::{
    Budget, Edit, Error, FitOptions, Fitted, Layout, LayoutItem, Messages, Patch, Plan, TokenCounter, apply,
    count_messages, fit_with, plan_with, repair, undo, validate,
};
use serde_json::Value;

use super::counting::{O200k, formula_all};
use super::irreducible;
use super::message::{Msg, short};
use super::rng::Rng;
use super::rules::{broken_promises, violations};

/// What one fit did.
#[derive(Debug, Clone)]
pub enum Outcome {
    Fits {
        before: u64,
        after: u64,
        limit: u64,
        summaries: usize,
        repairs: usize,
        edits: usize,
    },
    /// Refused, rightly.
    Irreducible {
        limit: u64,
        required: u64,
    },
}

pub struct Check<'c> {
    pub messages: &'c [String],
    pub options: &'c FitOptions,
    pub counter: &'c dyn TokenCounter,
    /// Also hold the view to exact `o200k_base` counts.
    pub exact: bool,
    /// For what is chosen at random: which message is tampered with.
    pub seed: u64,
}

/// The input as the crate takes it.
pub fn messages(raws: &[String]) -> Messages {
    Messages::from_json(&format!("[{}]", raws.join(","))).unwrap_or_else(|error| panic!("{error}"))
}

pub fn parsed(messages: &Messages) -> Vec<Msg> {
    Msg::all(messages.iter())
}

/// What is wrong, one line each, or what was done.
pub fn check(case: &Check<'_>) -> Result<Outcome, Vec<String>> {
    let given = messages(case.messages);
    if given.iter().ne(case.messages.iter().map(String::as_str)) {
        return Err(vec!["reading: the messages are not kept as they are".into()]);
    }
    let input = parsed(&given);
    let mended = match repair(&given, None) {
        Ok((mended, _)) => mended,
        Err(error) => return Err(vec![format!("repair fails: {} {error}", error.code())]),
    };
    let mended_view = parsed(&mended);
    let mut found: Vec<String> =
        violations(&mended_view).into_iter().map(|what| format!("repair leaves {what}")).collect();
    match fit_with(&given, case.options, case.counter) {
        Ok(fitted) => {
            let mut audit =
                Audit { case, given: &given, input: &input, mended: &mended, fitted: &fitted, found: &mut found };
            audit.all();
            if found.is_empty() {
                let summaries = fitted.report.edits.iter().filter(|edit| matches!(edit, Edit::Insert { .. })).count();
                let report = &fitted.report;
                Ok(Outcome::Fits {
                    before: report.before,
                    after: report.after,
                    limit: report.limit,
                    summaries,
                    repairs: report.repairs.len(),
                    edits: report.edits.len(),
                })
            } else {
                Err(found)
            }
        }
        Err(error) => refused(case, &given, &input, &mended_view, error, found),
    }
}

/// An error is right only where the irreducible set, computed here, is larger than the limit.
fn refused(
    case: &Check<'_>,
    given: &Messages,
    input: &[Msg],
    mended_view: &[Msg],
    error: Error,
    mut found: Vec<String>,
) -> Result<Outcome, Vec<String>> {
    let Error::IrreducibleBudget { limit, required, breakdown } = error else {
        found.push(format!("fit fails: {} {error}", error.code()));
        return Err(found);
    };
    if case.options.budget.limit().ok() != Some(limit) {
        found.push(format!("irreducible: the limit reported is {limit}"));
    }
    if required <= limit {
        found.push(format!("irreducible: {required} are required, which is within {limit}"));
    }
    let parts = [
        breakdown.overhead,
        breakdown.system,
        breakdown.pinned,
        breakdown.last_user,
        breakdown.open_tool_unit,
        breakdown.structure,
    ];
    if parts.iter().sum::<u64>() != required {
        found.push(format!("irreducible: the breakdown {breakdown:?} does not add up to {required}"));
    }
    let policy = &case.options.policy;
    let origin = origins(input, mended_view);
    let facts = irreducible::Given {
        pinned: origin.iter().map(|from| from.is_some_and(|from| case.options.pin.contains(&from))).collect(),
        protected: &policy.protect_tools,
        placeholder: &policy.placeholder,
        shrink_last_user: policy.shrink_last_user,
    };
    let size = |message: &Msg| size_of(&message.raw, case.counter);
    let mine = breakdown.overhead + irreducible::tokens(mended_view, &facts, case.counter, &size);
    if mine <= limit {
        found.push(format!(
            "irreducible: refused at limit {limit} (required {required}, {breakdown:?}), but what cannot be given up has only {mine} tokens"
        ));
    }
    // "The smallest size that these messages can be brought to" must be one that they can be brought to.
    if matches!(case.options.budget, Budget::Limit(_)) {
        let again = FitOptions { budget: Budget::Limit(required), ..case.options.clone() };
        if let Err(error) = fit_with(given, &again, case.counter) {
            found.push(format!("irreducible: said that {required} would do, but then: {error}"));
        }
    }
    if found.is_empty() { Ok(Outcome::Irreducible { limit, required }) } else { Err(found) }
}

/// For every mended message the given message that it comes from, found by the text: kept ones are identical; mended
/// ones differ in content only. Messages without an origin are stand-ins.
fn origins(input: &[Msg], mended: &[Msg]) -> Vec<Option<usize>> {
    let mut used = vec![false; input.len()];
    let mut out = vec![None; mended.len()];
    let mut by_raw: std::collections::BTreeMap<&str, Vec<usize>> = std::collections::BTreeMap::new();
    for (at, message) in input.iter().enumerate().rev() {
        by_raw.entry(message.raw.as_str()).or_default().push(at);
    }
    for (at, message) in mended.iter().enumerate() {
        if let Some(from) = by_raw.get_mut(message.raw.as_str()).and_then(Vec::pop) {
            used[from] = true;
            out[at] = Some(from);
        }
    }
    let rest = |message: &Msg| {
        let mut fields: Vec<(String, String)> =
            message.fields.iter().filter(|(key, _)| key != "content" && key != "tool_calls").cloned().collect();
        fields.sort();
        fields
    };
    for (at, message) in mended.iter().enumerate() {
        if out[at].is_some() {
            continue;
        }
        let twin = (0..input.len()).find(|from| !used[*from] && rest(&input[*from]) == rest(message));
        if let Some(from) = twin {
            used[from] = true;
            out[at] = Some(from);
        }
    }
    out
}

pub fn size_of(raw: &str, counter: &dyn TokenCounter) -> u64 {
    let mut one = Messages::default();
    one.push_json(raw).unwrap_or_else(|error| panic!("{error}"));
    count_messages(&one, None, counter).unwrap_or_else(|error| panic!("{error}"))
}

struct Audit<'a, 'c> {
    case: &'a Check<'c>,
    given: &'a Messages,
    input: &'a [Msg],
    mended: &'a Messages,
    fitted: &'a Fitted,
    found: &'a mut Vec<String>,
}

impl Audit<'_, '_> {
    fn bad(&mut self, what: impl Into<String>) {
        if self.found.len() < 12 {
            self.found.push(super::message::clip(&what.into(), 300));
        }
    }

    fn all(&mut self) {
        let view = parsed(&self.fitted.messages);
        self.valid(&view);
        self.sizes(&view);
        self.identical(&view);
        self.kept(&view);
        self.smaller(&view);
        self.prefix();
        self.undone();
        self.twice();
        self.planned();
        self.tampered();
    }

    // 1
    fn valid(&mut self, view: &[Msg]) {
        for what in violations(view) {
            self.bad(format!("valid: {what}"));
        }
        for what in broken_promises(self.input, view) {
            if !(self.case.options.policy.shrink_last_user && what.starts_with("the last user message")) {
                self.bad(format!("kept: {what}"));
            }
        }
        match validate(&self.fitted.messages, None) {
            Ok(found) if found.is_empty() => {}
            other => self.bad(format!("valid: the crate's own judgement of its view is {other:?}")),
        }
    }

    // 2
    fn sizes(&mut self, view: &[Msg]) {
        let (report, counter) = (self.fitted.report.clone(), self.case.counter);
        let count = |messages: &Messages| count_messages(messages, None, counter).unwrap_or(u64::MAX);
        if report.after > report.limit {
            self.bad(format!("fits: {} tokens are over the limit of {}", report.after, report.limit));
        }
        if self.case.options.budget.limit().ok() != Some(report.limit) {
            self.bad(format!("fits: the limit reported is {}", report.limit));
        }
        let (before, after) = (count(self.given) + report.overhead, count(&self.fitted.messages) + report.overhead);
        if before != report.before || after != report.after {
            self.bad(format!(
                "sizes: the report says {} -> {}, counted are {before} -> {after}",
                report.before, report.after
            ));
        }
        let least = formula_all(counter, view) + report.overhead;
        if least > report.after {
            self.bad(format!("sizes: {} is below eval's formula, {least}", report.after));
        }
        if self.case.exact {
            let exact = formula_all(&O200k, view);
            if exact > report.limit {
                self.bad(format!(
                    "exact: {exact} o200k tokens are over the limit of {} ({} by the counter in use)",
                    report.limit, report.after
                ));
            }
        }
        if (report.messages_before, report.messages_after) != (self.input.len(), view.len()) {
            self.bad("sizes: the numbers of messages in the report are wrong");
        }
        if matches!(self.case.options.budget, Budget::Limit(limit) if count(self.mended) + report.overhead <= limit)
            && !report.edits.is_empty()
        {
            self.bad(format!("sizes: it fits already, but was edited: {:?}", short(&format!("{:?}", report.edits))));
        }
    }

    // 3, with the layout as the witness: what it calls kept must be identical, the rest must be accounted for.
    fn identical(&mut self, view: &[Msg]) {
        let patch = self.fitted.patch.clone();
        let Layout(items) = &patch.view.layout;
        let moved = |index: usize| patch.repairs.iter().any(|repair| repair.index == index && repair.action == "move");
        let mut seen = vec![false; self.input.len()];
        let mut inserted = Vec::new();
        let mut at = 0;
        let mut last: Option<usize> = None;
        let mut sources = Vec::new();
        for item in items {
            match item {
                LayoutItem::Kept(from, to) => {
                    for index in *from..*to {
                        sources.push((index, at, false));
                        at += 1;
                    }
                }
                LayoutItem::Edited(index) => {
                    sources.push((*index, at, true));
                    at += 1;
                }
                LayoutItem::Inserted => {
                    inserted.push(at);
                    at += 1;
                }
            }
        }
        if at != view.len() {
            self.bad(format!("identical: the layout has {at} messages, the view {}", view.len()));
            return;
        }
        for (index, at, edited) in sources {
            let Some(source) = self.input.get(index) else {
                self.bad("identical: the layout names a message that was not given");
                return;
            };
            if std::mem::replace(&mut seen[index], true) {
                self.bad(format!("identical: message {index} stands there twice"));
            }
            if !moved(index) {
                if last.is_some_and(|last| last >= index) {
                    self.bad(format!("order: message {index} stands after {last:?}"));
                }
                last = Some(index);
            }
            if edited {
                if let Some(what) = wrong_edit(source, &view[at]) {
                    self.bad(format!(
                        "identical: message {index}: {what}: {} -> {}",
                        short(&source.raw),
                        short(&view[at].raw)
                    ));
                }
                let known = patch.repairs.iter().any(|repair| repair.index == index)
                    || patch.edits.iter().any(|edit| matches!(edit, Edit::Prune { index: of, .. } | Edit::Shrink { index: of, .. } if *of == index));
                if !known {
                    self.bad(format!("identical: message {index} was edited without a record"));
                }
            } else if source.raw != view[at].raw {
                self.bad(format!(
                    "identical: message {index} is not the same: {} -> {}",
                    short(&source.raw),
                    short(&view[at].raw)
                ));
            }
        }
        for (index, seen) in seen.iter().enumerate() {
            let hidden = patch
                .edits
                .iter()
                .any(|edit| matches!(edit, Edit::Hide { from, to, .. } if (*from..*to).contains(&index)));
            let dropped = patch.repairs.iter().any(|repair| repair.index == index && repair.action == "drop");
            if *seen && hidden {
                self.bad(format!("identical: message {index} is visible, but recorded as hidden"));
            }
            if !*seen && !hidden && !dropped {
                self.bad(format!("identical: message {index} vanished without a record"));
            }
        }
        let inserts = patch.edits.iter().filter(|edit| matches!(edit, Edit::Insert { .. })).count();
        let stand_ins = patch.repairs.iter().filter(|repair| repair.action == "insert").count();
        if inserted.len() < inserts || inserted.len() > inserts + stand_ins {
            self.bad(format!(
                "identical: {} messages were added, but {inserts} summaries and {stand_ins} stand-ins are recorded",
                inserted.len()
            ));
        }
        let mut previous = None;
        for at in inserted {
            let summary = !view[at].is_result();
            if summary && previous == Some(at.wrapping_sub(1)) && !view[at - 1].is_result() {
                self.bad(format!("one summary per run: there are two in a row at {at}"));
            }
            previous = Some(at);
        }
        if patch.edits != self.fitted.report.edits || patch.repairs != self.fitted.report.repairs {
            self.bad("report: its edits or repairs are not the patch's");
        }
    }

    // 4
    fn kept(&mut self, view: &[Msg]) {
        let _ = view;
        let policy = &self.case.options.policy;
        let last_user =
            self.input.iter().rposition(|message| message.role() == "user" && !message.looks_like_summary());
        let open = if self.fitted.report.repairs.is_empty() { open_unit(self.input) } else { None };
        let mut found = Vec::new();
        for edit in &self.fitted.patch.edits {
            let (range, prune) = match edit {
                Edit::Prune { index, .. } => (*index..index + 1, true),
                Edit::Shrink { index, .. } => (*index..index + 1, false),
                Edit::Hide { from, to, .. } => (*from..*to, false),
                Edit::Insert { .. } => continue,
            };
            let shrink = matches!(edit, Edit::Shrink { .. });
            for index in range {
                let message = &self.input[index];
                let dropped =
                    self.fitted.report.repairs.iter().any(|repair| repair.index == index && repair.action == "drop");
                if dropped {
                    continue;
                }
                if message.is_system() {
                    found.push(format!("kept: system message {index} was edited by {edit:?}"));
                }
                if self.case.options.pin.contains(&index) && !message.looks_like_summary() {
                    found.push(format!("kept: pinned message {index} was edited by {edit:?}"));
                }
                if Some(index) == last_user && !(policy.shrink_last_user && shrink) {
                    found.push(format!("kept: the last user message, {index}, was edited by {edit:?}"));
                }
                if prune
                    && policy.protect_tools.iter().any(|tool| tool_of(self.input, index).as_ref() == Some(tool))
                    && self.fitted.report.repairs.is_empty()
                {
                    found.push(format!("kept: the result {index} of a protected tool was pruned"));
                }
                if prune && !message.is_result() {
                    found.push(format!("kept: message {index} was pruned, but is no result"));
                }
                if let Some(open) = &open
                    && open.contains(&index)
                    && !(shrink && message.is_result())
                {
                    found.push(format!("kept: message {index} of the open tool unit was edited by {edit:?}"));
                }
            }
        }
        for what in found {
            self.bad(short(&what));
        }
    }

    // 5
    fn smaller(&mut self, view: &[Msg]) {
        let counter = self.case.counter;
        let mended = count_messages(self.mended, None, counter).unwrap_or_default();
        if self.fitted.report.after > mended + self.fitted.report.overhead {
            self.bad(format!("smaller: {} tokens were needed, now {}", mended, self.fitted.report.after));
        }
        let edits = self.fitted.patch.edits.clone();
        let Layout(items) = &self.fitted.patch.view.layout;
        let mut place = std::collections::BTreeMap::new();
        let mut at = 0;
        for item in items {
            match item {
                LayoutItem::Kept(from, to) => at += to - from,
                LayoutItem::Edited(index) => {
                    place.insert(*index, at);
                    at += 1;
                }
                LayoutItem::Inserted => at += 1,
            }
        }
        for edit in &edits {
            match edit {
                Edit::Prune { index, tokens_before, tokens_after, .. }
                | Edit::Shrink { index, tokens_before, tokens_after, .. } => {
                    if tokens_after >= tokens_before {
                        self.bad(format!(
                            "smaller: message {index} went from {tokens_before} to {tokens_after} tokens"
                        ));
                    }
                    if let Some(view) = place.get(index).and_then(|at| view.get(*at)) {
                        let now = size_of(&view.raw, counter);
                        if now != *tokens_after {
                            self.bad(format!(
                                "sizes: message {index} is recorded with {tokens_after} tokens, but has {now}"
                            ));
                        }
                    }
                }
                _ => {}
            }
        }
        // A summary is smaller than what it stands for, unless a user message had to come first.
        let first = view.iter().position(|message| !message.is_system());
        // What was added for a call without a result is hidden with that call, but has no index to be hidden by.
        let stand_ins = |range: std::ops::Range<usize>| -> u64 {
            let repairs = self.fitted.report.repairs.iter();
            repairs
                .filter(|repair| repair.action == "insert" && range.contains(&repair.index))
                .map(|repair| repair.tokens_after)
                .sum()
        };
        let hidden = |edit: &Edit| match edit {
            Edit::Hide { from, to, tokens_before } => Some(tokens_before + stand_ins(*from..*to)),
            _ => None,
        };
        let mut bad = Vec::new();
        for (number, edit) in edits.iter().enumerate() {
            if let Edit::Insert { tokens_after, text, .. } = edit {
                let hidden_after: u64 = edits[number + 1..].iter().map_while(hidden).sum();
                let leads = first.is_some_and(|first| view[first].texts().first() == Some(text));
                if *tokens_after >= hidden_after && hidden_after > 0 && !leads {
                    bad.push(format!("smaller: a summary of {tokens_after} tokens stands for {hidden_after}"));
                }
            }
        }
        for what in bad {
            self.bad(what);
        }
    }

    // 8
    fn prefix(&mut self) {
        let report = &self.fitted.report;
        let given: Vec<&str> = self.given.iter().collect();
        let view: Vec<&str> = self.fitted.messages.iter().collect();
        let same = given.iter().zip(&view).take_while(|(a, b)| a == b).count();
        let count =
            |to: usize| view[..to].iter().map(|raw| size_of(raw, self.case.counter)).sum::<u64>() + report.overhead;
        let (claimed, tokens) = (report.first_changed_index, report.prefix_tokens);
        if self.case.options.previous.is_some() {
            return;
        }
        match claimed {
            Some(at) if at > same || at > view.len() => {
                self.bad(format!("prefix: said to change at {at}, but does at {same}"))
            }
            Some(at) if count(at) != tokens => {
                let counted = count(at);
                self.bad(format!(
                    "prefix: {tokens} tokens are said to stand before message {at}, but there are {counted}"
                ));
            }
            None if same < given.len() => self.bad(format!("prefix: said to be whole, but changes at {same}")),
            _ => {}
        }
        if let Some(summary) = report.summary.clone() {
            let there = view.get(summary.index).map(|raw| Msg::new(raw).texts());
            if there != Some(vec![summary.text.clone()]) {
                self.bad(format!("report: the summary is not at {}", summary.index));
            }
        }
    }

    // 7
    fn undone(&mut self) {
        let patch = &self.fitted.patch;
        let json = serde_json::to_string(patch).unwrap_or_default();
        let again: Patch = match serde_json::from_str(&json) {
            Ok(again) => again,
            Err(error) => {
                self.bad(format!("patch: does not survive JSON: {error}"));
                return;
            }
        };
        if again != *patch {
            self.bad("patch: is not the same after JSON");
        }
        match undo(&self.fitted.messages, &again, self.given) {
            Ok(back) if back.iter().eq(self.given.iter()) => {}
            Ok(back) => self.bad(format!("undo: {} messages came back of {}, or others", back.len(), self.given.len())),
            Err(error) => self.bad(format!("undo: {error}")),
        }
        let mut grown = self.fitted.messages.clone();
        let more =
            [r#"{"role":"assistant","content":"later"}"#, r#"{"role": "user", "content": null, "deep": [[[]]]}"#, "17"];
        for raw in more {
            if grown.push_json(raw).is_err() {
                self.bad("undo: cannot append");
            }
        }
        match undo(&grown, &again, self.given) {
            Ok(back) if back.iter().eq(self.given.iter().chain(more)) => {}
            Ok(_) => self.bad("undo: not exact after messages were appended"),
            Err(error) => self.bad(format!("undo after messages were appended: {error}")),
        }
    }

    // 6
    fn twice(&mut self) {
        let case = self.case;
        match fit_with(self.given, case.options, case.counter) {
            Ok(again)
                if again.messages == self.fitted.messages
                    && again.patch == self.fitted.patch
                    && again.report == self.fitted.report => {}
            _ => self.bad("deterministic: the same call gave something else"),
        }
        // The view, fitted again, is the view.
        let mut pin = Vec::new();
        let mut at = 0;
        for item in &self.fitted.patch.view.layout.0 {
            match item {
                LayoutItem::Kept(from, to) => {
                    pin.extend(
                        (*from..*to).filter(|index| case.options.pin.contains(index)).map(|index| at + index - from),
                    );
                    at += to - from;
                }
                LayoutItem::Edited(index) => {
                    if case.options.pin.contains(index) {
                        pin.push(at);
                    }
                    at += 1;
                }
                LayoutItem::Inserted => at += 1,
            }
        }
        let options = FitOptions { pin, ..case.options.clone() };
        match fit_with(&self.fitted.messages, &options, case.counter) {
            Ok(again) => {
                if !again.report.repairs.is_empty() {
                    self.bad(format!(
                        "idempotent: a second pass repairs {:?}",
                        short(&format!("{:?}", again.report.repairs))
                    ));
                } else if again.messages != self.fitted.messages || !again.report.edits.is_empty() {
                    self.bad(format!(
                        "idempotent{}: a second pass changes the view, {} -> {} tokens (limit {}): {}",
                        if matches!(case.options.budget, Budget::Window { .. }) { " (window)" } else { "" },
                        again.report.before,
                        again.report.after,
                        again.report.limit,
                        short(&format!("{:?}", again.report.edits))
                    ));
                }
            }
            Err(error) => self.bad(format!("idempotent: a second pass fails: {error}")),
        }
        // The same messages with the patch of the first pass give the same view.
        let options = FitOptions { previous: Some(self.fitted.patch.clone()), ..case.options.clone() };
        match fit_with(self.given, &options, case.counter) {
            Ok(again) => {
                if again.messages != self.fitted.messages {
                    self.bad(format!(
                        "previous{}: the same messages give another view, {} -> {} tokens (limit {})",
                        if matches!(case.options.budget, Budget::Window { .. }) { " (window)" } else { "" },
                        self.fitted.report.after,
                        again.report.after,
                        again.report.limit
                    ));
                } else if again.report.first_changed_index.is_some() {
                    self.bad(format!(
                        "previous: nothing changed, but the prefix is said to at {:?}",
                        again.report.first_changed_index
                    ));
                }
                if again.report.warnings.iter().any(|warning| warning.code == "previous_ignored") {
                    self.bad("previous: was ignored although nothing changed");
                }
            }
            Err(error) => self.bad(format!("previous: the same messages fail: {error}")),
        }
    }

    fn planned(&mut self) {
        let case = self.case;
        let plan = match plan_with(self.given, case.options, case.counter) {
            Ok(plan) => plan,
            Err(error) => {
                self.bad(format!("plan: {error}"));
                return;
            }
        };
        let json = serde_json::to_string(&plan).unwrap_or_default();
        match serde_json::from_str::<Plan>(&json) {
            Ok(again) if again == plan => {}
            Ok(_) => self.bad("plan: is not the same after JSON"),
            Err(error) => self.bad(format!("plan: does not survive JSON: {error}")),
        }
        match apply(self.given, &plan) {
            Ok(done)
                if done.messages == self.fitted.messages
                    && done.patch == self.fitted.patch
                    && done.report == self.fitted.report => {}
            Ok(_) => self.bad("plan: applying it gives something else than fitting"),
            Err(error) => self.bad(format!("plan: cannot be applied: {error}")),
        }
        let mut grown = self.given.clone();
        let _ = grown.push_json(r#"{"role":"user","content":"one more"}"#);
        match apply(&grown, &plan) {
            Err(Error::StalePlan) => {}
            other => self.bad(format!("plan: applied to other messages gives {:?}", other.map(|_| ()))),
        }
    }

    fn tampered(&mut self) {
        let mut rng = Rng::new(self.case.seed ^ 0xDEAD);
        let view: Vec<String> = self.fitted.messages.iter().map(str::to_owned).collect();
        if view.is_empty() {
            return;
        }
        let at = rng.below(view.len());
        let tampered = if Msg::new(&view[at]).is_result() {
            Msg::new(&view[at]).raw_field("tool_call_id").map_or_else(
                || r#"{"role":"function","name":"no_such","content":"tampered"}"#.to_owned(),
                |id| format!(r#"{{"role":"tool","tool_call_id":{id},"content":"tampered"}}"#),
            )
        } else {
            r#"{"role":"user","content":"tampered"}"#.to_owned()
        };
        let mut others = vec![("changed", view.clone()), ("removed", view.clone())];
        others[0].1[at] = tampered;
        others[1].1.remove(at);
        for (what, other) in others {
            match undo(&messages(&other), &self.fitted.patch, self.given) {
                Err(Error::CannotUndo { .. }) => {}
                other => self
                    .bad(format!("undo of a view with message {at} {what} gives {:?}", other.map(|back| back.len()))),
            }
        }
    }
}

/// The last unit, if it is a call with its results: for messages that are in order.
pub fn open_unit(messages: &[Msg]) -> Option<std::ops::Range<usize>> {
    let start = messages.iter().rposition(|message| !message.is_system() && !message.is_result())?;
    let end = (start + 1..messages.len()).find(|at| !messages[*at].is_result()).unwrap_or(messages.len());
    messages[start].has_calls().then_some(start..end)
}

/// The tool whose result this is: for messages that are in order.
fn tool_of(messages: &[Msg], index: usize) -> Option<String> {
    let result = &messages[index];
    let key = result.get(if result.role() == "function" { "name" } else { "tool_call_id" });
    let call = messages[..index].iter().rev().find(|message| !message.is_result())?;
    call.calls().into_iter().find(|(_, id, ..)| Some(id.as_str()) == key.as_str()).map(|(_, _, name, _)| name)
}

/// An edit changes the texts of `content` and nothing else; a repair may also remove an empty list of calls.
fn wrong_edit(before: &Msg, after: &Msg) -> Option<String> {
    let other = |message: &Msg| -> Vec<(String, String)> {
        let empty_calls = |key: &str, value: &str| {
            key == "tool_calls" && value.chars().filter(|c| !c.is_whitespace()).eq("[]".chars())
        };
        message.fields.iter().filter(|(key, value)| key != "content" && !empty_calls(key, value)).cloned().collect()
    };
    if other(before) != other(after) {
        return Some("another field than the content was changed".into());
    }
    match (before.get("content"), after.get("content")) {
        (_, Value::String(_)) if before.is_result() => None,
        (Value::String(_) | Value::Null, Value::String(_)) => None,
        (Value::Array(parts), Value::String(_)) if parts.is_empty() => None,
        (Value::Array(before), Value::Array(after)) => {
            let bare = |part: &Value| {
                let mut part = part.clone();
                if part["type"] == "text" {
                    part["text"] = Value::Null;
                }
                part
            };
            (before.iter().map(bare).ne(after.iter().map(bare)))
                .then(|| "parts were changed in more than their text".into())
        }
        (before, after) if before == after => None,
        (before, after) => Some(format!("the content went from {} to {}", kind(&before), kind(&after))),
    }
}

fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::String(_) => "text",
        Value::Array(_) => "parts",
        _ => "something else",
    }
}
