//! How results are printed: proto3 JSON, or the same as indented lines for people.

use std::fmt;
use std::io::{self, Write};

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
        let text = self.render(value)?;
        io::stdout().lock().write_all(text.as_bytes())
    }

    /// Prints a result that has a text of its own for people.
    ///
    /// # Errors
    /// If the output is closed.
    pub fn print_told(self, value: &impl Serialize, text: &str) -> io::Result<()> {
        match self {
            Self::Text => io::stdout().lock().write_all(text.as_bytes()),
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

/// Prints a failure to the standard error output: for people, or as one JSON line.
pub fn print_error(format: Format, error: &anyhow::Error) {
    match format {
        Format::Text => eprintln!("Error: {}", message(error)),
        Format::Json => eprintln!("{}", Failure::from(error).to_json()),
    }
}

/// An error and its causes. A cause that the error itself quotes is not said again.
fn message(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |text, cause| {
        let cause = cause.to_string();
        match text.as_str() {
            "" => cause,
            text if text.contains(&cause) => text.to_owned(),
            text => format!("{text}: {cause}"),
        }
    })
}

/// A failure as JSON. `code` and `codespace` are the application's, if it refused something.
#[derive(Debug, Serialize)]
struct Failure {
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    codespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
}

impl From<&anyhow::Error> for Failure {
    fn from(error: &anyhow::Error) -> Self {
        let mut failure = Self {
            error: message(error),
            code: None,
            codespace: None,
            log: None,
            hash: None,
        };
        let cause = error
            .chain()
            .find_map(|cause| cause.downcast_ref::<poq_client::Error>());
        if let Some(
            poq_client::Error::Tx {
                code,
                codespace,
                log,
                ..
            }
            | poq_client::Error::Query {
                code,
                codespace,
                log,
                ..
            },
        ) = cause
        {
            failure.code = Some(*code);
            failure.codespace = Some(codespace.clone());
            failure.log = Some(log.clone());
        }
        if let Some(poq_client::Error::Tx { hash, .. }) = cause {
            failure.hash = Some(hash.to_string());
        }
        failure
    }
}

impl Failure {
    fn to_json(&self) -> String {
        // Plain text and numbers always encode.
        serde_json::to_string(self).unwrap_or_else(|_| self.error.clone())
    }
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

    #[test]
    fn every_cause_is_said_once() {
        let cause = io::Error::other("disk full");
        let error = poq_client::Error::File {
            action: "write",
            path: "a".into(),
            source: cause,
        };
        let error = anyhow::Error::from(error).context("no key");
        assert_eq!(message(&error), "no key: cannot write a: disk full");
    }

    #[test]
    fn failures_carry_the_code() {
        let error = anyhow::Error::from(poq_client::Error::Tx {
            code: 5,
            codespace: "sdk".into(),
            log: "too poor".into(),
            hash: poq_client::TxHash([1; 32]),
        })
        .context("sending");
        let json: serde_json::Value =
            serde_json::from_str(&Failure::from(&error).to_json()).unwrap();
        assert_eq!(json["code"], 5);
        assert_eq!(json["codespace"], "sdk");
        assert_eq!(json["log"], "too poor");
        assert_eq!(json["hash"], "01".repeat(32));
        assert!(json["error"].as_str().unwrap().starts_with("sending: "));
    }
}
