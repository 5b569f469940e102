//! Rewrites a GGUF model with other matrix types.

use std::borrow::Cow;
use std::path::Path;

use candle_core::Device;
use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QStorage, QTensor};

use super::gguf::Gguf;
use super::{Result, WeightType, format_error, progress, write_once};

/// llama.cpp's suffix for the tensor with the matrices of all experts of a layer.
const JOINED: &str = "_exps.weight";

/// Whether the experts of a layer share one tensor, which mistral.rs reads but cannot multiply.
pub(super) fn has_joined_experts(model: &Gguf) -> bool {
    model.names().iter().any(|name| name.ends_with(JOINED))
}

/// Rewrites the model, unless the file exists, with its quantised matrices converted to `weights`.
/// Every expert gets its own matrices.
pub(super) fn write(model: &mut Gguf, weights: WeightType, target: &Path) -> Result<()> {
    write_once(target, |file| {
        let path = model.path().to_owned();
        // Sorted, because maps are unordered and equal sources must give equal files.
        let names = model.names();
        let bar = progress(names.len() as u64);
        let mut tensors: Vec<(String, QTensor)> = Vec::with_capacity(names.len());
        for name in names {
            for (name, tensor) in
                split(name.clone(), model.tensor(&name)?).map_err(format_error(&path))?
            {
                let tensor =
                    convert(tensor, weights.type_of(&name)).map_err(format_error(&path))?;
                tensors.push((name, tensor));
            }
            bar.inc(1);
        }
        let metadata = model.metadata.iter();
        let mut metadata: Vec<(&str, &Value)> =
            metadata.map(|(key, value)| (key.as_str(), value)).collect();
        metadata.sort_by_key(|(key, _)| *key);
        let tensors: Vec<(&str, &QTensor)> =
            tensors.iter().map(|(name, t)| (name.as_str(), t)).collect();
        gguf_file::write(file, &metadata, &tensors).map_err(format_error(&path))?;
        bar.finish_and_clear();
        Ok(())
    })
}

/// The matrices of the single experts, as in older llama.cpp files; any other tensor is left
/// unchanged. The blocks of an expert are contiguous, so nothing is rounded again.
fn split(name: String, tensor: QTensor) -> candle_core::Result<Vec<(String, QTensor)>> {
    let Some(stem) = name.strip_suffix(JOINED) else {
        return Ok(vec![(name, tensor)]);
    };
    let (experts, rows, columns) = tensor.shape().dims3()?;
    let data = tensor.data()?;
    let length = data.len() / experts;
    let expert = |index: usize| {
        let blocks = Cow::Borrowed(&data[index * length..(index + 1) * length]);
        let storage = QStorage::from_data(blocks, &Device::Cpu, tensor.dtype())?;
        let matrix = QTensor::new(storage, (rows, columns))?;
        Ok((format!("{stem}.{index}.weight"), matrix))
    };
    (0..experts).map(expert).collect()
}

fn convert(tensor: QTensor, dtype: Option<GgmlDType>) -> candle_core::Result<QTensor> {
    let float = matches!(
        tensor.dtype(),
        GgmlDType::F32 | GgmlDType::F16 | GgmlDType::BF16
    );
    match dtype {
        Some(dtype) if !float && tensor.dtype() != dtype => {
            QTensor::quantize(&tensor.dequantize(&Device::Cpu)?, dtype)
        }
        _ => Ok(tensor),
    }
}
