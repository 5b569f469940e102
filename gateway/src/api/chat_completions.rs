//! `POST /v1/chat/completions`.

use axum::response::sse::Event;
use serde_json::{Value, json};

use super::answering::{Asked, Surface};
use super::chat;
use super::failure::ApiError;
use super::form::{Events, Form, Head, data, ended, finish_reason, proof, usage};
use super::request::Fields;
use crate::relay::Done;

/// Chats, whole or streamed.
pub(super) struct ChatCompletions;

impl Surface for ChatCompletions {
    const PATH: &'static str = "/v1/chat/completions";
    const PROMPT: &'static str = "messages";

    fn parse(fields: &mut Fields) -> Result<Asked, ApiError> {
        // The older name; many clients send both.
        let older = fields.count("max_tokens")?;
        let tokens = fields.count("max_completion_tokens")?.or(older);
        let manner = fields.manner(tokens)?;
        let include_usage = manner.include_usage;
        Ok(Asked {
            messages: chat::messages(Self::PROMPT, fields.take(Self::PROMPT))?,
            manner,
            form: Box::new(move |head| {
                Box::new(Completion {
                    head,
                    include_usage,
                })
            }),
        })
    }
}

struct Completion {
    head: Head,
    include_usage: bool,
}

impl Completion {
    fn chunk(&self, delta: Value, reason: Option<&str>) -> Value {
        let choice =
            json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": reason });
        self.with("chat.completion.chunk", json!([choice]))
    }

    fn with(&self, object: &str, choices: Value) -> Value {
        json!({
            "id": format!("chatcmpl-{}", self.head.receipt),
            "object": object,
            "created": self.head.created,
            "model": self.head.model,
            "choices": choices,
        })
    }
}

impl Form for Completion {
    fn whole(&mut self, text: &str, done: &Done) -> Value {
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
}

impl Events for Completion {
    fn opening(&mut self) -> Vec<Event> {
        let role = json!({ "role": "assistant", "content": "" });
        vec![data(&self.chunk(role, None))]
    }

    fn delta(&mut self, text: &str) -> Vec<Event> {
        vec![data(&self.chunk(json!({ "content": text }), None))]
    }

    fn ending(&mut self, done: &Done) -> Vec<Event> {
        let mut last = self.chunk(json!({}), Some(finish_reason(done.ending.leaf.finish)));
        last["poq"] = proof(done);
        let empty = || self.with("chat.completion.chunk", json!([]));
        ended(&last, self.include_usage.then(empty), done)
    }
}
