//! How results are printed: proto3 JSON, or the same as indented lines for people.

use std::fmt;
use std::io::{self, IsTerminal, Write};

use poq_client::Failure;
use serde::{Deserialize, Serialize};

/// Value of `--output`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// Indented lines.
    #[default]
    Text,
    /// One JSON document.
    Json,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

impl Format {
    /// Prints a result to the standard output.
    ///
    /// # Errors
    /// If the output is closed.
    pub fn print(self, value: &impl Serialize) -> io::Result<()> {
        write_text(&self.render(value)?)
    }

    /// Prints a result that has a text of its own for people.
    ///
    /// # Errors
    /// If the output is closed.
    pub fn print_told(self, value: &impl Serialize, text: &str) -> io::Result<()> {
        match self {
            Self::Text => write_text(text),
            Self::Json => self.print(value),
        }
    }

    fn render(self, value: &impl Serialize) -> io::Result<String> {
        match self {
            Self::Text => serde_yaml_ng::to_string(value).map_err(io::Error::other),
            Self::Json => Ok(serde_json::to_string_pretty(value)? + "\n"),
        }
    }
}

/// Writes to the standard output. On a terminal nothing in a text that comes from others may control
/// it; whoever reads a file or a pipe gets every byte.
fn write_text(text: &str) -> io::Result<()> {
    let mut output = io::stdout().lock();
    match output.is_terminal() {
        true => output.write_all(without_controls(text).as_bytes()),
        false => output.write_all(text.as_bytes()),
    }
}

/// A text whose control characters, but for line ends and tabs, are written out.
fn without_controls(text: &str) -> String {
    let is_control = |letter: &char| letter.is_control() && !matches!(letter, '\n' | '\t');
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        match is_control(&letter) {
            true => shown.extend(letter.escape_default()),
            false => shown.push(letter),
        }
    }
    shown
}

/// Prints a failure to the standard error output, for people or as one JSON line; returns what the
/// program exits with.
pub fn print_error(format: Format, error: &anyhow::Error) -> u8 {
    let failure = Failure::new(error.chain());
    match format {
        Format::Text => eprintln!("Error: {}", failure.message()),
        Format::Json => eprintln!("{}", failure.to_json()),
    }
    failure.exit_code()
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_terminal_is_not_controlled_by_what_others_wrote() {
        assert_eq!(
            without_controls("a\tb\nc\u{1b}[31m\r\u{9b}\u{7}ä"),
            "a\tb\nc\\u{1b}[31m\\r\\u{9b}\\u{7}ä"
        );
    }

    use poq_proto::v1::{Duty, TaskStatus};

    use super::*;

    fn duty() -> Duty {
        Duty {
            task_id: 7,
            phase: TaskStatus::Committing.into(),
            due_height: 9,
            evaluator_model: "m".into(),
            ..Duty::default()
        }
    }

    #[test]
    fn messages_are_proto3_json() {
        let json: serde_json::Value =
            serde_json::from_str(&Format::Json.render(&duty()).unwrap()).unwrap();
        assert_eq!(json["task_id"], "7");
        assert_eq!(json["phase"], "TASK_STATUS_COMMITTING");
    }

    #[test]
    fn text_has_a_line_per_field_in_the_order_of_the_message() {
        let text = Format::Text.render(&duty()).unwrap();
        assert_eq!(
            text,
            "task_id: '7'\nphase: TASK_STATUS_COMMITTING\ndue_height: '9'\nevaluator_model: m\n"
        );
    }
}
