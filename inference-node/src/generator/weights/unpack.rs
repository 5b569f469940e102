//! Converts a GGUF model to a folder of safetensors.
//!
//! mistral.rs ignores the rotary frequency factors in the GGUF files of Llama 3.1 and later, and
//! its answers would be wrong. It does read them from `config.json`, so such a model is rewritten
//! in the layout of the Hugging Face hub.

use std::collections::HashMap;
use std::f64::consts::TAU;
use std::io::Write;
use std::path::Path;

use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{DType, Device, Tensor};
use serde_json::{Value, json};

use super::gguf::{Gguf, ROPE_FACTORS};
use super::shape::Shape;
use super::{
    Files, Result, WeightType, format_error, io_error, progress, write_once, write_text_once,
};

/// Constants of the Llama 3 family; its GGUF files only contain factors that follow from them.
const LOW: f64 = 1.0;
const HIGH: f64 = 4.0;
const ORIGINAL_CONTEXT: f64 = 8192.0;
/// Tolerance: factors are single-precision numbers.
const TOLERANCE: f64 = 1e-3;

/// Writes the folder, unless it exists. Quantised matrices become half precision.
pub(super) fn to_folder(model: &mut Gguf, folder: &Path, weights: WeightType) -> Result<Files> {
    std::fs::create_dir_all(folder).map_err(io_error("create", folder))?;
    let shape = shape_of(model)?;
    let factor = rope_factor(model, &shape)?;
    let description = folder.join("config.json");
    write_text_once(&description, &config(model, &shape, factor)?.to_string())?;

    let total = shape.layers + 1;
    let bar = progress(total);
    let mut shards = Vec::new();
    for shard in 0..total {
        let path = folder.join(format!("model-{:05}-of-{total:05}.safetensors", shard + 1));
        write_once(&path, |file| {
            // The first shard has everything outside the layers.
            let tensors = match shard.checked_sub(1) {
                None => outer(model),
                Some(index) => layer(model, &shape, index),
            }?;
            let bytes =
                safetensors::serialize(&tensors, None).map_err(format_error(model.path()))?;
            file.write_all(&bytes).map_err(io_error("write", &path))
        })?;
        shards.push(path);
        bar.inc(1);
    }
    bar.finish_and_clear();
    Ok(Files::Folder {
        config: description,
        generation_config: None,
        shards,
        weights,
    })
}

/// Its dimensions, if this conversion supports the model.
fn shape_of(model: &Gguf) -> Result<Shape> {
    let shape = Shape::of_gguf(model)?;
    let head = shape.head();
    let key = model.number("llama.attention.key_length");
    if shape.experts > 0 || key.is_ok_and(|key| key as u64 != head) {
        let reason = "scaled rotary frequencies are supported only for plain Llama models";
        return Err(model.error(reason.into()));
    }
    Ok(shape)
}

fn config(model: &Gguf, shape: &Shape, factor: f64) -> Result<Value> {
    Ok(json!({
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "hidden_act": "silu",
        "hidden_size": shape.hidden,
        "intermediate_size": shape.feed_forward,
        "vocab_size": shape.vocabulary,
        "num_hidden_layers": shape.layers,
        "num_attention_heads": shape.heads,
        "num_key_value_heads": shape.key_value_heads,
        "rms_norm_eps": model.fraction("llama.attention.layer_norm_rms_epsilon")?,
        "rope_theta": model.fraction("llama.rope.freq_base")?,
        "max_position_embeddings": model.number("llama.context_length")?,
        "tie_word_embeddings": shape.tied_embeddings,
        "rope_scaling": {
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": LOW,
            "high_freq_factor": HIGH,
            "original_max_position_embeddings": ORIGINAL_CONTEXT as u64,
        },
    }))
}

/// Embeddings and other tensors outside the layers.
fn outer(model: &mut Gguf) -> Result<HashMap<String, Tensor>> {
    let mut names = vec![
        ("token_embd.weight", "model.embed_tokens.weight"),
        ("output_norm.weight", "model.norm.weight"),
    ];
    if model.has("output.weight") {
        names.push(("output.weight", "lm_head.weight"));
    }
    let tensors = names.into_iter().map(|(from, to)| {
        let tensor = model.tensor(from)?;
        let tensor = unquantised(&tensor).map_err(format_error(model.path()))?;
        Ok((to.to_owned(), tensor))
    });
    tensors.collect()
}

fn layer(model: &mut Gguf, shape: &Shape, layer: u64) -> Result<HashMap<String, Tensor>> {
    let names = [
        ("attn_norm", "input_layernorm", None),
        ("ffn_norm", "post_attention_layernorm", None),
        ("attn_q", "self_attn.q_proj", Some(shape.heads)),
        ("attn_k", "self_attn.k_proj", Some(shape.key_value_heads)),
        ("attn_v", "self_attn.v_proj", None),
        ("attn_output", "self_attn.o_proj", None),
        ("ffn_gate", "mlp.gate_proj", None),
        ("ffn_up", "mlp.up_proj", None),
        ("ffn_down", "mlp.down_proj", None),
    ];
    let tensors = names.into_iter().map(|(from, to, heads)| {
        let tensor = model.tensor(&format!("blk.{layer}.{from}.weight"))?;
        let halves = |tensor: Tensor| match heads {
            Some(heads) => halved(&tensor, heads as usize),
            None => Ok(tensor),
        };
        let tensor = unquantised(&tensor).and_then(halves);
        let tensor = tensor.map_err(format_error(model.path()))?;
        Ok((format!("model.layers.{layer}.{to}.weight"), tensor))
    });
    tensors.collect()
}

/// The divisor of the slowest frequencies.
///
/// # Errors
/// If the factors are not those of Llama 3's rule.
fn rope_factor(model: &mut Gguf, shape: &Shape) -> Result<f64> {
    let theta = f64::from(model.fraction("llama.rope.freq_base")?);
    let found = model.tensor(ROPE_FACTORS)?;
    let found = found
        .dequantize(&Device::Cpu)
        .and_then(|tensor| tensor.to_vec1::<f32>());
    let found = found.map_err(format_error(model.path()))?;
    let factor = f64::from(found.iter().copied().fold(1.0, f32::max));
    let head = shape.head();
    let differs = |(index, value): (usize, &f32)| {
        let wavelength = TAU * theta.powf(2.0 * index as f64 / head as f64);
        let expected = divisor(wavelength, factor);
        (f64::from(*value) / expected - 1.0).abs() > TOLERANCE
    };
    if found.len() as u64 != head / 2 || found.iter().enumerate().any(differs) {
        return Err(model.error("its rotary factors are not those of Llama 3".into()));
    }
    Ok(factor)
}

/// Llama 3's rule: long waves are stretched, short ones are not, those in between partly.
fn divisor(wavelength: f64, factor: f64) -> f64 {
    let position = (ORIGINAL_CONTEXT / wavelength - LOW) / (HIGH - LOW);
    let smooth = position.clamp(0.0, 1.0);
    1.0 / ((1.0 - smooth) / factor + smooth)
}

fn unquantised(tensor: &QTensor) -> candle_core::Result<Tensor> {
    match tensor.dtype() {
        GgmlDType::F32 => tensor.dequantize(&Device::Cpu),
        GgmlDType::BF16 => tensor.dequantize(&Device::Cpu)?.to_dtype(DType::BF16),
        _ => tensor.dequantize_f16(&Device::Cpu),
    }
}

/// Reorders the rows of each head from pairs to two halves: the inverse of `permute` in llama.cpp's
/// converter.
fn halved(rows: &Tensor, heads: usize) -> candle_core::Result<Tensor> {
    let (length, width) = rows.dims2()?;
    rows.reshape((heads, length / heads / 2, 2, width))?
        .transpose(1, 2)?
        .reshape((length, width))
}
