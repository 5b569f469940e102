//! Results on stdout and failures on stderr, as text or JSON.

use std::fmt::Display;
use std::io;
use std::process::ExitCode;

use clap::{Args, ValueEnum};
use poq_client::json;
use serde::Serialize;

use super::{Failure, terminal};

/// The option `--output`.
#[derive(Clone, Copy, Debug, Args)]
pub struct OutputArg {
    /// Form of the result on stdout
    #[arg(long, value_enum, default_value_t)]
    pub output: Output,
}

/// Format of results and failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// Text for people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

impl Output {
    /// Prints a result from the chain; in JSON, 64-bit integers are strings.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub fn print(self, result: &impl Serialize, text: impl Display) -> io::Result<()> {
        match self {
            Self::Text => write(text),
            Self::Json => write(json::to_string_pretty(result)?),
        }
    }

    /// Prints local counts and measurements; integers are small and stay JSON numbers.
    ///
    /// # Errors
    /// If stdout cannot be written.
    pub fn print_figures(self, result: &impl Serialize, text: impl Display) -> io::Result<()> {
        match self {
            Self::Text => write(text),
            Self::Json => write(serde_json::to_string_pretty(result)?),
        }
    }
}

fn write(result: impl Display) -> io::Result<()> {
    terminal::write(&format!("{result}\n"))
}

/// Labels and values in two columns.
pub fn table(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| format!("{name:width$}  {value}");
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Prints a failure to stderr and returns the exit status.
pub fn exit(result: anyhow::Result<()>, output: Output) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    let failure = Failure::new(error.chain());
    failure.print(output == Output::Json).into()
}
