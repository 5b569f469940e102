//! Answers in OpenAI's forms.

use serde::Serialize;
use serde_json::{Value, json};

use crate::generator::{Completion, Finish};

/// The endpoint that an answer is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Text,
}

/// Token counts.
#[derive(Clone, Copy, Debug, Serialize)]
struct Usage {
    prompt_tokens: usize,
    completion_tokens: usize,
    total_tokens: usize,
}

impl From<&Completion> for Usage {
    fn from(completion: &Completion) -> Self {
        Self {
            prompt_tokens: completion.prompt_tokens,
            completion_tokens: completion.answer_tokens,
            total_tokens: completion.prompt_tokens + completion.answer_tokens,
        }
    }
}

fn finish_reason(finish: Finish) -> &'static str {
    match finish {
        Finish::Stop => "stop",
        // Cancelled by its deadline: a client that left does not read this.
        Finish::Length | Finish::Bytes | Finish::Cancelled => "length",
    }
}

/// The common part of all chunks of one answer.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The endpoint.
    pub kind: Kind,
    /// Unique id.
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// Id of the model.
    pub model: String,
}

impl Answer {
    /// The whole answer.
    pub(super) fn completion(&self, completion: &Completion) -> Value {
        let reason = finish_reason(completion.finish);
        let (object, choice) = match self.kind {
            Kind::Chat => (
                "chat.completion",
                json!({
                    "index": 0,
                    "message": { "role": "assistant", "content": completion.text, "refusal": null },
                    "logprobs": null,
                    "finish_reason": reason,
                }),
            ),
            Kind::Text => (
                "text_completion",
                text_choice(&completion.text, Some(reason)),
            ),
        };
        let mut value = self.with(object, json!([choice]));
        value["usage"] = json!(Usage::from(completion));
        value
    }

    /// The first chunk of a chat stream, which names the role.
    pub(super) fn opening(&self) -> Option<Value> {
        let delta = json!({ "role": "assistant", "content": "" });
        (self.kind == Kind::Chat).then(|| self.chunk(json!([chat_choice(delta, None)])))
    }

    /// A chunk of text.
    pub(super) fn delta(&self, text: &str) -> Value {
        self.chunk(json!([match self.kind {
            Kind::Chat => chat_choice(json!({ "content": text }), None),
            Kind::Text => text_choice(text, None),
        }]))
    }

    /// The last chunk of text, with the finish reason.
    pub(super) fn ending(&self, finish: Finish) -> Value {
        let reason = Some(finish_reason(finish));
        self.chunk(json!([match self.kind {
            Kind::Chat => chat_choice(json!({}), reason),
            Kind::Text => text_choice("", reason),
        }]))
    }

    /// The final chunk, with the token counts.
    pub(super) fn usage(&self, completion: &Completion) -> Value {
        let mut value = self.chunk(json!([]));
        value["usage"] = json!(Usage::from(completion));
        value
    }

    fn chunk(&self, choices: Value) -> Value {
        let object = match self.kind {
            Kind::Chat => "chat.completion.chunk",
            Kind::Text => "text_completion",
        };
        self.with(object, choices)
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

fn chat_choice(delta: Value, reason: Option<&str>) -> Value {
    json!({ "index": 0, "delta": delta, "logprobs": null, "finish_reason": reason })
}

fn text_choice(text: &str, reason: Option<&str>) -> Value {
    json!({ "index": 0, "text": text, "logprobs": null, "finish_reason": reason })
}
