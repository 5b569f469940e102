//! Answers in OpenAI's form.

use poq_proto::v1::{self, Finish};
use serde_json::{Value, json};

use crate::relay::{Done, Origin};

/// What all chunks of an answer share.
#[derive(Clone, Debug)]
pub(super) struct Form {
    id: String,
    created: u64,
    model: String,
}

/// The id of an answer's receipt.
pub(super) fn receipt_id((session, number): (u64, u64)) -> String {
    format!("{session}-{number}")
}

/// The answer that an id of a receipt, or of the answer itself, names.
pub(super) fn parse_receipt_id(id: &str) -> Option<(u64, u64)> {
    let id = id.strip_prefix("chatcmpl-").unwrap_or(id);
    let (session, number) = id.split_once('-')?;
    Some((session.parse().ok()?, number.parse().ok()?))
}

impl Form {
    /// The form of an answer that a node has begun.
    pub(super) fn new(origin: &Origin, created: u64, model: &str) -> Self {
        Self {
            id: format!("chatcmpl-{}", receipt_id(origin.order)),
            created,
            model: model.into(),
        }
    }

    /// The whole answer.
    pub(super) fn whole(&self, text: &str, done: &Done) -> Value {
        let mut value = self.with(
            "chat.completion",
            json!([{
                "index": 0,
                "message": { "role": "assistant", "content": text, "refusal": null },
                "logprobs": null,
                "finish_reason": finish_reason(done.ending.leaf.finish),
            }]),
        );
        value["usage"] = usage(done);
        value["poq"] = proof(done);
        value
    }

    /// The first chunk of a stream, which names the role.
    pub(super) fn opening(&self) -> Value {
        self.chunk(json!({ "role": "assistant", "content": "" }), None)
    }

    /// A chunk of text.
    pub(super) fn delta(&self, text: &str) -> Value {
        self.chunk(json!({ "content": text }), None)
    }

    /// The last chunk of text, with reason and proof.
    pub(super) fn ending(&self, done: &Done) -> Value {
        let mut value = self.chunk(json!({}), Some(finish_reason(done.ending.leaf.finish)));
        value["poq"] = proof(done);
        value
    }

    /// The chunk with the token counts.
    pub(super) fn usage(&self, done: &Done) -> Value {
        let mut value = self.with("chat.completion.chunk", json!([]));
        value["usage"] = usage(done);
        value
    }

    fn chunk(&self, delta: Value, reason: Option<&str>) -> Value {
        let choice =
            json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": reason });
        self.with("chat.completion.chunk", json!([choice]))
    }

    fn with(&self, object: &str, choices: Value) -> Value {
        json!({
            "id": self.id,
            "object": object,
            "created": self.created,
            "model": self.model,
            "choices": choices,
        })
    }
}

fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length | Finish::User | Finish::Void | Finish::Unspecified => "length",
    }
}

fn usage(done: &Done) -> Value {
    let leaf = &done.ending.leaf;
    let (prompt, answer) = (leaf.prompt_tokens, leaf.answer_tokens);
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": u64::from(prompt) + u64::from(answer),
    })
}

/// What the chain adds to an answer.
fn proof(done: &Done) -> Value {
    let leaf = &done.ending.leaf;
    json!({
        "receipt": receipt_id(done.origin.order),
        "node": done.origin.operator,
        "answer_sha256": hex::encode(leaf.answer),
        "price": leaf.price,
        "charged": done.charged,
        "phase": "provisional",
        "quality": null,
        "leaf": v1::Leaf::from(leaf),
        "signature": hex::encode(&done.ending.signature),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_lead_back_to_the_answer() {
        assert_eq!(receipt_id((7, 12)), "7-12");
        assert_eq!(parse_receipt_id("7-12"), Some((7, 12)));
        assert_eq!(parse_receipt_id("chatcmpl-7-12"), Some((7, 12)));
        for wrong in ["", "7", "7-", "-7", "a-1", "7-12-1", "7--1"] {
            assert_eq!(parse_receipt_id(wrong), None, "{wrong}");
        }
    }
}
