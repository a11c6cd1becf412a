//! The way back to what a view does not show: large results shown shortened, search over everything that was said, and
//! the tool with which a model asks for it. Pure functions; who keeps the texts is somebody else's business.

pub(crate) mod overflow;
pub(crate) mod search;
mod terms;
pub(crate) mod text;
pub(crate) mod tool;

/// Name of the tool: the one that placeholders speak of.
pub(crate) use crate::policy::RECALL as TOOL_NAME;

/// A number with commas between its thousands.
fn grouped(number: usize) -> String {
    let digits = number.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests;
