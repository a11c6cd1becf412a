//! Patches and plans on their way in: they cross on the flat wire like everything else.

use crate::error::{Boxed, Error};
use crate::fields::{FromValue, Wrong, field};
#[cfg(any(not(target_family = "wasm"), feature = "session"))]
use crate::transcript::Plan;
use crate::transcript::{Patch, RECORD_VERSION};
use crate::value::Value;

/// The patch in option `option`.
pub(super) fn patch(option: &str, value: &Value<'_>) -> Boxed<Patch> {
    Patch::from_value(value).map_err(|at| wrong(option, "`fit` or `apply`", at))
}

/// The patch of an undo, which must be of this version. (A `previous` of another version is merely ignored.)
pub(super) fn current_patch(value: &Value<'_>) -> Boxed<Patch> {
    let patch = patch("patch", value)?;
    if patch.version == RECORD_VERSION {
        Ok(patch)
    } else {
        Err(Error::cannot_undo(None, "the patch was made by another version of Epitome"))
    }
}

/// Version and patch of the plan in option `plan`: carrying it out needs no more, and the shell keeps the report.
pub(super) fn plan(value: &Value<'_>) -> Boxed<(u32, Patch)> {
    let read = || {
        value.get_some("report").ok_or(Wrong("report"))?;
        Ok((field(value, "version")?, field(value, "patch")?))
    };
    read().map_err(of_plan)
}

/// The whole plan in option `plan`, a JSON text: that of a session.
#[cfg(any(not(target_family = "wasm"), feature = "session"))]
pub(super) fn plan_text(text: &str) -> Boxed<Plan> {
    let value = crate::json::parse(text, None)?;
    Plan::from_value(&value).map_err(of_plan)
}

fn of_plan(at: Wrong) -> Box<Error> {
    wrong("plan", "`plan`", at)
}

#[cold]
#[inline(never)]
fn wrong(option: &str, made_by: &str, at: Wrong) -> Box<Error> {
    match at {
        Wrong("") => Error::option(option, format_args!("must be what {made_by} returned")),
        Wrong(field) => {
            Error::option(option, format_args!("must be what {made_by} returned, but its `{field}` is not"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{patch, plan, plan_text};
    use crate::error::Error;
    use crate::transcript::{Patch, Plan};
    use crate::value::Value;

    const PATCH: &str = r#"{"version":1,"format":"openai-chat","source":{"messages":9,"hash":"00000000000000aa","sizes":[1,2,3,4,5,6,7,8,9],"probe":20},
        "view":{"messages":4,"hash":"00000000000000bb","layout":[[0,2],null,4,[8,9]]},
        "edits":[
            {"kind":"prune","index":4,"tokensBefore":90,"tokensAfter":9,"changes":[{"path":["content",0,"text"],"value":"é"}]},
            {"kind":"shrink","index":4,"tokensBefore":9,"tokensAfter":8,"changes":[{"path":["name"],"remove":true}]},
            {"kind":"hide","from":2,"to":4,"tokensBefore":50},
            {"kind":"insert","before":2,"role":"user","text":"...","covers":2,"tokensAfter":5}],
        "repairs":[
            {"rule":"C1","action":"drop","index":7,"field":"tool_call_id","message":"m","tokensBefore":1,"tokensAfter":0},
            {"rule":"C2","action":"insert","index":6,"message":"m","tokensBefore":0,"tokensAfter":3}]}"#;

    const REPORT: &str = r#"{"format":"openai-chat","tier":"hard","before":9,"after":8,"limit":7,"overhead":0,
        "messagesBefore":9,"messagesAfter":4,"edits":[],"repairs":[],"firstChangedIndex":null,"prefixTokens":0,
        "warnings":[]}"#;

    fn value(json: &str) -> Value<'_> {
        crate::json::parse(json, None).expect("JSON")
    }

    #[test]
    fn a_patch_reads_as_its_json_does() {
        let expected: Patch = serde_json::from_str(PATCH).expect("a patch");
        assert_eq!(patch("previous", &value(PATCH)), Ok(expected));
    }

    #[test]
    fn a_plan_reads_as_far_as_applying_needs_it() {
        let json = format!(r#"{{"version":1,"patch":{PATCH},"report":{REPORT}}}"#);
        let expected: Plan = serde_json::from_str(&json).expect("a plan");
        let read = plan(&value(&json)).expect("a plan");
        assert_eq!(read, (expected.version, expected.patch.clone()));
        assert_eq!(plan_text(&json), Ok(expected));
    }

    #[test]
    fn a_field_that_is_missing_or_wrong_is_named() {
        for (from, to, field) in [
            (r#""version":1,"#, "", "version"),
            (r#""format":"openai-chat""#, r#""format":"other""#, "format"),
            (r#""messages":9"#, r#""messages":-1"#, "messages"),
            (r#""messages":9"#, r#""messages":1.5"#, "messages"),
            ("[0,2]", "[0,2,3]", "layout"),
            (r#""sizes":[1,"#, r#""sizes":["1","#, "sizes"),
            (r#""probe":20"#, r#""probe":-1"#, "probe"),
            (r#""kind":"hide""#, r#""kind":"burn""#, "kind"),
            (r#""path":["content",0,"text"]"#, r#""path":[true]"#, "path"),
            (r#""value":"é""#, r#""value":7"#, "value"),
            (r#""rule":"C1""#, r#""rule":null"#, "rule"),
        ] {
            let json = PATCH.replacen(from, to, 1);
            assert_ne!(json, PATCH, "{from}");
            let Err(Error::InvalidOption { option, reason }) = patch("previous", &value(&json)).map_err(|error| *error)
            else {
                panic!("{from} -> {to} was accepted");
            };
            assert_eq!(option, "previous");
            assert!(reason.contains(&format!("`{field}`")), "{reason}");
        }
    }
}
