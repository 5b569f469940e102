//! `POST /v1/completions`: the prompt is one message of the user.

use axum::response::sse::Event;
use poq_proto::v1::{ChatMessage, ChatRole};
use serde_json::{Value, json};

use super::answering::{Asked, Surface};
use super::failure::ApiError;
use super::form::{Events, Form, Head, data, ended, finish_reason, proof, usage};
use super::request::Fields;
use crate::relay::Done;

/// OpenAI's limit for a completion that names none, tokens.
const TOKENS: u32 = 16;

/// Completions of a prompt, whole or streamed.
pub(super) struct Completions;

impl Surface for Completions {
    const PATH: &'static str = "/v1/completions";
    const PROMPT: &'static str = "prompt";

    fn parse(fields: &mut Fields) -> Result<Asked, ApiError> {
        let tokens = fields.count("max_tokens")?.unwrap_or(TOKENS);
        let manner = fields.manner(Some(tokens))?;
        fields.only("best_of", &json!(1))?;
        fields.only("echo", &json!(false))?;
        let include_usage = manner.include_usage;
        Ok(Asked {
            messages: prompt(fields.take(Self::PROMPT))?,
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

/// The prompt as a message; none if it is empty.
fn prompt(value: Option<Value>) -> Result<Vec<ChatMessage>, ApiError> {
    let invalid = |reason| Err(ApiError::invalid(Completions::PROMPT, reason));
    let text = match value {
        None => return invalid("is missing"),
        Some(Value::String(text)) => text,
        Some(Value::Array(list)) => match <[Value; 1]>::try_from(list) {
            Ok([Value::String(text)]) => text,
            Ok(_) => return invalid("must be text; tokens are not supported"),
            Err(list) if list.iter().all(Value::is_string) => {
                return invalid("must be one text; send a request for each");
            }
            Err(_) => return invalid("must be text; tokens are not supported"),
        },
        Some(_) => return invalid("must be a string"),
    };
    let role = ChatRole::User.into();
    let message = (!text.is_empty()).then_some(ChatMessage { role, text });
    Ok(message.into_iter().collect())
}

struct Completion {
    head: Head,
    include_usage: bool,
}

impl Completion {
    fn choice(&self, text: &str, reason: Option<&str>) -> Value {
        let choice = json!({ "index": 0, "text": text, "logprobs": null, "finish_reason": reason });
        self.with(json!([choice]))
    }

    fn with(&self, choices: Value) -> Value {
        json!({
            "id": format!("cmpl-{}", self.head.receipt),
            "object": "text_completion",
            "created": self.head.created,
            "model": self.head.model,
            "choices": choices,
        })
    }
}

impl Form for Completion {
    fn whole(&mut self, text: &str, done: &Done) -> Value {
        let mut value = self.choice(text, Some(finish_reason(done.ending.leaf.finish)));
        value["usage"] = usage(done);
        value["poq"] = proof(done);
        value
    }
}

impl Events for Completion {
    fn opening(&mut self) -> Vec<Event> {
        Vec::new()
    }

    fn delta(&mut self, text: &str) -> Vec<Event> {
        vec![data(&self.choice(text, None))]
    }

    fn ending(&mut self, done: &Done) -> Vec<Event> {
        let mut last = self.choice("", Some(finish_reason(done.ending.leaf.finish)));
        last["poq"] = proof(done);
        let empty = || self.with(json!([]));
        ended(&last, self.include_usage.then(empty), done)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prompt_is_one_text() {
        for value in [json!("Why?"), json!(["Why?"])] {
            let messages = prompt(Some(value)).unwrap();
            assert_eq!(messages.len(), 1);
            assert_eq!(
                (messages[0].role(), messages[0].text.as_str()),
                (ChatRole::User, "Why?")
            );
        }
        assert_eq!(prompt(Some(json!(""))).unwrap(), []);
        for wrong in [
            json!(1),
            json!({}),
            json!([]),
            json!([1, 2]),
            json!([[1, 2]]),
            json!(["a", "b"]),
            json!(["a", 1]),
        ] {
            let error = prompt(Some(wrong.clone())).unwrap_err().body();
            assert_eq!(error["error"]["param"], "prompt", "{wrong}");
        }
        assert!(prompt(None).is_err());
    }
}
