//! Random weights under the Hugging Face hub's names.

use std::collections::HashMap;

use candle_core::{Device, Tensor};

use super::{Architecture, EXPERTS, FEED_FORWARD, HEADS, HIDDEN, KEY_VALUE_HEADS, LAYERS};

/// Bound of the uniform weights; with it attention is neither flat nor saturated.
const SPREAD: f32 = 0.2;

/// All tensors of a model with this vocabulary size.
pub(super) fn tensors(architecture: Architecture, vocabulary: usize) -> HashMap<String, Tensor> {
    let mut random = Random(architecture as u64 + 1);
    let mut tensors = HashMap::new();
    let head = HIDDEN / HEADS;
    let mut add = |name: String, shape: &[usize]| {
        tensors.insert(name, random.tensor(shape));
    };
    add("model.embed_tokens.weight".into(), &[vocabulary, HIDDEN]);
    add("model.norm.weight".into(), &[HIDDEN]);
    if architecture == Architecture::Mixtral {
        add("lm_head.weight".into(), &[vocabulary, HIDDEN]);
    }
    for layer in 0..LAYERS {
        let mut add = |name: &str, shape: &[usize]| {
            add(format!("model.layers.{layer}.{name}.weight"), shape);
        };
        add("input_layernorm", &[HIDDEN]);
        add("post_attention_layernorm", &[HIDDEN]);
        add("self_attn.q_proj", &[HEADS * head, HIDDEN]);
        add("self_attn.k_proj", &[KEY_VALUE_HEADS * head, HIDDEN]);
        add("self_attn.v_proj", &[KEY_VALUE_HEADS * head, HIDDEN]);
        add("self_attn.o_proj", &[HIDDEN, HEADS * head]);
        match architecture {
            Architecture::Llama3 => {
                add("mlp.gate_proj", &[FEED_FORWARD, HIDDEN]);
                add("mlp.up_proj", &[FEED_FORWARD, HIDDEN]);
                add("mlp.down_proj", &[HIDDEN, FEED_FORWARD]);
            }
            Architecture::Mixtral => {
                add("block_sparse_moe.gate", &[EXPERTS, HIDDEN]);
                for expert in 0..EXPERTS {
                    let name = |part| format!("block_sparse_moe.experts.{expert}.{part}");
                    add(&name("w1"), &[FEED_FORWARD, HIDDEN]);
                    add(&name("w2"), &[HIDDEN, FEED_FORWARD]);
                    add(&name("w3"), &[FEED_FORWARD, HIDDEN]);
                }
            }
        }
    }
    tensors
}

/// SplitMix64: <https://prng.di.unimi.it/splitmix64.c>.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bits ^ (bits >> 31)
    }

    /// Uniform around 0; norm weights, which have one dimension, around 1.
    fn tensor(&mut self, shape: &[usize]) -> Tensor {
        let centre = if shape.len() == 1 { 1.0 } else { 0.0 };
        let mut value = || {
            let unit = (self.next() >> 40) as f32 / (1u64 << 23) as f32 - 1.0;
            centre + SPREAD * unit
        };
        let values: Vec<f32> = (0..shape.iter().product()).map(|_| value()).collect();
        Tensor::from_vec(values, shape, &Device::Cpu).expect("as many values as the shape has")
    }
}
