//! The checkpoints as written by llama.cpp's converter: its tensor names, the rows of queries and
//! keys in pairs for its rotary embedding, and the experts of a layer in one tensor.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufWriter;
use std::path::Path;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Result, Tensor};

use super::tokens::Tokens;
use super::{
    Architecture, CONTEXT, EXPERTS, EXPERTS_PER_TOKEN, FEED_FORWARD, HEADS, HIDDEN,
    KEY_VALUE_HEADS, LAYERS, NORM_EPSILON, ROPE_FACTOR, ROPE_HIGH, ROPE_LOW, ROPE_ORIGINAL,
    weights,
};

/// Writes a model as one file.
pub(super) fn write(architecture: Architecture, path: &Path) -> Result<()> {
    let tokens = Tokens::of(architecture);
    let metadata = metadata(architecture, &tokens);
    let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(k, v)| (k.as_str(), v)).collect();
    let mut tensors: Vec<(String, QTensor)> =
        tensors(architecture, &weights::tensors(architecture, tokens.len()))?
            .into_iter()
            .map(|(name, tensor)| Ok((name, QTensor::quantize(&tensor, GgmlDType::F32)?)))
            .collect::<Result<_>>()?;
    tensors.sort_by(|left, right| left.0.cmp(&right.0));
    let tensors: Vec<(&str, &QTensor)> = tensors.iter().map(|(n, t)| (n.as_str(), t)).collect();
    gguf_file::write(
        &mut BufWriter::new(File::create(path)?),
        &metadata,
        &tensors,
    )
}

fn tensors(
    architecture: Architecture,
    hub: &HashMap<String, Tensor>,
) -> Result<Vec<(String, Tensor)>> {
    let mut tensors = vec![
        (
            "token_embd.weight".to_owned(),
            hub["model.embed_tokens.weight"].clone(),
        ),
        (
            "output_norm.weight".to_owned(),
            hub["model.norm.weight"].clone(),
        ),
    ];
    match architecture {
        Architecture::Llama3 => tensors.push(("rope_freqs.weight".into(), rope_factors()?)),
        Architecture::Mixtral => {
            tensors.push(("output.weight".into(), hub["lm_head.weight"].clone()));
        }
    }
    for layer in 0..LAYERS {
        let of = |name: &str| hub[&format!("model.layers.{layer}.{name}.weight")].clone();
        let mut add = |name: &str, tensor: Tensor| {
            tensors.push((format!("blk.{layer}.{name}.weight"), tensor));
        };
        add("attn_norm", of("input_layernorm"));
        add("ffn_norm", of("post_attention_layernorm"));
        add("attn_q", paired(&of("self_attn.q_proj"), HEADS)?);
        add("attn_k", paired(&of("self_attn.k_proj"), KEY_VALUE_HEADS)?);
        add("attn_v", of("self_attn.v_proj"));
        add("attn_output", of("self_attn.o_proj"));
        match architecture {
            Architecture::Llama3 => {
                add("ffn_gate", of("mlp.gate_proj"));
                add("ffn_up", of("mlp.up_proj"));
                add("ffn_down", of("mlp.down_proj"));
            }
            Architecture::Mixtral => {
                let experts = |part: &str| {
                    let expert = |i| of(&format!("block_sparse_moe.experts.{i}.{part}"));
                    Tensor::stack(&(0..EXPERTS).map(expert).collect::<Vec<_>>(), 0)
                };
                add("ffn_gate_inp", of("block_sparse_moe.gate"));
                add("ffn_gate_exps", experts("w1")?);
                add("ffn_down_exps", experts("w2")?);
                add("ffn_up_exps", experts("w3")?);
            }
        }
    }
    Ok(tensors)
}

/// Reorders the rows of each head from two halves to pairs: `permute` of llama.cpp's converter.
fn paired(rows: &Tensor, heads: usize) -> Result<Tensor> {
    let (length, width) = rows.dims2()?;
    rows.reshape((heads, 2, length / heads / 2, width))?
        .transpose(1, 2)?
        .reshape((length, width))
}

/// The divisor of each rotary frequency: `rope_freqs` of llama.cpp's converter.
fn rope_factors() -> Result<Tensor> {
    let theta = Architecture::Llama3.rope_theta();
    let head = HIDDEN / HEADS;
    let factor = |index: usize| {
        let wavelength = std::f64::consts::TAU * theta.powf(2.0 * index as f64 / head as f64);
        if wavelength < ROPE_ORIGINAL / ROPE_HIGH {
            return 1.0;
        }
        if wavelength > ROPE_ORIGINAL / ROPE_LOW {
            return ROPE_FACTOR;
        }
        let smooth = (ROPE_ORIGINAL / wavelength - ROPE_LOW) / (ROPE_HIGH - ROPE_LOW);
        1.0 / ((1.0 - smooth) / ROPE_FACTOR + smooth)
    };
    let factors: Vec<f32> = (0..head / 2).map(|index| factor(index) as f32).collect();
    Tensor::from_vec(factors, head / 2, &Device::Cpu)
}

fn metadata(architecture: Architecture, tokens: &Tokens) -> Vec<(String, Value)> {
    let number = |value: usize| Value::U32(value as u32);
    let text = |value: &str| Value::String(value.to_owned());
    let strings =
        |values: Vec<String>| Value::Array(values.into_iter().map(Value::String).collect());
    let kinds = tokens.list.iter().map(|(_, kind)| Value::I32(*kind));
    let mut all = vec![
        ("general.architecture", text("llama")),
        ("llama.block_count", number(LAYERS)),
        ("llama.context_length", number(CONTEXT)),
        ("llama.embedding_length", number(HIDDEN)),
        ("llama.feed_forward_length", number(FEED_FORWARD)),
        ("llama.attention.head_count", number(HEADS)),
        ("llama.attention.head_count_kv", number(KEY_VALUE_HEADS)),
        (
            "llama.attention.layer_norm_rms_epsilon",
            Value::F32(NORM_EPSILON),
        ),
        ("llama.rope.dimension_count", number(HIDDEN / HEADS)),
        (
            "llama.rope.freq_base",
            Value::F32(architecture.rope_theta() as f32),
        ),
        ("llama.vocab_size", number(tokens.len())),
        ("tokenizer.chat_template", text(tokens.template)),
        ("tokenizer.ggml.bos_token_id", Value::U32(tokens.bos())),
        ("tokenizer.ggml.eos_token_id", Value::U32(tokens.eos())),
        ("tokenizer.ggml.token_type", Value::Array(kinds.collect())),
        (
            "tokenizer.ggml.tokens",
            strings(tokens.list.iter().map(|(text, _)| text.clone()).collect()),
        ),
    ];
    match architecture {
        Architecture::Llama3 => {
            let merges = tokens.merges.iter().map(|(l, r)| format!("{l} {r}"));
            all.extend([
                ("tokenizer.ggml.model", text("gpt2")),
                ("tokenizer.ggml.pre", text("llama-bpe")),
                ("tokenizer.ggml.merges", strings(merges.collect())),
            ]);
        }
        Architecture::Mixtral => {
            // SentencePiece models have scores instead of merges: the first merge has the highest.
            let scores = (0..tokens.len()).map(|id| Value::F32(-(id as f32)));
            all.extend([
                ("llama.expert_count", number(EXPERTS)),
                ("llama.expert_used_count", number(EXPERTS_PER_TOKEN)),
                ("tokenizer.ggml.model", text("llama")),
                ("tokenizer.ggml.pre", text("default")),
                ("tokenizer.ggml.scores", Value::Array(scores.collect())),
                ("tokenizer.ggml.unknown_token_id", Value::U32(0)),
                ("tokenizer.ggml.add_bos_token", Value::Bool(true)),
            ]);
        }
    }
    let mut all: Vec<_> = all
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
    all.sort_by(|left, right| left.0.cmp(&right.0));
    all
}
