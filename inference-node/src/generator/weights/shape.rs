//! Dimensions of a model, and the memory that they need.

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::gguf::Gguf;
use super::{Result, WeightType};

/// Memory of the program, the tokenizer and a first answer, besides the weights.
const PROGRAM: u64 = 200 << 20;

/// Dimensions of a model of the Llama family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Shape {
    /// Transformer blocks.
    pub layers: u64,
    /// Size of the hidden state.
    pub hidden: u64,
    /// Query heads.
    pub heads: u64,
    /// Key and value heads.
    pub key_value_heads: u64,
    /// Inner size of a feed-forward network.
    pub feed_forward: u64,
    /// Size of the vocabulary.
    pub vocabulary: u64,
    /// Experts per layer; 0 if it has one plain feed-forward network.
    pub experts: u64,
    /// Whether the embedding and output matrices are the same.
    pub tied_embeddings: bool,
}

/// Estimated memory of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct Memory {
    /// Bytes once it is loaded.
    pub bytes: u64,
    /// Additional bytes per token of prompt and answer.
    pub bytes_per_token: u64,
}

impl Memory {
    /// Bytes with this many tokens in the context.
    pub(crate) fn with(&self, tokens: u64) -> u64 {
        self.bytes + tokens * self.bytes_per_token
    }
}

impl Shape {
    /// The dimensions of a GGUF model.
    ///
    /// # Errors
    /// [`super::Error::Format`] if its metadata lacks a number.
    pub(crate) fn of_gguf(model: &Gguf) -> Result<Self> {
        let number = |key: &str| Ok(model.number(&format!("llama.{key}"))? as u64);
        Ok(Self {
            layers: number("block_count")?,
            hidden: number("embedding_length")?,
            heads: number("attention.head_count")?,
            key_value_heads: number("attention.head_count_kv")?,
            feed_forward: number("feed_forward_length")?,
            vocabulary: model.items("tokenizer.ggml.tokens")? as u64,
            experts: number("expert_count").unwrap_or(0),
            tied_embeddings: !model.has("output.weight"),
        })
    }

    /// The dimensions in the `config.json` of a folder; `None` if a number is missing.
    pub(crate) fn of_config(config: &Value) -> Option<Self> {
        let number = |key: &str| config[key].as_u64();
        let heads = number("num_attention_heads")?;
        Some(Self {
            layers: number("num_hidden_layers")?,
            hidden: number("hidden_size")?,
            heads,
            key_value_heads: number("num_key_value_heads").unwrap_or(heads),
            feed_forward: number("intermediate_size")?,
            vocabulary: number("vocab_size")?,
            experts: number("num_local_experts").unwrap_or(0),
            tied_embeddings: config["tie_word_embeddings"] == true,
        })
    }

    /// Size of one head.
    pub(crate) fn head(&self) -> u64 {
        self.hidden / self.heads.max(1)
    }

    /// Number of weights.
    pub(crate) fn parameters(&self) -> u64 {
        let outer = self.embeddings() * if self.tied_embeddings { 1 } else { 2 };
        let keys = self.hidden * self.key_value_heads * self.head();
        let attention = 2 * self.hidden * self.hidden + 2 * keys;
        let norms = 2 * self.hidden;
        let router = self.hidden * self.experts;
        let layer = attention + 3 * self.expert_matrix() * self.experts.max(1) + router + norms;
        outer + self.layers * layer + self.hidden
    }

    /// Memory of the model with weights of a type. `quantised` is the size of the file that
    /// [`WeightType::Original`] leaves unchanged; without one the weights are in single precision.
    ///
    /// The embeddings and the attention cache are in single precision.
    pub(crate) fn memory(&self, weights: WeightType, quantised: Option<u64>) -> Memory {
        let single = |count: u64| count * 4;
        // 32 weights and their scale.
        let eight_bits = |count: u64| count * 34 / 32;
        let bytes = match (weights, quantised) {
            (WeightType::Original, Some(bytes)) => bytes + single(self.embeddings()),
            (WeightType::Original | WeightType::F32, _) => single(self.parameters()),
            (WeightType::Q8_0 | WeightType::Q8_0All, _) => {
                let down = match (weights, self.experts) {
                    (WeightType::Q8_0, 0) => self.layers * self.expert_matrix(),
                    _ => 0,
                };
                let whole = self.embeddings() + down;
                single(whole) + eight_bits(self.parameters().saturating_sub(whole))
            }
        };
        Memory {
            bytes: bytes + PROGRAM,
            bytes_per_token: single(2 * self.layers * self.key_value_heads * self.head()),
        }
    }

    fn embeddings(&self) -> u64 {
        self.vocabulary * self.hidden
    }

    fn expert_matrix(&self) -> u64 {
        self.hidden * self.feed_forward
    }
}
