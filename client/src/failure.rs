//! How a program tells of its failure.

use std::error::Error as StdError;

use serde::Serialize;

use crate::Error;

/// A failure, for people or as JSON. `code` and `codespace` are the application's, if it refused
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
}

impl Failure {
    /// Of an error and its causes, the error first.
    pub fn new<'a>(chain: impl IntoIterator<Item = &'a (dyn StdError + 'static)>) -> Self {
        let chain: Vec<_> = chain.into_iter().collect();
        let mut failure = Self {
            error: message(&chain),
            code: None,
            codespace: None,
            log: None,
            hash: None,
        };
        let cause = chain.iter().find_map(|cause| cause.downcast_ref());
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

    /// The error and its causes in one line.
    pub fn message(&self) -> &str {
        &self.error
    }

    /// One line of JSON.
    pub fn to_json(&self) -> String {
        // Plain text and numbers always encode.
        serde_json::to_string(self).unwrap_or_else(|_| self.error.clone())
    }
}

/// An error and its causes. A cause that the error itself quotes is not said again.
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
    fn failures_carry_the_code() {
        let error = anyhow::Error::from(Error::Tx {
            code: 5,
            codespace: "sdk".into(),
            log: "too poor".into(),
            hash: crate::TxHash([1; 32]),
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
