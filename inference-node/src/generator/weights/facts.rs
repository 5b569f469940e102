//! Metadata of a model, read from its files without loading it.

use serde::Serialize;
use serde_json::Value;

use super::folder::{self, read};
use super::gguf::{Gguf, ROPE_FACTORS};
use super::shape::{Memory, Shape};
use super::source::{CONFIG, Folder};
use super::{Error, Result, Source, WeightType, tokenizer};

/// Metadata of a model.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Facts {
    /// As in the registry: "llama", "mixtral" or another that mistral.rs may know.
    pub architecture: String,
    /// Maximum tokens of prompt and answer together.
    pub context_tokens: u64,
    /// Its dimensions.
    pub shape: Shape,
    /// Size of its weights on disk in bytes.
    pub weight_bytes: u64,
    /// Whether its weights can stay in the blocks that they have on disk.
    pub keeps_blocks: bool,
}

impl Facts {
    /// Reads the metadata of a model and checks, without loading it, that it has a usable tokenizer
    /// and chat template.
    ///
    /// # Errors
    /// [`Error::Format`] with what is missing, [`Error::Io`].
    pub(crate) fn read(source: &Source) -> Result<Self> {
        let weight_bytes = source.weight_bytes()?;
        match source {
            Source::Gguf(parts) => Self::of_gguf(&Gguf::open(parts)?, weight_bytes),
            Source::Folder(folder) => Self::of_folder(folder, weight_bytes),
        }
    }

    fn of_gguf(model: &Gguf, weight_bytes: u64) -> Result<Self> {
        model.check()?;
        let architecture = model.text("general.architecture").unwrap_or_default();
        if architecture != "llama" {
            return Err(model.error(format!(
                "its architecture is `{architecture}`; the only supported GGUF architecture is `llama`, \
                 which Llama and Mixtral use"
            )));
        }
        tokenizer::files(&model.metadata).map_err(|reason| model.error(reason))?;
        let shape = Shape::of_gguf(model)?;
        Ok(Self {
            architecture: if shape.experts > 0 {
                "mixtral"
            } else {
                "llama"
            }
            .into(),
            context_tokens: model.number("llama.context_length")? as u64,
            shape,
            weight_bytes,
            keeps_blocks: !model.has(ROPE_FACTORS),
        })
    }

    fn of_folder(source: &Folder, weight_bytes: u64) -> Result<Self> {
        folder::Chat::read(source)?;
        let path = source.path.join(CONFIG);
        let config: Value = read(&path)?;
        let missing = |what: &str| Error::Format {
            path: path.clone(),
            reason: format!("{what} is missing"),
        };
        let class = config["architectures"][0].as_str();
        let class = class.ok_or_else(|| missing("architectures"))?;
        let architecture = class.strip_suffix("ForCausalLM").unwrap_or(class);
        Ok(Self {
            architecture: architecture.to_lowercase(),
            context_tokens: config["max_position_embeddings"]
                .as_u64()
                .ok_or_else(|| missing("max_position_embeddings"))?,
            shape: Shape::of_config(&config).ok_or_else(|| missing("a dimension of the model"))?,
            weight_bytes,
            keeps_blocks: false,
        })
    }

    /// Estimated memory with weights of a type.
    pub(crate) fn memory(&self, weights: WeightType) -> Memory {
        let quantised = self.keeps_blocks.then_some(self.weight_bytes);
        self.shape.memory(weights, quantised)
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use serde_json::json;

    use super::super::source::TOKENIZER_CONFIG;
    use super::*;
    use crate::checkpoint::Architecture;

    #[test]
    fn both_layouts_of_a_model_say_the_same() {
        for architecture in [Architecture::Llama3, Architecture::Mixtral] {
            let folder = tempfile::tempdir().unwrap();
            architecture.write_folder(folder.path()).unwrap();
            let hub = Facts::read(&Source::open(folder.path()).unwrap()).unwrap();
            let file = folder.path().join("model.gguf");
            architecture.write_gguf(&file).unwrap();
            let gguf = Facts::read(&Source::open(&file).unwrap()).unwrap();
            assert_eq!(hub.architecture, gguf.architecture);
            assert_eq!(hub.shape, gguf.shape);
            assert_eq!(hub.context_tokens, gguf.context_tokens);
            // In single precision; the rest is names and tokens.
            let weights = hub.shape.parameters() * 4;
            assert!(hub.weight_bytes > weights && hub.weight_bytes < weights + 10_000);
        }
    }

    #[test]
    fn a_model_that_cannot_chat_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        Architecture::Mixtral.write_folder(folder.path()).unwrap();
        let change = |settings: serde_json::Value| {
            let path = folder.path().join(TOKENIZER_CONFIG);
            fs::write(path, settings.to_string()).unwrap();
            let source = Source::open(folder.path()).unwrap();
            Facts::read(&source).unwrap_err().to_string()
        };
        let error = change(json!({ "eos_token": "</s>" }));
        assert!(error.contains("chat template"), "{error}");
        let error = change(json!({ "eos_token": "<|end|>", "chat_template": "" }));
        assert!(error.contains("eos_token"), "{error}");
    }
}
