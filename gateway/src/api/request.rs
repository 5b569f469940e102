//! The fields of a request: honoured, without effect, or refused by name.

use poq_proto::v1::Sampling;
use poq_proto::{MAX_STOP_BYTES, MAX_STOP_TEXTS, PPM};
use rand::RngCore;
use rand::rngs::OsRng;
use serde_json::{Map, Value};

use super::failure::ApiError;
use crate::ask::Tier;

/// More bytes than a token has, so that a limit of tokens also lowers the price that is held.
const TOKEN_BYTES: u32 = 64;

/// Fields that change nothing whatever they are.
const WITHOUT_EFFECT: [&str; 6] = [
    "metadata",
    "parallel_tool_calls",
    "prompt_cache_key",
    "safety_identifier",
    "service_tier",
    "user",
];

/// The fields of a request that are not read yet. A field that is null is as if it were absent.
pub(super) struct Fields(Map<String, Value>);

/// What the chain's additions ask for.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Demands {
    /// ppm.
    pub min_quality: Option<u32>,
    /// Base units.
    pub max_price: Option<u64>,
    /// Which sessions.
    pub tier: Option<Tier>,
}

/// How an answer is generated and sent.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Manner {
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Seed of the choices.
    pub seed: u64,
    /// Texts at which the answer ends.
    pub stop: Vec<String>,
    /// Most bytes of the answer, as far as a limit of tokens implies one.
    pub max_answer_bytes: u32,
    /// Whether the answer is streamed.
    pub is_stream: bool,
    /// Whether a stream ends with the token counts.
    pub include_usage: bool,
}

impl Fields {
    /// The fields of a JSON object.
    ///
    /// # Errors
    /// [`ApiError`] for anything else.
    pub(super) fn parse(body: &[u8]) -> Result<Self, ApiError> {
        let invalid = |reason: String| {
            let status = axum::http::StatusCode::BAD_REQUEST;
            ApiError::new(status, "invalid_json", reason)
        };
        match serde_json::from_slice(body) {
            Ok(Value::Object(fields)) => Ok(Self::of(fields)),
            Ok(_) => Err(invalid("the body must be a JSON object".into())),
            Err(error) => Err(invalid(format!("the body is not JSON: {error}"))),
        }
    }

    pub(super) fn of(mut fields: Map<String, Value>) -> Self {
        fields.retain(|_, value| !value.is_null());
        Self(fields)
    }

    /// Takes a field out.
    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name)
    }

    /// Takes a text out.
    ///
    /// # Errors
    /// [`ApiError`] for anything else.
    pub(super) fn text(&mut self, name: &'static str) -> Result<Option<String>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(ApiError::invalid(name, "must be a string")),
        }
    }

    fn boolean(&mut self, name: &'static str) -> Result<bool, ApiError> {
        match self.take(name) {
            None => Ok(false),
            Some(Value::Bool(value)) => Ok(value),
            Some(_) => Err(ApiError::invalid(name, "must be true or false")),
        }
    }

    /// A number as ppm.
    fn ppm(&mut self, name: &'static str, most: f64) -> Result<Option<u32>, ApiError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        ppm(&value, most).map(Some).ok_or_else(|| {
            ApiError::invalid(name, format!("must be a number between 0 and {most}"))
        })
    }

    /// Takes a whole number of at least 1 out.
    ///
    /// # Errors
    /// [`ApiError`] for anything else.
    pub(super) fn count(&mut self, name: &'static str) -> Result<Option<u32>, ApiError> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let count = value.as_u64().filter(|count| *count > 0);
        let count = count.map(|count| u32::try_from(count).unwrap_or(u32::MAX));
        let error = || ApiError::invalid(name, "must be a whole number of at least 1");
        count.map(Some).ok_or_else(error)
    }

    /// Takes out how the answer is generated and sent, as chats and completions have it. `tokens` is the
    /// most tokens of the answer. Defaults are OpenAI's.
    ///
    /// # Errors
    /// [`ApiError`] for the first field with an invalid value.
    pub(super) fn manner(&mut self, tokens: Option<u32>) -> Result<Manner, ApiError> {
        let mut manner = self.sampling(tokens)?;
        if let Some(seed) = self.take("seed") {
            let seed = seed.as_i64().map(i64::cast_unsigned);
            let error = || ApiError::invalid("seed", "must be a whole number of 64 bits");
            manner.seed = seed.ok_or_else(error)?;
        }
        manner.stop = self.stop()?;
        manner.include_usage = self.stream_options(manner.is_stream)?;
        Ok(manner)
    }

    /// The same without what only chats and completions have: seed, stop texts, options of a stream.
    ///
    /// # Errors
    /// [`ApiError`] for the first field with an invalid value.
    pub(super) fn sampling(&mut self, tokens: Option<u32>) -> Result<Manner, ApiError> {
        let temperature = self.ppm("temperature", 2.0)?.unwrap_or(PPM as u32);
        let top_p = self.ppm("top_p", 1.0)?.unwrap_or(PPM as u32);
        Ok(Manner {
            sampling: Sampling {
                temperature: Some(temperature),
                // OpenAI allows 0, which means the most likely token; on the chain 0 means unset.
                top_p: top_p.max(1),
                max_tokens: tokens.unwrap_or(0),
                repetition_penalty: PPM as u32,
            },
            seed: OsRng.next_u64(),
            stop: Vec::new(),
            max_answer_bytes: tokens.map_or(u32::MAX, |tokens| tokens.saturating_mul(TOKEN_BYTES)),
            is_stream: self.boolean("stream")?,
            include_usage: false,
        })
    }

    fn stop(&mut self) -> Result<Vec<String>, ApiError> {
        let mut texts = match self.take("stop") {
            None => Vec::new(),
            Some(Value::String(text)) => vec![text],
            Some(list) => serde_json::from_value(list)
                .map_err(|_| ApiError::invalid("stop", "must be a string or a list of strings"))?,
        };
        texts.retain(|text| !text.is_empty());
        if texts.len() > MAX_STOP_TEXTS || texts.iter().any(|text| text.len() > MAX_STOP_BYTES) {
            let limits =
                format!("must be at most {MAX_STOP_TEXTS} strings of {MAX_STOP_BYTES} bytes");
            return Err(ApiError::invalid("stop", limits));
        }
        Ok(texts)
    }

    fn stream_options(&mut self, is_stream: bool) -> Result<bool, ApiError> {
        let mut options = match self.take("stream_options") {
            None => return Ok(false),
            Some(Value::Object(options)) if is_stream => Self::of(options),
            Some(Value::Object(_)) => {
                return Err(ApiError::invalid("stream_options", "is only for streams"));
            }
            Some(_) => return Err(ApiError::invalid("stream_options", "must be an object")),
        };
        let include_usage = options.boolean("include_usage")?;
        match options.0.keys().next() {
            None => Ok(include_usage),
            Some(other) => Err(ApiError::unsupported(format!("stream_options.{other}"))),
        }
    }

    /// Takes out the chain's additions.
    ///
    /// # Errors
    /// [`ApiError`] for the first field that is unknown or has an invalid value.
    pub(super) fn demands(&mut self) -> Result<Demands, ApiError> {
        let mut fields = match self.take("poq") {
            None => return Ok(Demands::default()),
            Some(Value::Object(fields)) => Self::of(fields),
            Some(_) => return Err(ApiError::invalid("poq", "must be an object")),
        };
        let demands = Demands {
            min_quality: fields
                .take("min_quality")
                .map(|value| quality(&value))
                .transpose()?,
            max_price: fields
                .take("max_price")
                .map(|value| price(&value))
                .transpose()?,
            tier: fields.take("tier").map(|value| tier(&value)).transpose()?,
        };
        match fields.0.keys().next() {
            None => Ok(demands),
            Some(other) => Err(ApiError::unsupported(format!("poq.{other}"))),
        }
    }

    /// Takes out a field that may only have the value that changes nothing.
    ///
    /// # Errors
    /// [`ApiError`] for any other value.
    pub(super) fn only(&mut self, name: &'static str, neutral: &Value) -> Result<(), ApiError> {
        match self.take(name) {
            Some(value) if value != *neutral => Err(ApiError::unsupported(name)),
            _ => Ok(()),
        }
    }

    /// Refuses what is left, unless it has no effect.
    ///
    /// # Errors
    /// [`ApiError`] for the first other field.
    pub(super) fn finish(self) -> Result<(), ApiError> {
        match self.0.iter().find(|(name, value)| !is_neutral(name, value)) {
            None => Ok(()),
            Some((name, _)) => Err(ApiError::unsupported(name)),
        }
    }
}

fn quality(value: &Value) -> Result<u32, ApiError> {
    ppm(value, 1.0)
        .ok_or_else(|| ApiError::invalid("poq.min_quality", "must be a number between 0 and 1"))
}

fn price(value: &Value) -> Result<u64, ApiError> {
    let text = value.as_str().and_then(|text| text.parse().ok());
    value
        .as_u64()
        .or(text)
        .ok_or_else(|| ApiError::invalid("poq.max_price", "must be a whole number of base units"))
}

fn tier(value: &Value) -> Result<Tier, ApiError> {
    let name = value.as_str().unwrap_or_default();
    name.parse()
        .map_err(|reason| ApiError::invalid("poq.tier", format!("must be a tier: {reason}")))
}

impl Demands {
    /// Adds what the headers `x-poq-*` ask for; the body's fields count more.
    ///
    /// # Errors
    /// [`ApiError`] for the first invalid header.
    pub(super) fn or_headers(
        self,
        header: impl Fn(&str) -> Option<String>,
    ) -> Result<Self, ApiError> {
        let number = |name: &str| {
            let text = header(name)?;
            // A text that is no number is refused as the value that it is.
            Some(serde_json::from_str(&text).unwrap_or(Value::String(text)))
        };
        Ok(Self {
            min_quality: match self.min_quality {
                None => number("x-poq-min-quality")
                    .map(|value| quality(&value))
                    .transpose()?,
                given => given,
            },
            max_price: match self.max_price {
                None => number("x-poq-max-price")
                    .map(|value| price(&value))
                    .transpose()?,
                given => given,
            },
            tier: match self.tier {
                None => header("x-poq-tier")
                    .map(|name| tier(&name.into()))
                    .transpose()?,
                given => given,
            },
        })
    }
}

/// A number from 0 to `most` in millionths, rounded.
fn ppm(value: &Value, most: f64) -> Option<u32> {
    let number = value
        .as_f64()
        .filter(|number| (0.0..=most).contains(number))?;
    Some((number * PPM as f64).round() as u32)
}

/// Whether a field has no effect.
fn is_neutral(name: &str, value: &Value) -> bool {
    match name {
        "frequency_penalty" | "presence_penalty" => value.as_f64() == Some(0.0),
        "logprobs" | "store" => value == &Value::Bool(false),
        "n" => value.as_f64() == Some(1.0),
        "response_format" => {
            let text = Map::from_iter([("type".to_owned(), Value::from("text"))]);
            value == &Value::Object(text)
        }
        "tool_choice" => value == "none",
        "tools" => value.as_array().is_some_and(Vec::is_empty),
        name => WITHOUT_EFFECT.contains(&name),
    }
}

#[cfg(test)]
mod tests;
