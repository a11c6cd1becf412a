//! What is edited and how: units, edits, patches, views, undo.

mod edits;
mod layout;
mod standing;
mod units;
mod view;

pub use edits::{
    Change, Edit, ModelUse, Patch, Plan, RECORD_VERSION, Repair, Report, SourceMark, Step, Summary, Tier, ViewMark,
    Violation, Warning,
};
pub use layout::{Layout, LayoutItem, Span};
pub(crate) use standing::{SlotEdit, Stand, Standing};
pub(crate) use units::{Slot, Transcript, UNKNOWN, Unit, UnitKind};
pub use view::{Inserted, Recipe, RecipeItem};
