//! Fits a conversation to a budget: `cargo run --example fit -- CONVERSATION.json TOKENS`.

use std::error::Error;

use epitome::{FitOptions, Messages, fit, undo};

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(file), Some(budget)) = (arguments.next(), arguments.next()) else {
        return Err("usage: fit CONVERSATION.json TOKENS".into());
    };
    let history = Messages::from_json(&std::fs::read_to_string(file)?)?;
    let fitted = fit(&history, &FitOptions::new(budget.parse()?))?;
    let report = &fitted.report;
    println!("{} messages, {} tokens", report.messages_before, report.before);
    println!("{} messages, {} tokens (limit {})", report.messages_after, report.after, report.limit);
    for edit in &report.edits {
        println!("  {}", serde_json::to_string(edit)?);
    }
    assert_eq!(undo(&fitted.messages, &fitted.patch, &history)?, history);
    println!("{}", fitted.messages.to_json());
    Ok(())
}
