//! Prints results as proto3 JSON, in which 64-bit integers are strings, or as indented text.

use std::io;

use poq_client::json;
use poq_worker::program::{Failure, terminal};
use serde::Serialize;
use serde_json::Value;

use crate::home::settings::Format;

impl Format {
    /// Prints a result to standard output.
    ///
    /// # Errors
    /// If the output is closed.
    pub(crate) fn print(self, value: &impl Serialize) -> io::Result<()> {
        terminal::write(&self.render(value)?)
    }

    /// Prints a JSON value without changing its integers.
    ///
    /// # Errors
    /// If the output is closed.
    pub(crate) fn print_json(self, value: &Value) -> io::Result<()> {
        terminal::write(&match self {
            Self::Text => self.render(value)?,
            Self::Json => serde_json::to_string_pretty(value)? + "\n",
        })
    }

    /// Prints a result that has its own text form.
    ///
    /// # Errors
    /// If the output is closed.
    pub(crate) fn print_told(self, value: &impl Serialize, text: &str) -> io::Result<()> {
        match self {
            Self::Text => terminal::write(text),
            Self::Json => self.print(value),
        }
    }

    fn render(self, value: &impl Serialize) -> io::Result<String> {
        match self {
            Self::Text => serde_yaml_ng::to_string(value).map_err(io::Error::other),
            Self::Json => Ok(json::to_string_pretty(value)? + "\n"),
        }
    }
}

/// Converts a length to a number that JSON writes as a number.
pub(crate) fn count(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

/// Prints a failure to standard error, as text or as one JSON line, and returns the exit status.
pub(crate) fn print_error(format: Format, error: &anyhow::Error) -> u8 {
    Failure::new(error.chain()).print(format == Format::Json)
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

    /// Integers are strings, as in messages.
    #[test]
    fn integers_of_64_bits_are_text_in_json() {
        #[derive(Serialize)]
        struct Result {
            height: u64,
            code: u32,
        }
        let result = Result {
            height: 9_007_199_254_740_993,
            code: 7,
        };
        let json: Value = serde_json::from_str(&Format::Json.render(&result).unwrap()).unwrap();
        assert_eq!(json["height"], "9007199254740993");
        assert_eq!(json["code"], 7);
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
