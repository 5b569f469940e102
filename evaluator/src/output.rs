//! Results on stdout.

use poq_client::terminal;
use serde::Serialize;

use crate::cli::OutputFormat;

/// Prints `result` as JSON, or `lines` of (name, value) for people.
pub fn print(
    format: OutputFormat,
    result: &impl Serialize,
    lines: &[(&str, String)],
) -> std::io::Result<()> {
    terminal::write(&match format {
        OutputFormat::Json => serde_json::to_string_pretty(result)? + "\n",
        OutputFormat::Text => {
            let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
            lines
                .iter()
                .map(|(name, value)| format!("{name:width$}  {value}\n"))
                .collect()
        }
    })
}
