//! Reports a program's failure.

use std::error::Error as StdError;

use poq_client::Error;
use serde::Serialize;

/// A failure, printed as text or JSON. `code` and `codespace` are the application's, if it refused
/// something.
#[derive(Debug, Serialize)]
pub struct Failure {
    error: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    codespace: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hash: Option<String>,
    #[serde(skip)]
    exit_code: u8,
}

/// The client error in a cause, directly or wrapped by this crate.
fn client_error<'a>(cause: &'a (dyn StdError + 'static)) -> Option<&'a Error> {
    match cause.downcast_ref() {
        Some(crate::Error::Client(error)) => Some(error),
        _ => cause.downcast_ref(),
    }
}

/// Exit statuses; clap uses 2 for an invalid command line.
fn exit_code(cause: Option<&Error>) -> u8 {
    match cause {
        Some(Error::Unreachable { .. }) => 3,
        Some(error) if error.is_not_found() => 5,
        Some(Error::NoAccount { .. }) => 5,
        Some(Error::NotIncluded { .. } | Error::NotInBlocks { .. }) => 6,
        Some(
            Error::Query { .. } | Error::Tx { .. } | Error::Rpc { .. } | Error::MempoolFull { .. },
        ) => 4,
        _ => 1,
    }
}

impl Failure {
    /// From an error and its causes, the error first.
    pub fn new<'a>(chain: impl IntoIterator<Item = &'a (dyn StdError + 'static)>) -> Self {
        let chain: Vec<_> = chain.into_iter().collect();
        let mut failure = Self {
            error: message(&chain),
            code: None,
            codespace: None,
            log: None,
            hash: None,
            exit_code: 1,
        };
        let cause = chain.iter().find_map(|cause| client_error(*cause));
        failure.exit_code = exit_code(cause);
        if let Some(
            Error::Tx {
                code,
                codespace,
                log,
                ..
            }
            | Error::Query {
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
        if let Some(Error::Tx { hash, .. }) = cause {
            failure.hash = Some(hash.to_string());
        }
        failure
    }

    /// The exit status: 3 no connection to the node, 4 refused, 5 not found, 6 timed out, 1
    /// everything else.
    pub fn exit_code(&self) -> u8 {
        self.exit_code
    }

    /// Prints it to stderr, as text or as one line of JSON, and returns the exit status.
    pub fn print(&self, as_json: bool) -> u8 {
        match as_json {
            true => eprintln!("{}", self.to_json()),
            false => eprintln!("Error: {}", self.message()),
        }
        self.exit_code()
    }

    /// The error and its causes on one line.
    pub fn message(&self) -> &str {
        &self.error
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        // Plain text and numbers always encode.
        serde_json::to_string(self).unwrap_or_else(|_| self.error.clone())
    }
}

/// Joins an error and its causes, skipping causes that the error itself quotes.
fn message(chain: &[&(dyn StdError + 'static)]) -> String {
    chain.iter().fold(String::new(), |text, cause| {
        let cause = cause.to_string();
        match text.as_str() {
            "" => cause,
            text if text.contains(&cause) => text.to_owned(),
            text => format!("{text}: {cause}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use poq_proto::code::{self, Code};

    use super::*;

    #[test]
    fn every_cause_is_said_once() {
        let error = Error::File {
            action: "write",
            path: "a".into(),
            source: std::io::Error::other("disk full"),
        };
        let error = anyhow::Error::from(error).context("no key");
        let failure = Failure::new(error.chain());
        assert_eq!(failure.message(), "no key: cannot write a: disk full");
        assert_eq!(
            failure.to_json(),
            r#"{"error":"no key: cannot write a: disk full"}"#
        );
    }

    #[test]
    fn a_script_can_tell_failures_apart() {
        let code = |error: Error| {
            let error = anyhow::Error::from(error).context("asking");
            Failure::new(error.chain()).exit_code()
        };
        let query = |code: Code| Error::Query {
            path: "/a".into(),
            code: code.number,
            codespace: code.codespace.into(),
            log: String::new(),
        };
        let unreachable = Error::Unreachable {
            url: "http://n".into(),
            reason: "refused".into(),
        };
        let late = Error::NotIncluded {
            hash: poq_client::TxHash([1; 32]),
            timeout: std::time::Duration::from_secs(1),
        };
        assert_eq!(code(unreachable), 3);
        assert_eq!(code(query(code::INVALID_REQUEST)), 4);
        assert_eq!(code(query(code::UNKNOWN_TASK)), 5);
        assert_eq!(code(late), 6);
        assert_eq!(
            Failure::new(anyhow::anyhow!("other").chain()).exit_code(),
            1
        );
    }

    #[test]
    fn failures_carry_the_code() {
        let error = anyhow::Error::from(Error::Tx {
            code: 5,
            codespace: "sdk".into(),
            log: "too poor".into(),
            hash: poq_client::TxHash([1; 32]),
        })
        .context("sending");
        let json: serde_json::Value =
            serde_json::from_str(&Failure::new(error.chain()).to_json()).unwrap();
        assert_eq!(json["code"], 5);
        assert_eq!(json["codespace"], "sdk");
        assert_eq!(json["log"], "too poor");
        assert_eq!(json["hash"], "01".repeat(32));
        assert!(json["error"].as_str().unwrap().starts_with("sending: "));
    }
}
