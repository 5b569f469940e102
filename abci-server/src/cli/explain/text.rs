//! An explanation as text.

use std::fmt::Write;

use poq_proto::v1::Task;

use super::Explanation;

/// Renders an explanation as lines, with the largest parts last.
pub(crate) fn render(task: &Task, explanation: &Explanation) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    let _ = write(&mut text, task, explanation);
    text
}

fn write(text: &mut String, task: &Task, explanation: &Explanation) -> std::fmt::Result {
    writeln!(text, "{}.", capitalised(&explanation.summary))?;
    writeln!(text, "status: {}", task.status().as_str_name())?;

    writeln!(text, "\nWhat happened")?;
    for one in &explanation.history {
        writeln!(text, "  {:>8}  {} {}", one.height, one.who, one.what)?;
    }
    if !explanation.draws.is_empty() {
        writeln!(text, "\nWho was drawn")?;
        for draw in &explanation.draws {
            writeln!(
                text,
                "  {} draw {} by the beacon of height {}, {}",
                draw.role, draw.attempt, draw.height, draw.beacon
            )?;
            for operator in &draw.drawn {
                writeln!(text, "    {operator}")?;
            }
            writeln!(text, "    check it: {}", draw.check)?;
        }
    }
    if !explanation.amounts.is_empty() {
        writeln!(text, "\nHow the amounts come about")?;
        for one in &explanation.amounts {
            writeln!(text, "  {}: {}", one.of, one.amount)?;
            if !one.how.is_empty() {
                writeln!(text, "    {}", one.how)?;
            }
        }
    }
    if !explanation.slashed.is_empty() {
        writeln!(text, "\nWho lost stake")?;
        for one in &explanation.slashed {
            writeln!(
                text,
                "  {:>8}  {} ({}): {} for {}",
                one.height, one.who, one.role, one.amount, one.reason
            )?;
        }
    }
    if !explanation.notes.is_empty() {
        writeln!(text, "\nNot explained")?;
        for note in &explanation.notes {
            writeln!(text, "  {note}")?;
        }
    }
    writeln!(text, "\nThe whole record: --output json")
}

fn capitalised(sentence: &str) -> String {
    let mut letters = sentence.chars();
    letters
        .next()
        .map(|first| first.to_uppercase().chain(letters).collect())
        .unwrap_or_default()
}
