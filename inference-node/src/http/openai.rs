//! The parts of OpenAI's chat completions that are served here.

use serde::{Deserialize, Serialize};

use crate::generator::{Asked, Completion, Finish, Message, Recommended, Request, Speaker};

/// Body of `POST /v1/chat/completions`. Settings that are not listed are ignored, as other
/// servers do; those that would change the answer and cannot be served are refused.
#[derive(Debug, Deserialize)]
pub struct ChatRequest {
    model: String,
    messages: Vec<ChatMessage>,
    #[serde(default)]
    temperature: Option<f64>,
    #[serde(default)]
    top_p: Option<f64>,
    #[serde(default, alias = "max_completion_tokens")]
    max_tokens: Option<usize>,
    /// Not of OpenAI's, but under this name in vLLM, TGI and mistral.rs.
    #[serde(default)]
    repetition_penalty: Option<f64>,
    #[serde(default)]
    seed: Option<i64>,
    #[serde(default)]
    n: Option<u32>,
    #[serde(default)]
    stop: Option<serde_json::Value>,
    #[serde(default)]
    tools: Option<Vec<serde_json::Value>>,
    /// Whether the answer is sent as it is generated.
    #[serde(default)]
    pub stream: bool,
    #[serde(default)]
    stream_options: Option<StreamOptions>,
}

#[derive(Debug, Default, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

#[derive(Debug, Deserialize)]
struct ChatMessage {
    role: String,
    content: Content,
}

#[derive(Debug, Deserialize)]
#[serde(untagged)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part {
    Text { text: String },
}

/// A setting that cannot be served.
#[derive(Debug, PartialEq, Eq)]
pub struct Invalid {
    /// Name of the setting.
    pub param: &'static str,
    /// What is wrong with it.
    pub message: String,
}

fn invalid(param: &'static str, message: impl Into<String>) -> Invalid {
    Invalid {
        param,
        message: message.into(),
    }
}

/// The number, if it is in `range`.
fn within(
    param: &'static str,
    value: Option<f64>,
    range: std::ops::RangeInclusive<f64>,
) -> Result<Option<f64>, Invalid> {
    match value {
        Some(value) if !range.contains(&value) => {
            let message = format!(
                "must be between {} and {}, not {value}",
                range.start(),
                range.end()
            );
            Err(invalid(param, message))
        }
        value => Ok(value),
    }
}

impl ChatRequest {
    /// The model that is asked for.
    pub fn model(&self) -> &str {
        &self.model
    }

    /// Whether a stream ends with the numbers of tokens.
    pub fn include_usage(&self) -> bool {
        self.stream_options
            .as_ref()
            .is_some_and(|options| options.include_usage)
    }

    /// The request for the language model, with at most `max_tokens` tokens. What it leaves open
    /// is as `recommended`; without a seed it takes `seed`.
    ///
    /// # Errors
    /// The first setting that cannot be served.
    pub fn into_request(
        self,
        max_tokens: usize,
        recommended: Recommended,
        seed: u64,
    ) -> Result<Request, Invalid> {
        if self.n.is_some_and(|n| n != 1) {
            return Err(invalid("n", "only one answer per request is served"));
        }
        if self.stop.is_some_and(|stop| !stop.is_null()) {
            return Err(invalid("stop", "stop sequences are not served"));
        }
        if self.tools.is_some_and(|tools| !tools.is_empty()) {
            return Err(invalid("tools", "tools are not served"));
        }
        if self.max_tokens == Some(0) {
            return Err(invalid("max_tokens", "must be at least 1"));
        }
        if self.messages.is_empty() {
            return Err(invalid("messages", "must have at least one message"));
        }
        let asked = Asked {
            temperature: within("temperature", self.temperature, 0.0..=2.0)?,
            top_p: match self.top_p {
                // OpenAI allows 0 and means the most likely token.
                Some(0.0) => Some(f64::MIN_POSITIVE),
                top_p => within("top_p", top_p, 0.0..=1.0)?,
            },
            repetition_penalty: within("repetition_penalty", self.repetition_penalty, 1.0..=2.0)?,
        };
        let sampling = recommended.complete(asked, self.seed.map_or(seed, i64::cast_unsigned));
        Ok(Request {
            messages: self
                .messages
                .into_iter()
                .map(message)
                .collect::<Result<_, _>>()?,
            sampling,
            max_tokens: self.max_tokens.unwrap_or(max_tokens).min(max_tokens),
            max_bytes: usize::MAX,
        })
    }
}

fn message(message: ChatMessage) -> Result<Message, Invalid> {
    let speaker = match message.role.as_str() {
        "system" | "developer" => Speaker::System,
        "user" => Speaker::User,
        "assistant" => Speaker::Assistant,
        role => {
            let text = format!("the role `{role}` is none of system, user, assistant");
            return Err(invalid("messages", text));
        }
    };
    let text = match message.content {
        Content::Text(text) => text,
        Content::Parts(parts) => parts
            .into_iter()
            .map(|Part::Text { text }| text)
            .collect::<Vec<_>>()
            .join("\n"),
    };
    Ok(Message { speaker, text })
}

/// Numbers of tokens.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Usage {
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
        // Cancelled by its deadline: who left does not read this.
        Finish::Length | Finish::Bytes | Finish::Cancelled => "length",
    }
}

/// What all parts of one answer have in common.
#[derive(Clone, Debug)]
pub struct Answer {
    /// Unique id.
    pub id: String,
    /// Seconds since 1970.
    pub created: u64,
    /// Id of the model.
    pub model: String,
}

impl Answer {
    /// The whole answer.
    pub fn completion(&self, completion: &Completion) -> serde_json::Value {
        serde_json::json!({
            "id": self.id,
            "object": "chat.completion",
            "created": self.created,
            "model": self.model,
            "choices": [{
                "index": 0,
                "message": { "role": "assistant", "content": completion.text },
                "logprobs": null,
                "finish_reason": finish_reason(completion.finish),
            }],
            "usage": Usage::from(completion),
        })
    }

    /// The first part of a stream: who speaks.
    pub fn opening(&self) -> serde_json::Value {
        self.chunk(
            serde_json::json!({ "role": "assistant", "content": "" }),
            None,
        )
    }

    /// A part of the text.
    pub fn delta(&self, text: &str) -> serde_json::Value {
        self.chunk(serde_json::json!({ "content": text }), None)
    }

    /// The end of the text.
    pub fn ending(&self, finish: Finish) -> serde_json::Value {
        self.chunk(serde_json::json!({}), Some(finish_reason(finish)))
    }

    /// The numbers of tokens, as a stream's last part.
    pub fn usage(&self, completion: &Completion) -> serde_json::Value {
        serde_json::json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": [],
            "usage": Usage::from(completion),
        })
    }

    fn chunk(&self, delta: serde_json::Value, finish: Option<&str>) -> serde_json::Value {
        serde_json::json!({
            "id": self.id,
            "object": "chat.completion.chunk",
            "created": self.created,
            "model": self.model,
            "choices": [{
                "index": 0, "delta": delta, "logprobs": null, "finish_reason": finish,
            }],
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::generator::Sampling;

    const RECOMMENDED: Recommended = Recommended {
        temperature: 0.2,
        top_p: 0.95,
        repetition_penalty: 1.1,
    };

    fn parse(extra: serde_json::Value) -> Result<Request, Invalid> {
        let mut body = json!({ "model": "m", "messages": [{ "role": "user", "content": "Hi" }] });
        for (key, value) in extra.as_object().unwrap() {
            body[key] = value.clone();
        }
        serde_json::from_value::<ChatRequest>(body)
            .unwrap()
            .into_request(100, RECOMMENDED, 7)
    }

    #[test]
    fn defaults_are_the_models_and_bounded() {
        let request = parse(json!({ "user": "someone", "presence_penalty": 0 })).unwrap();
        assert_eq!(request.sampling, RECOMMENDED.complete(Asked::default(), 7));
        assert_eq!(request.max_tokens, 100);
    }

    #[test]
    fn settings_are_taken_and_capped() {
        let request = parse(json!({
            "temperature": 0.5, "top_p": 0.9, "repetition_penalty": 1.0, "seed": -1, "max_completion_tokens": 1000,
            "messages": [
                { "role": "system", "content": "Be brief." },
                { "role": "user", "content": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }] },
            ],
        }))
        .unwrap();
        assert_eq!(
            request.sampling,
            Sampling {
                temperature: 0.5,
                top_p: 0.9,
                repetition_penalty: 1.0,
                seed: u64::MAX
            }
        );
        assert_eq!(request.max_tokens, 100);
        assert_eq!(request.messages[0].speaker, Speaker::System);
        assert_eq!(request.messages[1].text, "a\nb");
    }

    #[test]
    fn what_cannot_be_served_is_refused_by_name() {
        for (param, body) in [
            ("n", json!({ "n": 2 })),
            ("stop", json!({ "stop": ["\n"] })),
            ("tools", json!({ "tools": [{}] })),
            ("max_tokens", json!({ "max_tokens": 0 })),
            ("messages", json!({ "messages": [] })),
            (
                "messages",
                json!({ "messages": [{ "role": "robot", "content": "Hi" }] }),
            ),
            ("temperature", json!({ "temperature": 2.5 })),
            ("temperature", json!({ "temperature": -0.1 })),
            ("top_p", json!({ "top_p": 1.1 })),
            ("repetition_penalty", json!({ "repetition_penalty": 0.9 })),
        ] {
            assert_eq!(parse(body).unwrap_err().param, param);
        }
    }
}
