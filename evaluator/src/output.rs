//! Results on stdout.

use poq_client::{json, terminal};
use serde::Serialize;

use crate::cli::OutputFormat;

/// Prints what the chain says as JSON, with integers of 64 bits as text, or `lines` of (name, value)
/// for people.
pub fn print(
    format: OutputFormat,
    result: &impl Serialize,
    lines: &[(&str, String)],
) -> std::io::Result<()> {
    terminal::write(&match format {
        OutputFormat::Json => json::to_string_pretty(result)? + "\n",
        OutputFormat::Text => table(lines),
    })
}

/// As [`print()`], for what was counted and measured here, whose integers are short and stay numbers.
pub fn print_figures(
    format: OutputFormat,
    result: &impl Serialize,
    lines: &[(&str, String)],
) -> std::io::Result<()> {
    terminal::write(&match format {
        OutputFormat::Json => serde_json::to_string_pretty(result)? + "\n",
        OutputFormat::Text => table(lines),
    })
}

fn table(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| format!("{name:width$}  {value}\n");
    lines.iter().map(line).collect()
}
