//! What the forms of answers share.

use axum::response::sse::Event;
use poq_proto::v1::{self, Finish};
use serde_json::{Value, json};

use super::failure::ApiError;
use crate::relay::{Done, Origin};
use crate::store;

/// The events of a stream.
pub(super) trait Events: Send {
    /// The first ones.
    fn opening(&mut self) -> Vec<Event>;
    /// Those for more text.
    fn delta(&mut self, text: &str) -> Vec<Event>;
    /// The last ones of a whole answer.
    fn ending(&mut self, done: &Done) -> Vec<Event>;
    /// The last ones of an answer that cannot be finished.
    fn failed(&mut self, error: &ApiError) -> Vec<Event> {
        vec![data(&error.body()), end_of_stream()]
    }
}

/// How a surface writes an answer.
pub(super) trait Form: Events {
    /// The whole answer.
    fn whole(&mut self, text: &str, done: &Done) -> Value;
}

/// What all parts of an answer name.
#[derive(Clone, Debug)]
pub(super) struct Head {
    /// Id of the receipt.
    pub receipt: String,
    /// When the answer began, seconds since 1970.
    pub created: u64,
    /// The model.
    pub model: String,
}

impl Head {
    /// Of an answer that a node has begun.
    pub(super) fn new(origin: &Origin, model: String) -> Self {
        Self {
            receipt: receipt_id(origin.order),
            created: store::now(),
            model,
        }
    }
}

/// An event with data.
pub(super) fn data(value: &Value) -> Event {
    Event::default().data(value.to_string())
}

/// The event without which clients take a stream that was cut for a whole one.
fn end_of_stream() -> Event {
    Event::default().data("[DONE]")
}

/// The last events of a stream; `empty` is a completion's chunk without choices that gets the usage, if
/// the client wants it.
pub(super) fn ended(last: &Value, empty: Option<Value>, done: &Done) -> Vec<Event> {
    let mut events = vec![data(last)];
    if let Some(mut chunk) = empty {
        chunk["usage"] = usage(done);
        events.push(data(&chunk));
    }
    events.push(end_of_stream());
    events
}

/// The id of an answer's receipt.
pub(super) fn receipt_id((session, number): (u64, u64)) -> String {
    format!("{session}-{number}")
}

/// The answer that an id of a receipt, or of the answer itself, names.
pub(super) fn parse_receipt_id(id: &str) -> Option<(u64, u64)> {
    let prefixes = ["chatcmpl-", "cmpl-", "resp_"];
    let own = prefixes.iter().find_map(|prefix| id.strip_prefix(prefix));
    let id = own.unwrap_or(id);
    let (session, number) = id.split_once('-')?;
    let order = (session.parse().ok()?, number.parse().ok()?);
    // One answer has one id: no signs, no leading zeros.
    (receipt_id(order) == id).then_some(order)
}

/// Why an answer ended, in OpenAI's words.
pub(super) fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        Finish::Length | Finish::User | Finish::Void | Finish::Unspecified => "length",
    }
}

/// The token counts, as the node told them.
pub(super) fn usage(done: &Done) -> Value {
    let leaf = &done.ending.leaf;
    let (prompt, answer) = (leaf.prompt_tokens, leaf.answer_tokens);
    json!({
        "prompt_tokens": prompt,
        "completion_tokens": answer,
        "total_tokens": u64::from(prompt) + u64::from(answer),
    })
}

/// What the chain adds to an answer.
pub(super) fn proof(done: &Done) -> Value {
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
        for id in ["chatcmpl-7-12", "cmpl-7-12", "resp_7-12"] {
            assert_eq!(parse_receipt_id(id), Some((7, 12)), "{id}");
        }
        for wrong in [
            "",
            "7",
            "7-",
            "-7",
            "a-1",
            "7-12-1",
            "7--1",
            "cmpl-cmpl-7-12",
            "+7-12",
            "07-12",
        ] {
            assert_eq!(parse_receipt_id(wrong), None, "{wrong}");
        }
    }
}
