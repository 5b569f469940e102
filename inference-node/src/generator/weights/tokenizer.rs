//! Converts the tokenizer of a GGUF file to a `tokenizer.json`.
//!
//! mistral.rs splits text for every byte-pair model as Qwen does, and takes the most likely pieces
//! where SentencePiece models merge pairs. Tokens that differ from training make a model worse. The
//! correct tokenizer is therefore written for the known kinds: SmolLM (single digits, then GPT-2's
//! pattern), Llama 3 (its own pattern, up to three digits) and SentencePiece (Llama 2, Mistral and
//! Mixtral).

use std::collections::HashMap;

use candle_core::quantized::gguf_file::Value;
use serde_json::json;

use super::pieces;

/// `tokenizer.ggml.token_type` of a control token.
const CONTROL: i32 = 3;

/// From the `tokenizer.json` of Llama 3.
const LLAMA3_SPLIT: &str = concat!(
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}|",
    r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
);

/// Contents of the two tokenizer files in Hugging Face's form.
pub(super) struct Files {
    /// `tokenizer.json`.
    pub tokenizer: String,
    /// `tokenizer_config.json`: special tokens and chat template.
    pub config: String,
}

/// The known kinds.
enum Kind {
    SmolLm,
    Llama3,
    Pieces,
}

impl Kind {
    fn of(metadata: &HashMap<String, Value>) -> Option<Self> {
        let text = |key| metadata.get(key).and_then(|value| value.to_string().ok());
        let pre = text("tokenizer.ggml.pre").map(String::as_str);
        match text("tokenizer.ggml.model")?.as_str() {
            "llama" => Some(Self::Pieces),
            "gpt2" if pre == Some("smollm") => Some(Self::SmolLm),
            "gpt2" if matches!(pre, Some("llama-bpe" | "llama3" | "llama-v3")) => {
                Some(Self::Llama3)
            }
            _ => None,
        }
    }
}

/// The tokenizer of a GGUF file, or `None` if mistral.rs reads it as well as this conversion could.
///
/// # Errors
/// A message about a missing or malformed part.
pub(super) fn files(metadata: &HashMap<String, Value>) -> Result<Option<Files>, String> {
    let Some(kind) = Kind::of(metadata) else {
        return Ok(None);
    };
    let tokens = strings(metadata, "tokenizer.ggml.tokens")?;
    let types = list(metadata, "tokenizer.ggml.token_type")?;
    let special = |name: &str| -> Result<&str, String> {
        let key = format!("tokenizer.ggml.{name}_token_id");
        let id = field(metadata, &key)?
            .to_u32()
            .map_err(|e| format!("{key}: {e}"))?;
        tokens
            .get(id as usize)
            .copied()
            .ok_or_else(|| format!("{key} is not a token: {id}"))
    };
    let template = field(metadata, "tokenizer.chat_template")?
        .to_string()
        .map_err(|e| format!("tokenizer.chat_template: {e}"))?;

    let vocabulary: serde_json::Map<_, _> = tokens
        .iter()
        .enumerate()
        .map(|(id, token)| ((*token).to_owned(), json!(id)))
        .collect();
    let added = tokens
        .iter()
        .zip(types)
        .enumerate()
        .filter(|(_, (_, kind))| is_control(kind))
        .map(|(id, (token, _))| {
            json!({
                "id": id, "content": token, "single_word": false, "lstrip": false,
                "rstrip": false, "normalized": false, "special": true,
            })
        });
    let unknown = match kind {
        Kind::Llama3 => None,
        Kind::SmolLm | Kind::Pieces => Some(special("unknown")?),
    };
    let merges = match kind {
        Kind::Pieces => {
            let scores = list(metadata, "tokenizer.ggml.scores")?;
            let scores = scores.iter().map(|score| score.to_f32());
            let scores: Result<Vec<f32>, _> = scores.collect();
            let scores = scores.map_err(|e| format!("tokenizer.ggml.scores: {e}"))?;
            json!(pieces::merges(&tokens, &scores))
        }
        Kind::SmolLm | Kind::Llama3 => json!(strings(metadata, "tokenizer.ggml.merges")?),
    };
    let text = Text::of(&kind);
    let is_pieces = matches!(kind, Kind::Pieces);
    let tokenizer = json!({
        "version": "1.0",
        "truncation": null,
        "padding": null,
        "added_tokens": added.collect::<Vec<_>>(),
        "normalizer": text.normalizer,
        "pre_tokenizer": text.pre_tokenizer,
        // Chat templates write the first token themselves.
        "post_processor": null,
        "decoder": text.decoder,
        "model": {
            "type": "BPE",
            "dropout": null,
            "unk_token": unknown,
            "continuing_subword_prefix": null,
            "end_of_word_suffix": null,
            "fuse_unk": is_pieces,
            "byte_fallback": is_pieces,
            "ignore_merges": matches!(kind, Kind::Llama3),
            "vocab": vocabulary,
            "merges": merges,
        },
    });
    let mut config = json!({
        "bos_token": special("bos")?,
        "eos_token": special("eos")?,
    });
    if let Some(unknown) = unknown {
        config["unk_token"] = json!(unknown);
    }
    config["chat_template"] = json!(template);
    Ok(Some(Files {
        tokenizer: tokenizer.to_string(),
        config: config.to_string(),
    }))
}

/// Texts of the special tokens.
///
/// # Errors
/// A message about a missing or malformed part.
pub(super) fn special(metadata: &HashMap<String, Value>) -> Result<Vec<String>, String> {
    let tokens = strings(metadata, "tokenizer.ggml.tokens")?;
    let types = list(metadata, "tokenizer.ggml.token_type")?;
    let special = tokens.iter().zip(types);
    let special = special.filter(|(_, kind)| is_control(kind));
    Ok(special.map(|(token, _)| (*token).to_owned()).collect())
}

fn is_control(kind: &Value) -> bool {
    kind.to_i32().is_ok_and(|kind| kind == CONTROL)
}

/// Normalizer, pre-tokenizer and decoder around the merges.
struct Text {
    normalizer: serde_json::Value,
    pre_tokenizer: serde_json::Value,
    decoder: serde_json::Value,
}

impl Text {
    fn of(kind: &Kind) -> Self {
        match kind {
            Kind::SmolLm => Self::split(
                json!({ "type": "Digits", "individual_digits": true }),
                byte_level(true),
            ),
            Kind::Llama3 => Self::split(
                json!({
                    "type": "Split", "pattern": { "Regex": LLAMA3_SPLIT },
                    "behavior": "Isolated", "invert": false,
                }),
                byte_level(false),
            ),
            Kind::Pieces => Self {
                normalizer: json!({ "type": "Sequence", "normalizers": [
                    { "type": "Prepend", "prepend": "▁" },
                    { "type": "Replace", "pattern": { "String": " " }, "content": "▁" },
                ] }),
                pre_tokenizer: serde_json::Value::Null,
                decoder: json!({ "type": "Sequence", "decoders": [
                    { "type": "Replace", "pattern": { "String": "▁" }, "content": " " },
                    { "type": "ByteFallback" },
                    { "type": "Fuse" },
                    { "type": "Strip", "content": " ", "start": 1, "stop": 0 },
                ] }),
            },
        }
    }

    fn split(first: serde_json::Value, second: serde_json::Value) -> Self {
        Self {
            normalizer: serde_json::Value::Null,
            pre_tokenizer: json!({ "type": "Sequence", "pretokenizers": [first, second] }),
            decoder: byte_level(true),
        }
    }
}

fn byte_level(use_regex: bool) -> serde_json::Value {
    json!({
        "type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true,
        "use_regex": use_regex,
    })
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
