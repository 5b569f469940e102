//! Results on stdout.

use std::io::Write;

use serde::Serialize;

use crate::cli::OutputFormat;

/// Prints `result` as JSON, or `lines` of (name, value) for people.
pub fn print(
    format: OutputFormat,
    result: &impl Serialize,
    lines: &[(&str, String)],
) -> std::io::Result<()> {
    let mut stdout = std::io::stdout().lock();
    match format {
        OutputFormat::Json => {
            serde_json::to_writer_pretty(&mut stdout, result)?;
            writeln!(stdout)
        }
        OutputFormat::Text => {
            let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
            lines
                .iter()
                .try_for_each(|(name, value)| writeln!(stdout, "{name:width$}  {value}"))
        }
    }
}
