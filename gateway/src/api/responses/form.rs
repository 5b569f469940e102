//! A response's object and its events.

use axum::response::sse::Event;
use serde_json::{Map, Value, json};

use crate::api::failure::ApiError;
use crate::api::form::{self, Events, Head, finish_reason, proof};
use crate::relay::Done;

/// A response on its way.
pub(super) struct Form {
    head: Head,
    settings: Map<String, Value>,
    text: String,
    /// The next event's number.
    number: u64,
}

/// Where a response stands.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Status {
    InProgress,
    Completed,
    Incomplete,
    Failed,
}

impl Status {
    fn of(done: &Done) -> Self {
        match finish_reason(done.ending.leaf.finish) {
            "stop" => Self::Completed,
            _ => Self::Incomplete,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::InProgress => "in_progress",
            Self::Completed => "completed",
            Self::Incomplete => "incomplete",
            Self::Failed => "failed",
        }
    }
}

impl Form {
    /// A response of which nothing is written.
    pub(super) fn new(head: Head, settings: Map<String, Value>) -> Self {
        Self {
            head,
            settings,
            text: String::new(),
            number: 0,
        }
    }

    fn response(&self, status: Status) -> Value {
        let mut value = Value::Object(self.settings.clone());
        value["id"] = format!("resp_{}", self.head.receipt).into();
        value["object"] = "response".into();
        value["created_at"] = self.head.created.into();
        value["model"] = self.head.model.clone().into();
        value["status"] = status.name().into();
        value["error"] = Value::Null;
        value["incomplete_details"] = match status {
            Status::Incomplete => json!({ "reason": "max_output_tokens" }),
            _ => Value::Null,
        };
        value["output"] = json!([]);
        value["usage"] = Value::Null;
        value
    }

    fn finished(&self, done: &Done) -> Value {
        let status = Status::of(done);
        let mut value = self.response(status);
        value["output"] = json!([self.message(status)]);
        value["usage"] = usage(done);
        value["poq"] = proof(done);
        value
    }

    fn item_id(&self) -> String {
        format!("msg_{}", self.head.receipt)
    }

    /// The only item of the output.
    fn message(&self, status: Status) -> Value {
        let content = match status {
            Status::InProgress => json!([]),
            _ => json!([self.part()]),
        };
        json!({
            "id": self.item_id(),
            "type": "message",
            "status": status.name(),
            "role": "assistant",
            "content": content,
        })
    }

    /// The only part of the message.
    fn part(&self) -> Value {
        json!({ "type": "output_text", "text": self.text, "annotations": [], "logprobs": [] })
    }

    fn event(&mut self, kind: &str, fields: Value) -> Event {
        let mut value = fields;
        value["type"] = kind.into();
        value["sequence_number"] = self.number.into();
        self.number += 1;
        Event::default().event(kind).data(value.to_string())
    }

    /// An event of the part of the message.
    fn of_part(&mut self, kind: &str, name: &str, value: impl Into<Value>) -> Event {
        let mut fields =
            json!({ "item_id": self.item_id(), "output_index": 0, "content_index": 0 });
        fields[name] = value.into();
        if kind.starts_with("response.output_text") {
            fields["logprobs"] = json!([]);
        }
        self.event(kind, fields)
    }
}

fn usage(done: &Done) -> Value {
    let leaf = &done.ending.leaf;
    let (prompt, answer) = (leaf.prompt_tokens, leaf.answer_tokens);
    json!({
        "input_tokens": prompt,
        "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens": answer,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": u64::from(prompt) + u64::from(answer),
    })
}

impl form::Form for Form {
    fn whole(&mut self, text: &str, done: &Done) -> Value {
        text.clone_into(&mut self.text);
        self.finished(done)
    }
}

impl Events for Form {
    fn opening(&mut self) -> Vec<Event> {
        let response = json!({ "response": self.response(Status::InProgress) });
        let item = json!({ "output_index": 0, "item": self.message(Status::InProgress) });
        let part = self.part();
        vec![
            self.event("response.created", response.clone()),
            self.event("response.in_progress", response),
            self.event("response.output_item.added", item),
            self.of_part("response.content_part.added", "part", part),
        ]
    }

    fn delta(&mut self, text: &str) -> Vec<Event> {
        self.text.push_str(text);
        vec![self.of_part("response.output_text.delta", "delta", text)]
    }

    fn ending(&mut self, done: &Done) -> Vec<Event> {
        let status = Status::of(done);
        let (text, part) = (self.text.clone(), self.part());
        let item = json!({ "output_index": 0, "item": self.message(status) });
        let response = json!({ "response": self.finished(done) });
        let last = match status {
            Status::Completed => "response.completed",
            _ => "response.incomplete",
        };
        vec![
            self.of_part("response.output_text.done", "text", text),
            self.of_part("response.content_part.done", "part", part),
            self.event("response.output_item.done", item),
            self.event(last, response),
        ]
    }

    fn failed(&mut self, error: &ApiError) -> Vec<Event> {
        let mut response = self.response(Status::Failed);
        let body = &error.body()["error"];
        response["error"] = json!({ "code": body["code"], "message": body["message"] });
        vec![self.event("response.failed", json!({ "response": response }))]
    }
}
