//! Receipts that anyone can verify offline: of a task, or of an answer of a session.
//!
//! A receipt has the chain's record with its ICS-23 proof, and the header whose `app_hash` commits to
//! the state that the record is in, with the commit of its validators. The receipt of an answer also
//! has the leaf, its node's signature, and the RFC 6962 path to the root in the record. Texts are in it
//! if whoever made it had them.

mod fetch;
mod header;
mod outcome;
mod report;
mod verify;

#[cfg(test)]
mod tests;

use poq_proto::{WrongLength, v1};
use serde::{Deserialize, Serialize};

pub use header::{SignedState, Validator};
pub use outcome::{Outcome, Phase, answer_summary, final_price};
pub use report::{Check, Holds, Report, TaskOutcome, Verdict};
pub use verify::{Anchors, parse_hash};

/// The `object` of a gateway's answer about a receipt.
const GATEWAY_OBJECT: &str = "poq.receipt";

/// The version of the format.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Format {
    /// The only one.
    #[default]
    #[serde(rename = "poq/receipt/v1")]
    V1,
}

/// A receipt. Binary values are hex in JSON; messages of the chain are proto3 JSON; header and commit
/// are as CometBFT's RPC writes them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Names the format.
    pub format: Format,
    /// The chain's id; empty if it is not known yet.
    pub chain_id: String,
    /// What it is about.
    pub subject: Subject,
    /// The record on the chain; absent before it is asked for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<SignedState>,
}

/// What a receipt is about.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[allow(
    clippy::large_enum_variant,
    reason = "a program holds few receipts at once"
)]
pub enum Subject {
    /// A task.
    Task(TaskPart),
    /// An answer of a session.
    Answer(AnswerPart),
}

/// A task, and its texts where they are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaskPart {
    /// Id of the task.
    #[serde(deserialize_with = "crate::json::integer")]
    pub id: u64,
    /// Text of the prompt; of a task that scores an answer of a session, the scoring text of the chat.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prompt: Option<String>,
    /// Text of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// An answer of a session, and its texts where they are known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AnswerPart {
    /// Id of the session.
    #[serde(deserialize_with = "crate::json::integer")]
    pub session: u64,
    /// The answer's leaf in the session's log; without its total as long as there is no path.
    pub leaf: v1::Leaf,
    /// The node's signature of the leaf's receipt digest, 64 bytes.
    #[serde(with = "hex")]
    pub signature: Vec<u8>,
    /// The path from the leaf to the root of the log; absent before the session is settled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<Vec<Sibling>>,
    /// What was asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<v1::Chat>,
    /// Text of the answer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

/// One hash of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sibling(#[serde(with = "hex")] pub [u8; 32]);

/// Why a document is not a receipt.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It has another form.
    #[error(
        "the document is not a receipt of the format poq/receipt/v1, nor a gateway's answer about one: {0}"
    )]
    Form(String),
    /// A digest in the leaf has another length.
    #[error("the leaf in the receipt is malformed: {0}")]
    Leaf(WrongLength),
}

/// A receipt as it is read from a file, with what a gateway says about it beside.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// The receipt.
    pub receipt: Receipt,
    /// What the gateway says; each field is held against the receipt.
    pub claims: Option<serde_json::Map<String, serde_json::Value>>,
}

/// What an answer has in common in all of a gateway's answers about it.
#[derive(Deserialize)]
struct GatewayReceipt {
    receipt: String,
    leaf: v1::Leaf,
    #[serde(with = "hex")]
    signature: Vec<u8>,
    /// Absent in the answer to a chat.
    #[serde(default)]
    chain_id: String,
    path: Option<Vec<Sibling>>,
    proof: Option<Receipt>,
}

impl Document {
    /// Reads a receipt, a gateway's answer about one (`GET /v1/receipts/ID`, with or without `proof`),
    /// or a gateway's whole answer to a chat, which has an object `poq`.
    ///
    /// # Errors
    /// [`Error::Form`].
    pub fn parse(json: &[u8]) -> Result<Self, Error> {
        let form = |error: serde_json::Error| Error::Form(error.to_string());
        let mut value: serde_json::Value = serde_json::from_slice(json).map_err(form)?;
        if value.get("format").is_some() {
            let receipt = serde_json::from_value(value).map_err(form)?;
            return Ok(Self {
                receipt,
                claims: None,
            });
        }
        let text = value.pointer("/choices/0/message/content");
        let text = text.and_then(|text| Some(text.as_str()?.to_owned()));
        // Only the answer about a receipt is complete; the object in a chat has fewer fields.
        let claims = match value.get_mut("poq").map(serde_json::Value::take) {
            Some(inner) => {
                value = inner;
                None
            }
            None => value.as_object().cloned(),
        };
        let mut found: GatewayReceipt = serde_json::from_value(value).map_err(form)?;
        // A proof beside which nothing is checked would cover what stands around it.
        found.proof = found.proof.filter(|_| claims.is_some());
        let session = found.session()?;
        let receipt = found.proof.unwrap_or(Receipt {
            format: Format::V1,
            chain_id: found.chain_id,
            subject: Subject::Answer(AnswerPart {
                session,
                leaf: found.leaf,
                signature: found.signature,
                path: found.path,
                chat: None,
                answer: text,
            }),
            state: None,
        });
        Ok(Self { receipt, claims })
    }
}

impl GatewayReceipt {
    fn session(&self) -> Result<u64, Error> {
        let session = self.receipt.split_once('-').map(|(session, _)| session);
        let session = session.and_then(|session| session.parse().ok());
        session.ok_or_else(|| Error::Form(format!("`{}` is not SESSION-NUMBER", self.receipt)))
    }
}

impl Receipt {
    /// Key of the record in the state (modules `tasks` and `sessions` of the application).
    pub fn key(&self) -> String {
        match &self.subject {
            Subject::Task(task) => task_key(task.id),
            Subject::Answer(answer) => session_key(answer.session),
        }
    }
}

fn task_key(id: u64) -> String {
    format!("tasks/task/{id:020}")
}

fn session_key(id: u64) -> String {
    format!("sessions/session/{id:020}")
}
