//! Fetches models from a hub with Hugging Face's protocol.

use std::path::PathBuf;

use hf_hub::api::sync::{ApiBuilder, ApiError};

use super::source::{CONFIG, GENERATION_CONFIG, TEMPLATE, TOKENIZER, TOKENIZER_CONFIG};
use super::{Error, Result};

/// Default hub, unless `HF_ENDPOINT` is set.
const ENDPOINT: &str = "https://huggingface.co";

/// The configured hub.
pub(crate) fn endpoint() -> String {
    std::env::var("HF_ENDPOINT").unwrap_or_else(|_| ENDPOINT.into())
}

/// Fetches a model's files into the hub's cache (`HF_HOME`), unless they are there, and returns
/// their folder. The token for gated models is read from `HF_TOKEN`, or from where `hf auth login`
/// stores it.
///
/// # Errors
/// [`Error::Hub`] if the hub cannot be reached or does not have the model.
pub(crate) fn fetch(model: &str, endpoint: &str) -> Result<PathBuf> {
    let error = |reason: String| Error::Hub {
        model: model.into(),
        endpoint: endpoint.into(),
        reason,
    };
    let failed = |failure: ApiError| error(failure.to_string());
    let mut builder = ApiBuilder::from_env().with_endpoint(endpoint.into());
    if let Ok(token) = std::env::var("HF_TOKEN") {
        builder = builder.with_token(Some(token));
    }
    let repository = builder.build().map_err(failed)?.model(model.into());
    let listed = repository.info().map_err(failed)?.siblings;
    let wanted = |name: &str| {
        let weights = name.starts_with("model") && name.ends_with(".safetensors");
        weights
            || [
                CONFIG,
                GENERATION_CONFIG,
                TOKENIZER,
                TOKENIZER_CONFIG,
                TEMPLATE,
            ]
            .contains(&name)
    };
    let mut folder = None;
    for file in listed.iter().filter(|file| wanted(&file.rfilename)) {
        let path = repository.get(&file.rfilename).map_err(failed)?;
        folder = path.parent().map(PathBuf::from);
    }
    folder.ok_or_else(|| error("it does not have the files of a safetensors model".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_hub_the_error_says_what_to_do() {
        // A port without a listener.
        let error = fetch("meta-llama/Llama-3.2-1B-Instruct", "http://127.0.0.1:1");
        let error = error.unwrap_err().to_string();
        assert!(
            error.contains("meta-llama/Llama-3.2-1B-Instruct")
                && error.contains("http://127.0.0.1:1")
                && error.contains("--model-file"),
            "{error}"
        );
    }
}
