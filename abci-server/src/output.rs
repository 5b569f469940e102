//! How results are printed: proto3 JSON, or the same as indented lines for people.

use std::fmt;
use std::io;

use poq_client::{Failure, terminal};
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
        terminal::write(&self.render(value)?)
    }

    /// Prints a result that has a text of its own for people.
    ///
    /// # Errors
    /// If the output is closed.
    pub fn print_told(self, value: &impl Serialize, text: &str) -> io::Result<()> {
        match self {
            Self::Text => terminal::write(text),
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
