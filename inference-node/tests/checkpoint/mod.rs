//! Tiny checkpoints with random weights in exactly the architectures of Llama 3 and Mixtral.
//!
//! The weights of those models are not in any package registry. These checkpoints have every part
//! that code can get wrong: scaled rotary frequencies, grouped-query attention, tied embeddings and
//! byte-level tokens of Llama 3, two of eight experts and SentencePiece of Mixtral. Each is written
//! in the layout of the Hugging Face hub and as llama.cpp converts it. The weights are a function
//! of the architecture alone. Tests of two crates include this module by its path.

mod gguf;
mod tokens;
mod weights;

use std::fs;
use std::io;
use std::path::Path;

use serde_json::{Value, json};

use tokens::Tokens;

/// The size of the hidden state.
const HIDDEN: usize = 128;
const HEADS: usize = 4;
const KEY_VALUE_HEADS: usize = 2;
const FEED_FORWARD: usize = 192;
const LAYERS: usize = 2;
const EXPERTS: usize = 8;
const EXPERTS_PER_TOKEN: usize = 2;
/// Maximum tokens of prompt and answer.
pub(crate) const CONTEXT: usize = 16_384;
const NORM_EPSILON: f32 = 1e-5;

/// The divisor of slow rotary frequencies in Llama 3.1 and later; that of 3.2 is 32.
const ROPE_FACTOR: f64 = 32.0;
const ROPE_LOW: f64 = 1.0;
const ROPE_HIGH: f64 = 4.0;
const ROPE_ORIGINAL: f64 = 8192.0;

/// A supported architecture.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Architecture {
    /// `LlamaForCausalLM` as in Llama 3.2.
    Llama3,
    /// `MixtralForCausalLM`.
    Mixtral,
}

impl Architecture {
    /// Writes `config.json`, `model.safetensors`, `tokenizer.json`, `tokenizer_config.json` and
    /// `generation_config.json` into a folder.
    pub(crate) fn write_folder(self, folder: &Path) -> io::Result<()> {
        fs::create_dir_all(folder)?;
        let tokens = Tokens::of(self);
        let json = [
            ("config.json", self.config(&tokens)),
            ("tokenizer.json", tokens.tokenizer()),
            ("tokenizer_config.json", tokens.config()),
            (
                "generation_config.json",
                json!({ "bos_token_id": tokens.bos(), "eos_token_id": tokens.eos() }),
            ),
        ];
        for (name, value) in json {
            fs::write(folder.join(name), format!("{value:#}\n"))?;
        }
        let tensors = weights::tensors(self, tokens.len());
        candle_core::safetensors::save(&tensors, folder.join("model.safetensors"))
            .map_err(io::Error::other)
    }

    /// Writes the same model as one GGUF file in single precision.
    pub(crate) fn write_gguf(self, file: &Path) -> io::Result<()> {
        gguf::write(self, file).map_err(io::Error::other)
    }

    fn rope_theta(self) -> f64 {
        match self {
            Self::Llama3 => 500_000.0,
            Self::Mixtral => 1_000_000.0,
        }
    }

    fn config(self, tokens: &Tokens) -> Value {
        let mut config = json!({
            "hidden_act": "silu",
            "hidden_size": HIDDEN,
            "intermediate_size": FEED_FORWARD,
            "vocab_size": tokens.len(),
            "num_hidden_layers": LAYERS,
            "num_attention_heads": HEADS,
            "num_key_value_heads": KEY_VALUE_HEADS,
            "rms_norm_eps": NORM_EPSILON,
            "rope_theta": self.rope_theta(),
            "max_position_embeddings": CONTEXT,
            "bos_token_id": tokens.bos(),
            "eos_token_id": tokens.eos(),
            "torch_dtype": "float32",
        });
        let own = match self {
            Self::Llama3 => json!({
                "architectures": ["LlamaForCausalLM"],
                "model_type": "llama",
                "tie_word_embeddings": true,
                "rope_scaling": {
                    "rope_type": "llama3",
                    "factor": ROPE_FACTOR,
                    "low_freq_factor": ROPE_LOW,
                    "high_freq_factor": ROPE_HIGH,
                    "original_max_position_embeddings": ROPE_ORIGINAL as usize,
                },
            }),
            Self::Mixtral => json!({
                "architectures": ["MixtralForCausalLM"],
                "model_type": "mixtral",
                "tie_word_embeddings": false,
                "sliding_window": null,
                "num_local_experts": EXPERTS,
                "num_experts_per_tok": EXPERTS_PER_TOKEN,
            }),
        };
        if let (Some(all), Value::Object(own)) = (config.as_object_mut(), own) {
            all.extend(own);
        }
        config
    }
}
