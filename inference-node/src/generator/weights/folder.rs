//! A model folder in the layout of the Hugging Face hub.

use std::fs;
use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::source::{CONFIG, Folder, GENERATION_CONFIG, TEMPLATE, TOKENIZER, TOKENIZER_CONFIG};
use super::{Error, Files, Prepared, Result, WeightType, format_error, io_error, write_text_once};

/// Prepares the files that mistral.rs loads; only the tokenizer is rewritten, to `directory`.
pub(super) fn prepare(folder: &Folder, directory: &Path, weights: WeightType) -> Result<Prepared> {
    let mut chat = Chat::read(folder)?;
    if chat.template_begins {
        drop_begin(&mut chat.tokenizer["post_processor"]);
    }
    let tokenizer = directory.join("tokenizer.json");
    write_text_once(&tokenizer, &chat.tokenizer.to_string())?;
    Ok(Prepared {
        files: Files::Folder {
            config: folder.path.join(CONFIG),
            generation_config: folder.find(GENERATION_CONFIG),
            shards: folder.shards.clone(),
            weights,
        },
        tokenizer: Some(tokenizer),
        end_token: chat.end_token,
        template: Some(chat.template),
        special: special(&chat.tokenizer),
    })
}

/// Tokenizer and chat settings of a model.
pub(super) struct Chat {
    tokenizer: Value,
    end_token: u32,
    template: PathBuf,
    /// Whether the chat template writes the token that begins a text.
    template_begins: bool,
}

impl Chat {
    /// Reads tokenizer and chat template.
    ///
    /// # Errors
    /// [`Error::Format`] with what is missing, [`Error::Io`].
    pub(super) fn read(folder: &Folder) -> Result<Self> {
        let tokenizer: Value = read(&folder.path.join(TOKENIZER))?;
        let settings: Value = read(&folder.path.join(TOKENIZER_CONFIG))?;
        let format = |reason: &str| Error::Format {
            path: folder.path.clone(),
            reason: reason.into(),
        };
        let end = token_text(&settings["eos_token"])
            .ok_or_else(|| format("tokenizer_config.json has no eos_token"))?;
        let end_token = token_id(&tokenizer, end)
            .ok_or_else(|| format("the eos_token is not a token of tokenizer.json"))?;
        let template = template(folder, &settings)?.ok_or_else(|| {
            format("it has no chat template: it was not trained to answer questions")
        })?;
        let template_begins = token_text(&settings["bos_token"]).is_some_and(|begin| {
            template.text.contains("bos_token") || template.text.contains(begin)
        });
        Ok(Self {
            tokenizer,
            end_token,
            template: template.path,
            template_begins,
        })
    }
}

/// Parses a JSON file.
///
/// # Errors
/// [`Error::Io`], or [`Error::Format`] if it is not valid.
pub(crate) fn read<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let text = fs::read(path).map_err(io_error("read", path))?;
    serde_json::from_slice(&text).map_err(format_error(path))
}

struct Template {
    path: PathBuf,
    text: String,
}

/// Newer models have their chat template in a separate file.
fn template(folder: &Folder, settings: &Value) -> Result<Option<Template>> {
    if let Some(path) = folder.find(TEMPLATE) {
        let text = fs::read_to_string(&path).map_err(io_error("read", &path))?;
        return Ok(Some(Template { path, text }));
    }
    let template = &settings["chat_template"];
    Ok((!template.is_null()).then(|| Template {
        path: folder.path.join(TOKENIZER_CONFIG),
        text: template.to_string(),
    }))
}

/// A special token is a string or an object with one.
fn token_text(token: &Value) -> Option<&str> {
    token.as_str().or_else(|| token["content"].as_str())
}

/// Texts of the special tokens.
fn special(tokenizer: &Value) -> Vec<String> {
    let added = tokenizer["added_tokens"].as_array().into_iter().flatten();
    added
        .filter(|token| token["special"] == true)
        .filter_map(|token| token["content"].as_str().map(str::to_owned))
        .collect()
}

fn token_id(tokenizer: &Value, text: &str) -> Option<u32> {
    let added = tokenizer["added_tokens"].as_array().into_iter().flatten();
    let mut added = added.filter(|token| token["content"] == text);
    let id = match added.next() {
        Some(token) => &token["id"],
        None => &tokenizer["model"]["vocab"][text],
    };
    id.as_u64().and_then(|id| u32::try_from(id).ok())
}

/// mistral.rs also applies the post-processor to chats, although the chat template already writes
/// the first token: Llama 3's would be there twice.
fn drop_begin(post_processor: &mut Value) {
    let adds = |processor: &Value| processor["type"] == "TemplateProcessing";
    if adds(post_processor) {
        *post_processor = Value::Null;
    } else if let Some(processors) = post_processor["processors"].as_array_mut() {
        processors.retain(|processor| !adds(processor));
        if processors.is_empty() {
            *post_processor = Value::Null;
        }
    }
}
