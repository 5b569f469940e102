//! A `tokenizer.json` out of a GGUF file.
//!
//! mistral.rs splits the text of every byte-pair model as Qwen does. SmolLM was trained on
//! another split (single digits, then GPT-2's pattern), and other tokens than the trained ones
//! make a small model worse. So the right tokenizer is written out for the kind known here.

use std::collections::HashMap;

use candle_core::quantized::gguf_file::Value;
use serde_json::json;

/// `tokenizer.ggml.token_type` of a token that is no text.
const CONTROL: i32 = 3;

/// Contents of the two files that describe a tokenizer in Hugging Face's form.
pub struct Files {
    /// `tokenizer.json`.
    pub tokenizer: String,
    /// `tokenizer_config.json`: special tokens and chat template.
    pub config: String,
}

/// The tokenizer of a GGUF file, or none where mistral.rs reads it rightly by itself.
///
/// # Errors
/// What is missing or malformed, in words.
pub fn files(metadata: &HashMap<String, Value>) -> Result<Option<Files>, String> {
    let kind = metadata
        .get("tokenizer.ggml.pre")
        .and_then(|value| value.to_string().ok());
    if kind.map(String::as_str) != Some("smollm") {
        return Ok(None);
    }
    let tokens = strings(metadata, "tokenizer.ggml.tokens")?;
    let merges = strings(metadata, "tokenizer.ggml.merges")?;
    let types = list(metadata, "tokenizer.ggml.token_type")?;
    let special = |name: &str| -> Result<&str, String> {
        let key = format!("tokenizer.ggml.{name}_token_id");
        let id = field(metadata, &key)?
            .to_u32()
            .map_err(|e| format!("{key}: {e}"))?;
        tokens
            .get(id as usize)
            .copied()
            .ok_or_else(|| format!("{key} is no token: {id}"))
    };
    let template = field(metadata, "tokenizer.chat_template")?
        .to_string()
        .map_err(|e| format!("tokenizer.chat_template: {e}"))?;

    let vocabulary: serde_json::Map<_, _> = tokens
        .iter()
        .enumerate()
        .map(|(id, token)| ((*token).to_owned(), json!(id)))
        .collect();
    let control = tokens
        .iter()
        .zip(types)
        .enumerate()
        .filter(|(_, (_, kind))| kind.to_i32().is_ok_and(|kind| kind == CONTROL))
        .map(|(id, (token, _))| {
            json!({
                "id": id, "content": token, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true,
            })
        });
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": control.collect::<Vec<_>>(),
        "normalizer": null,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                { "type": "Digits", "individual_digits": true },
                byte_level(),
            ],
        },
        "post_processor": null,
        "decoder": byte_level(),
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": special("unknown")?,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": false,
            "byte_fallback": false,
            "ignore_merges": false,
            "vocab": vocabulary,
            "merges": merges,
        },
    });
    let config = json!({
        "bos_token": special("bos")?,
        "eos_token": special("eos")?,
        "unk_token": special("unknown")?,
        "chat_template": template,
    });
    Ok(Some(Files {
        tokenizer: tokenizer.to_string(),
        config: config.to_string(),
    }))
}

fn byte_level() -> serde_json::Value {
    json!({ "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true })
}

fn field<'a>(metadata: &'a HashMap<String, Value>, key: &str) -> Result<&'a Value, String> {
    metadata.get(key).ok_or_else(|| format!("{key} is missing"))
}

fn list<'a>(metadata: &'a HashMap<String, Value>, key: &str) -> Result<&'a [Value], String> {
    field(metadata, key)?
        .to_vec()
        .map(Vec::as_slice)
        .map_err(|error| format!("{key}: {error}"))
}

fn strings<'a>(metadata: &'a HashMap<String, Value>, key: &str) -> Result<Vec<&'a str>, String> {
    list(metadata, key)?
        .iter()
        .map(|value| {
            value
                .to_string()
                .map(String::as_str)
                .map_err(|e| format!("{key}: {e}"))
        })
        .collect()
}
