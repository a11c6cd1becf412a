//! Patches and plans on their way in.
//!
//! They cross on the flat wire like everything else and are read field by field here: the general JSON reader behind
//! `Deserialize` would be a third of the module's code (natively it is used, and there it costs nothing).

use crate::error::{Boxed, Error};
use crate::format::Format;
use crate::transcript::{Change, Edit, Layout, LayoutItem, Patch, RECORD_VERSION, Repair, SourceMark, Step, ViewMark};
use crate::value::Value;

/// The patch in option `option`.
pub(super) fn patch(option: &str, value: &Value<'_>) -> Boxed<Patch> {
    Reader { option, made_by: "`fit` or `apply`" }.patch(value)
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
    let reader = Reader { option: "plan", made_by: "`plan`" };
    reader.field(value, "report")?;
    Ok((reader.version(value)?, reader.patch(reader.field(value, "patch")?)?))
}

struct Reader<'o> {
    option: &'o str,
    made_by: &'static str,
}

impl Reader<'_> {
    fn patch(&self, value: &Value<'_>) -> Boxed<Patch> {
        let source = self.field(value, "source")?;
        let view = self.field(value, "view")?;
        Ok(Patch {
            version: self.version(value)?,
            format: self
                .text(value, "format")
                .map(|name| Format::from_name(&name))?
                .ok_or_else(|| self.wrong("format"))?,
            source: SourceMark {
                messages: self.index(source, "messages")?,
                hash: self.text(source, "hash")?,
                sizes: self.list(source, "sizes", |size| self.small(size, "sizes"))?,
                probe: self.small(self.field(source, "probe")?, "probe")?,
            },
            view: ViewMark {
                messages: self.index(view, "messages")?,
                hash: self.text(view, "hash")?,
                layout: Layout(self.list(view, "layout", |item| self.layout_item(item))?),
            },
            edits: self.list(value, "edits", |edit| self.edit(edit))?,
            repairs: self.list(value, "repairs", |repair| self.repair(repair))?,
        })
    }

    fn layout_item(&self, value: &Value<'_>) -> Boxed<LayoutItem> {
        let wrong = || self.wrong("layout");
        Ok(match value {
            Value::Null => LayoutItem::Inserted,
            Value::Array(range) => match range.as_slice() {
                [from, to] => LayoutItem::Kept(whole(from).ok_or_else(wrong)?, whole(to).ok_or_else(wrong)?),
                _ => return Err(wrong()),
            },
            other => LayoutItem::Edited(whole(other).ok_or_else(wrong)?),
        })
    }

    fn edit(&self, value: &Value<'_>) -> Boxed<Edit> {
        let kind = self.text(value, "kind")?;
        Ok(match kind.as_str() {
            "prune" | "shrink" => {
                let index = self.index(value, "index")?;
                let tokens_before = self.tokens(value, "tokensBefore")?;
                let tokens_after = self.tokens(value, "tokensAfter")?;
                let changes = self.list(value, "changes", |change| self.change(change))?;
                if kind == "prune" {
                    Edit::Prune { index, tokens_before, tokens_after, changes }
                } else {
                    Edit::Shrink { index, tokens_before, tokens_after, changes }
                }
            }
            "hide" => Edit::Hide {
                from: self.index(value, "from")?,
                to: self.index(value, "to")?,
                tokens_before: self.tokens(value, "tokensBefore")?,
            },
            "insert" => Edit::Insert {
                before: self.index(value, "before")?,
                role: self.text(value, "role")?,
                text: self.text(value, "text")?,
                covers: self.index(value, "covers")?,
                tokens_after: self.tokens(value, "tokensAfter")?,
            },
            _ => return Err(self.wrong("kind")),
        })
    }

    fn change(&self, value: &Value<'_>) -> Boxed<Change> {
        let path = self.list(value, "path", |step| match step {
            Value::String(key) => Ok(Step::Key(key.as_ref().to_owned())),
            other => whole(other).map(Step::Index).ok_or_else(|| self.wrong("path")),
        })?;
        let text = match value.get_some("value") {
            None => None,
            Some(text) => Some(text.as_str().ok_or_else(|| self.wrong("value"))?.to_owned()),
        };
        Ok(Change { path, value: text, remove: matches!(value.get("remove"), Some(Value::Bool(true))) })
    }

    fn repair(&self, value: &Value<'_>) -> Boxed<Repair> {
        let field = value.get_some("field").map(|_| self.text(value, "field")).transpose()?;
        Ok(Repair {
            rule: self.text(value, "rule")?,
            action: self.text(value, "action")?,
            index: self.index(value, "index")?,
            field,
            message: self.text(value, "message")?,
            tokens_before: self.tokens(value, "tokensBefore")?,
            tokens_after: self.tokens(value, "tokensAfter")?,
        })
    }

    fn version(&self, value: &Value<'_>) -> Boxed<u32> {
        self.small(self.field(value, "version")?, "version")
    }

    fn small(&self, value: &Value<'_>, name: &'static str) -> Boxed<u32> {
        whole(value).and_then(|number| u32::try_from(number).ok()).ok_or_else(|| self.wrong(name))
    }

    #[inline(never)]
    fn text(&self, value: &Value<'_>, name: &'static str) -> Boxed<String> {
        self.field(value, name)?.as_str().map(str::to_owned).ok_or_else(|| self.wrong(name))
    }

    #[inline(never)]
    fn tokens(&self, value: &Value<'_>, name: &'static str) -> Boxed<u64> {
        self.index(value, name).map(|number| number as u64)
    }

    #[inline(never)]
    fn index(&self, value: &Value<'_>, name: &'static str) -> Boxed<usize> {
        whole(self.field(value, name)?).ok_or_else(|| self.wrong(name))
    }

    fn list<T>(
        &self,
        value: &Value<'_>,
        name: &'static str,
        mut read: impl FnMut(&Value<'_>) -> Boxed<T>,
    ) -> Boxed<Vec<T>> {
        let items = self.field(value, name)?.as_array().ok_or_else(|| self.wrong(name))?;
        // A plain loop: collecting into a `Result` would bring its machinery along once per kind of item.
        let mut list = Vec::with_capacity(items.len());
        for item in items {
            list.push(read(item)?);
        }
        Ok(list)
    }

    #[inline(never)]
    fn field<'v, 'a>(&self, value: &'v Value<'a>, name: &'static str) -> Boxed<&'v Value<'a>> {
        value.get_some(name).ok_or_else(|| self.wrong(name))
    }

    #[cold]
    #[inline(never)]
    fn wrong(&self, field: &'static str) -> Box<Error> {
        let made_by = self.made_by;
        Error::option(self.option, format_args!("must be what {made_by} returned, but its `{field}` is not"))
    }
}

/// A number that can be an index or a size.
fn whole(value: &Value<'_>) -> Option<usize> {
    match value {
        Value::Number(number) if *number >= 0.0 && *number <= f64::from(u32::MAX) && number.fract() == 0.0 => {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "checked just above")]
            let number = *number as u32;
            usize::try_from(number).ok()
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::{patch, plan};
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
        assert_eq!(read, (expected.version, expected.patch));
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
