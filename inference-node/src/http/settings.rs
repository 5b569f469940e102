//! Settings that chats and completions share.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::generator::{Asked, Prompt, Recommended, Request};

/// Most stop texts in one request.
const STOPS: usize = 4;

/// Settings that would change the answer but are not supported: refused unless they have no effect.
const UNSERVED: [&str; 18] = [
    "audio",
    "best_of",
    "echo",
    "frequency_penalty",
    "function_call",
    "functions",
    "grammar",
    "guided_json",
    "logit_bias",
    "logprobs",
    "min_p",
    "n",
    "presence_penalty",
    "response_format",
    "suffix",
    "tool_choice",
    "tools",
    "top_logprobs",
];

/// The settings of a request. Unknown ones are ignored, as in other servers.
#[derive(Debug, Deserialize)]
pub(super) struct Settings {
    temperature: Option<f64>,
    top_p: Option<f64>,
    /// The older name of `max_completion_tokens`; many clients send both.
    max_tokens: Option<usize>,
    max_completion_tokens: Option<usize>,
    /// Not in OpenAI's API, but under this name in vLLM, TGI and mistral.rs.
    repetition_penalty: Option<f64>,
    seed: Option<i64>,
    stop: Option<Stop>,
    stream: Option<bool>,
    stream_options: Option<StreamOptions>,
    #[serde(flatten)]
    others: Map<String, Value>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    include_usage: Option<bool>,
}

#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "`stop` must be a string or a list of strings")]
enum Stop {
    One(String),
    Many(Vec<String>),
}

/// The server's defaults for a request.
#[derive(Clone, Copy, Debug)]
pub(super) struct Defaults {
    /// Default token limit of an answer.
    pub tokens: usize,
    /// Most tokens of an answer.
    pub most_tokens: usize,
    /// How tokens are chosen.
    pub recommended: Recommended,
    /// The default seed.
    pub seed: u64,
}

/// An invalid setting.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Invalid {
    /// Name of the setting.
    pub param: &'static str,
    /// The reason.
    pub message: String,
}

/// The error for an invalid setting.
pub(super) fn invalid(param: &'static str, message: impl Into<String>) -> Invalid {
    Invalid {
        param,
        message: message.into(),
    }
}

impl Settings {
    /// Whether the answer is streamed.
    pub(super) fn is_stream(&self) -> bool {
        self.stream == Some(true)
    }

    /// Whether a stream ends with the token counts.
    pub(super) fn include_usage(&self) -> bool {
        let options = self.stream_options.as_ref();
        options.and_then(|options| options.include_usage) == Some(true)
    }

    /// The request for the language model.
    ///
    /// # Errors
    /// The first invalid setting.
    pub(super) fn into_request(
        self,
        prompt: Prompt,
        defaults: Defaults,
    ) -> Result<Request, Invalid> {
        self.check_unserved()?;
        let asked = Asked {
            temperature: within("temperature", self.temperature, 0.0..=2.0)?,
            top_p: match self.top_p {
                // OpenAI allows 0, which means the most likely token.
                Some(0.0) => Some(f64::MIN_POSITIVE),
                top_p => within("top_p", top_p, 0.0..=1.0)?,
            },
            repetition_penalty: within("repetition_penalty", self.repetition_penalty, 1.0..=2.0)?,
        };
        let seed = self.seed.map_or(defaults.seed, i64::cast_unsigned);
        let tokens = self.tokens()?.unwrap_or(defaults.tokens);
        Ok(Request {
            prompt,
            sampling: defaults.recommended.complete(asked, seed),
            max_tokens: tokens.min(defaults.most_tokens),
            max_bytes: usize::MAX,
            stop: stops(self.stop)?,
        })
    }

    fn tokens(&self) -> Result<Option<usize>, Invalid> {
        let least = |param, tokens| match tokens {
            Some(0) => Err(invalid(param, "must be at least 1")),
            tokens => Ok(tokens),
        };
        let newer = least("max_completion_tokens", self.max_completion_tokens)?;
        match newer {
            Some(tokens) => Ok(Some(tokens)),
            None => least("max_tokens", self.max_tokens),
        }
    }

    fn check_unserved(&self) -> Result<(), Invalid> {
        let asked_for = |param: &&&str| {
            let value = self.others.get(**param);
            value.is_some_and(|value| !is_neutral(param, value))
        };
        match UNSERVED.iter().find(asked_for) {
            Some(param) => Err(invalid(param, "is not supported; leave it out")),
            None => Ok(()),
        }
    }
}

/// Whether the setting has no effect.
fn is_neutral(param: &str, value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::Bool(true) => false,
        Value::Number(number) => {
            let neutral = match param {
                "n" | "best_of" => 1.0,
                _ => 0.0,
            };
            number.as_f64() == Some(neutral)
        }
        Value::String(text) => match param {
            "tool_choice" | "function_call" => matches!(text.as_str(), "auto" | "none"),
            _ => text.is_empty(),
        },
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => {
            members.is_empty()
                || (param == "response_format" && members.get("type") == Some(&"text".into()))
        }
    }
}

fn stops(stop: Option<Stop>) -> Result<Vec<String>, Invalid> {
    let mut texts = match stop {
        None => Vec::new(),
        Some(Stop::One(text)) => vec![text],
        Some(Stop::Many(texts)) => texts,
    };
    texts.retain(|text| !text.is_empty());
    if texts.len() > STOPS {
        return Err(invalid("stop", format!("must be at most {STOPS} strings")));
    }
    Ok(texts)
}

/// The number, if it is in `range`.
fn within(
    param: &'static str,
    value: Option<f64>,
    range: std::ops::RangeInclusive<f64>,
) -> Result<Option<f64>, Invalid> {
    match value {
        Some(value) if !range.contains(&value) => {
            let (least, most) = range.into_inner();
            let message = format!("must be between {least} and {most}, not {value}");
            Err(invalid(param, message))
        }
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::generator::Sampling;

    const DEFAULTS: Defaults = Defaults {
        tokens: 100,
        most_tokens: 200,
        recommended: Recommended {
            temperature: 0.2,
            top_p: 0.95,
            repetition_penalty: 1.1,
        },
        seed: 7,
    };

    fn settings(json: Value) -> Settings {
        serde_json::from_value(json).unwrap()
    }

    fn parse(json: Value) -> Result<Request, Invalid> {
        settings(json).into_request(Prompt::question("Hi"), DEFAULTS)
    }

    #[test]
    fn defaults_are_the_models_and_bounded() {
        let request = parse(json!({ "user": "someone", "store": true })).unwrap();
        let recommended = DEFAULTS.recommended.complete(Asked::default(), 7);
        assert_eq!(request.sampling, recommended);
        assert_eq!(request.max_tokens, 100);
        assert!(request.stop.is_empty());
    }

    #[test]
    fn settings_are_taken_and_capped() {
        let request = parse(json!({
            "temperature": 0.5, "top_p": 0.9, "repetition_penalty": 1, "seed": -1,
            "max_tokens": 1000, "stop": ["\n", "", "END"],
        }))
        .unwrap();
        let expected = Sampling {
            temperature: 0.5,
            top_p: 0.9,
            repetition_penalty: 1.0,
            seed: u64::MAX,
        };
        assert_eq!(request.sampling, expected);
        assert_eq!(request.max_tokens, 200);
        assert_eq!(request.stop, ["\n", "END"]);
        assert_eq!(parse(json!({ "stop": "END" })).unwrap().stop, ["END"]);
        let both = json!({ "max_tokens": 5, "max_completion_tokens": 6 });
        assert_eq!(parse(both).unwrap().max_tokens, 6);
    }

    #[test]
    fn what_asks_for_nothing_is_as_if_it_were_absent() {
        let request = parse(json!({
            "n": 1, "best_of": 1, "stop": null, "tools": [], "tool_choice": "none", "functions": null,
            "function_call": "auto", "logprobs": false, "top_logprobs": 0, "logit_bias": {}, "suffix": "",
            "presence_penalty": 0, "frequency_penalty": 0.0, "response_format": { "type": "text" },
            "max_tokens": null, "max_completion_tokens": null, "temperature": null, "seed": null,
        }))
        .unwrap();
        assert_eq!(request.max_tokens, 100);
        for stop in [json!([]), json!(""), json!([""])] {
            assert!(parse(json!({ "stop": stop })).unwrap().stop.is_empty());
        }
        let open = settings(json!({ "stream": null, "stream_options": null }));
        assert!(!open.is_stream() && !open.include_usage());
        let open = settings(json!({ "stream": true, "stream_options": { "include_usage": null } }));
        assert!(open.is_stream() && !open.include_usage());
        let set = settings(json!({ "stream_options": { "include_usage": true } }));
        assert!(set.include_usage());
    }

    #[test]
    fn what_cannot_be_served_is_refused_by_name() {
        for (param, value) in [
            ("n", json!(2)),
            ("n", json!(0)),
            ("best_of", json!(3)),
            ("echo", json!(true)),
            ("tools", json!([{}])),
            ("tool_choice", json!("required")),
            ("functions", json!([{}])),
            ("response_format", json!({ "type": "json_object" })),
            ("logprobs", json!(true)),
            ("logprobs", json!(5)),
            ("logit_bias", json!({ "50256": -100 })),
            ("presence_penalty", json!(0.5)),
            ("frequency_penalty", json!(-0.5)),
            ("suffix", json!("end")),
            ("stop", json!(["1", "2", "3", "4", "5"])),
            ("max_tokens", json!(0)),
            ("max_completion_tokens", json!(0)),
            ("temperature", json!(2.5)),
            ("temperature", json!(-0.1)),
            ("top_p", json!(1.1)),
            ("repetition_penalty", json!(0.9)),
        ] {
            let mut body = Map::new();
            body.insert(param.to_owned(), value);
            let error = parse(Value::Object(body)).unwrap_err();
            assert_eq!(error.param, param, "{error:?}");
        }
    }
}
