//! The wire between the user and the node of a session: bodies and frames of the node's stream API, and
//! the signatures on them (`docs/sessions.md`).
//!
//! Bodies are JSON; messages of the chain in them are proto3 JSON with snake_case names. Signatures are
//! 128 hex digits: `r ‖ s`, low `s`. An answer is a stream of server-sent events whose `data` is one
//! [`Frame`].

use poq_proto::v1;
use serde::{Deserialize, Serialize};

/// The header that carries the signature of a call without a body.
pub const SIGNATURE_HEADER: &str = "x-poq-signature";
/// The number that a signature of [`poq_proto::Call::Read`] has when the call is about the whole
/// session.
pub const WHOLE_SESSION: u64 = u64::MAX;

/// Body of `POST /poq/v1/orders`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Order {
    /// The order.
    pub voucher: v1::Voucher,
    /// The session key's signature of the voucher.
    pub signature: String,
    /// What the voucher orders.
    pub chat: v1::Chat,
}

/// Body of `POST /poq/v1/acks`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Acknowledgement {
    /// A bare voucher.
    pub voucher: v1::Voucher,
    /// The session key's signature of it.
    pub signature: String,
}

/// One event of an answer. An order gives `accept`, any number of `text`, then `receipt` or `error`;
/// a read gives the same without `accept`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Frame {
    /// The node has stored the voucher and will serve the order.
    Accept {
        /// The node's signature of the voucher's accept digest.
        signature: String,
        /// Orders that may be beyond the acknowledged ones at once.
        window: u32,
        /// Orders that begin before this one.
        queue_position: u32,
    },
    /// More of the answer.
    Text {
        /// Bytes of the answer before this part.
        offset: u64,
        /// The part.
        delta: String,
    },
    /// The answer is complete.
    Receipt {
        /// The answer's leaf in the session's log.
        leaf: v1::Leaf,
        /// The node's signature of the leaf's receipt digest.
        signature: String,
    },
    /// The order was not served, or its answer cannot be finished.
    Error(Refusal),
}

/// Why a call was refused. Before the first frame it is the body `{"error": …}` of a response with the
/// code's status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refusal {
    /// Stable code.
    pub code: RefusalCode,
    /// What happened and what to do next.
    pub message: String,
    /// The number that the node expects next, with [`RefusalCode::WrongNumber`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub next: Option<u64>,
}

/// The stable codes of refusals.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RefusalCode {
    /// 400: the body or the call has not the right form.
    Malformed,
    /// 401: a signature is not the session key's.
    Unauthorized,
    /// 404: the node has no such session or order.
    NotFound,
    /// 413: the body is larger than a chat can be.
    TooLarge,
    /// 429: all places are taken; try again or elsewhere.
    Busy,
    /// 409: the number is not the next one.
    WrongNumber,
    /// 409: count, root or amount are not those of the node's log, or below the last ones.
    WrongLog,
    /// 402: the order does not fit into the escrow, or authorizes another sum than the node's.
    Escrow,
    /// 409: the session takes no orders.
    Closed,
    /// 400: the chat is not one that the model or the chain takes.
    Chat,
    /// 403: the demanded quality is above the node's limit.
    Quality,
    /// 400: the answer could cost more than one order may.
    Price,
    /// 503: the node itself failed.
    Failed,
}

/// Answer to `GET /poq/v1/sessions/{id}`: what the node knows of a session.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SessionState {
    /// The number that the node expects next.
    pub next: u64,
    /// Leaves of the log: the longest finished prefix of the orders.
    pub count: u64,
    /// Leaves that the newest voucher acknowledges.
    pub acknowledged: u64,
    /// Orders that are not finished.
    pub open: Vec<u64>,
    /// Orders that may be beyond the acknowledged ones at once.
    pub window: u32,
}

impl RefusalCode {
    /// The HTTP status of a response with the code.
    pub fn status(self) -> u16 {
        match self {
            Self::Malformed | Self::Chat | Self::Price => 400,
            Self::Unauthorized => 401,
            Self::Escrow => 402,
            Self::Quality => 403,
            Self::NotFound => 404,
            Self::WrongNumber | Self::WrongLog | Self::Closed => 409,
            Self::TooLarge => 413,
            Self::Busy => 429,
            Self::Failed => 503,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Programs of others read these.
    #[test]
    fn frames_should_not_change() {
        let json = |frame: &Frame| serde_json::to_string(frame).unwrap();
        let accept = Frame::Accept {
            signature: "00".into(),
            window: 4,
            queue_position: 1,
        };
        assert_eq!(
            json(&accept),
            r#"{"type":"accept","signature":"00","window":4,"queue_position":1}"#
        );
        let text = Frame::Text {
            offset: 3,
            delta: "…".into(),
        };
        assert_eq!(json(&text), r#"{"type":"text","offset":3,"delta":"…"}"#);
        let refusal = Frame::Error(Refusal {
            code: RefusalCode::WrongNumber,
            message: "it is 7's turn".into(),
            next: Some(7),
        });
        assert_eq!(
            json(&refusal),
            r#"{"type":"error","code":"wrong_number","message":"it is 7's turn","next":7}"#
        );
        let receipt = Frame::Receipt {
            leaf: v1::Leaf {
                number: 7,
                finish: v1::Finish::Stop.into(),
                price: 9,
                ..v1::Leaf::default()
            },
            signature: "00".into(),
        };
        assert_eq!(
            json(&receipt),
            r#"{"type":"receipt","leaf":{"number":"7","finish":"FINISH_STOP","price":"9"},"signature":"00"}"#
        );
        for frame in [accept, text, refusal, receipt] {
            assert_eq!(serde_json::from_str::<Frame>(&json(&frame)).unwrap(), frame);
        }
    }
}
