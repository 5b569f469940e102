//! Results on stdout and failures on stderr, for people or as JSON.

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

/// How results and failures are printed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

impl Output {
    /// Prints what the chain says: in JSON, integers of 64 bits are text.
    ///
    /// # Errors
    /// If nothing can be written.
    pub fn print(self, result: &impl Serialize, text: impl Display) -> io::Result<()> {
        match self {
            Self::Text => write(text),
            Self::Json => write(json::to_string_pretty(result)?),
        }
    }

    /// Prints what was counted and measured here, whose integers are short and stay numbers.
    ///
    /// # Errors
    /// If nothing can be written.
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

/// Names and values in two columns, for people.
pub fn table(lines: &[(&str, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let line = |(name, value): &(&str, String)| format!("{name:width$}  {value}");
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Prints what failed to stderr, and returns what the program exits with.
pub fn exit(result: anyhow::Result<()>, output: Output) -> ExitCode {
    let Err(error) = result else {
        return ExitCode::SUCCESS;
    };
    let failure = Failure::new(error.chain());
    match output {
        Output::Text => eprintln!("Error: {}", failure.message()),
        Output::Json => eprintln!("{}", failure.to_json()),
    }
    failure.exit_code().into()
}
