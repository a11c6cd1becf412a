//! Carrying out edits on the host's own messages: a recipe that touches nothing it need not touch.

use serde::{Serialize, Serializer};

use crate::transcript::Change;

/// A message to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Inserted {
    /// Its role.
    pub role: String,
    /// For results of legacy functions: the function's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// For stand-ins of tool results: the call's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tool_call_id: Option<String>,
    /// Its text.
    pub content: String,
}

/// How to make a view out of the host's messages, in view order.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Recipe {
    /// What to put, one after the other.
    pub items: Vec<RecipeItem>,
}

/// One step of a [`Recipe`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RecipeItem {
    /// Source messages `from..to` as they are: in JSON `[from, to]`.
    Keep(usize, usize),
    /// A copy of a source message with changes: in JSON `{edit, changes}`.
    Edit(usize, Vec<Change>),
    /// A new message: in JSON `{insert, role, text, summary}`.
    Insert {
        /// The message.
        message: Inserted,
        /// Whether it is a summary (and not a stand-in that the format's rules force).
        summary: bool,
    },
}

impl Serialize for RecipeItem {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Edit<'r> {
            edit: usize,
            changes: &'r [Change],
        }
        #[derive(Serialize)]
        struct Insert<'r> {
            #[serde(rename = "insert")]
            message: &'r Inserted,
            role: &'r str,
            text: &'r str,
            summary: bool,
        }
        match self {
            Self::Keep(from, to) => (from, to).serialize(serializer),
            Self::Edit(edit, changes) => Edit { edit: *edit, changes }.serialize(serializer),
            Self::Insert { message, summary } => {
                Insert { message, role: &message.role, text: &message.content, summary: *summary }.serialize(serializer)
            }
        }
    }
}

impl Recipe {
    /// Adds an untouched source message, joining it to the range before where it continues it.
    pub(crate) fn keep(&mut self, index: usize) {
        if let Some(RecipeItem::Keep(_, to)) = self.items.last_mut()
            && *to == index
        {
            *to += 1;
        } else {
            self.items.push(RecipeItem::Keep(index, index + 1));
        }
    }
}
