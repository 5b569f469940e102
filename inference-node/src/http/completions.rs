//! The body of `POST /v1/completions`.

use serde::Deserialize;

use super::settings::{Invalid, Settings, invalid};
use crate::generator::Prompt;

/// OpenAI's default for the most tokens of an answer.
pub(super) const TOKENS: usize = 16;

/// A text to continue.
#[derive(Debug, Deserialize)]
pub(super) struct CompletionRequest {
    /// Id of the model.
    pub model: String,
    prompt: Texts,
    /// How the answer is generated and sent.
    #[serde(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "`prompt` must be a string; token arrays are not supported"
)]
enum Texts {
    One(String),
    Many(Vec<String>),
}

impl CompletionRequest {
    /// The text, and how to generate the answer.
    ///
    /// # Errors
    /// An invalid prompt.
    pub(super) fn parts(self) -> Result<(Prompt, Settings), Invalid> {
        let text = match self.prompt {
            Texts::One(text) => text,
            Texts::Many(texts) => match <[String; 1]>::try_from(texts) {
                Ok([text]) => text,
                Err(_) => return Err(invalid("prompt", "must be a single string")),
            },
        };
        match text.is_empty() {
            true => Err(invalid("prompt", "must not be empty")),
            false => Ok((Prompt::Text(text), self.settings)),
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn text(prompt: Value) -> Result<String, Invalid> {
        let body = json!({ "model": "m", "prompt": prompt });
        let request: CompletionRequest = serde_json::from_value(body).unwrap();
        match request.parts()?.0 {
            Prompt::Text(text) => Ok(text),
            Prompt::Chat(turns) => panic!("{turns:?}"),
        }
    }

    #[test]
    fn one_text_is_gone_on_with() {
        assert_eq!(text(json!("Once")).unwrap(), "Once");
        assert_eq!(text(json!(["Once"])).unwrap(), "Once");
        for prompt in [json!(""), json!([]), json!(["a", "b"]), json!([""])] {
            assert_eq!(text(prompt).unwrap_err().param, "prompt");
        }
        let tokens = json!({ "model": "m", "prompt": [1, 2] });
        let error = serde_json::from_value::<CompletionRequest>(tokens).unwrap_err();
        assert!(error.to_string().contains("prompt"), "{error}");
    }
}
