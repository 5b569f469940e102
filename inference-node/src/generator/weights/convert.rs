//! Converts a GGUF model to the files that mistral.rs loads.

use std::path::{Path, PathBuf};

use super::gguf::{Gguf, ROPE_FACTORS};
use super::{
    Files, Prepared, Result, WeightType, format_error, tokenizer, transcode, unpack,
    write_text_once,
};

/// Creates the files that mistral.rs loads in `directory`.
pub(super) fn prepare(
    files: &[PathBuf],
    directory: &Path,
    weights: WeightType,
) -> Result<Prepared> {
    let mut model = Gguf::open(files)?;
    model.check()?;
    let end_token = model.number("tokenizer.ggml.eos_token_id")?;
    let end_token = u32::try_from(end_token).map_err(format_error(model.path()))?;
    let described = tokenizer::files(&model.metadata).map_err(|reason| model.error(reason))?;
    let (tokenizer, template) = match &described {
        None => (None, None),
        Some(described) => {
            let tokenizer = directory.join("tokenizer.json");
            write_text_once(&tokenizer, &described.tokenizer)?;
            let template = directory.join("tokenizer_config.json");
            write_text_once(&template, &described.config)?;
            (Some(tokenizer), Some(template))
        }
    };
    let files = if model.has(ROPE_FACTORS) {
        if described.is_none() {
            return Err(model.error("its tokenizer is of an unknown kind".into()));
        }
        unpack::to_folder(&mut model, &directory.join("safetensors"), weights)?
    } else if weights != WeightType::Original || transcode::has_joined_experts(&model) {
        let target = directory.join(weights.file_name());
        transcode::write(&mut model, weights, &target)?;
        Files::Gguf(vec![target])
    } else {
        Files::Gguf(files.to_vec())
    };
    Ok(Prepared {
        files,
        tokenizer,
        end_token,
        template,
        special: tokenizer::special(&model.metadata).map_err(|reason| model.error(reason))?,
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::fs::File;

    use candle_core::quantized::gguf_file::{self, Content, Value};
    use candle_core::quantized::{GgmlDType, QTensor};
    use candle_core::{Device, Tensor};

    use super::super::{Facts, Source};
    use super::*;
    use crate::checkpoint::Architecture;

    type Metadata = BTreeMap<String, Value>;
    type Tensors = BTreeMap<String, QTensor>;

    fn read(architecture: Architecture, folder: &Path) -> (Metadata, Tensors) {
        let path = folder.join("whole.gguf");
        architecture.write_gguf(&path).unwrap();
        let mut model = Gguf::open(&[path]).unwrap();
        let names = model.names().into_iter();
        let tensors = names.map(|name| (name.clone(), model.tensor(&name).unwrap()));
        let tensors = tensors.collect();
        (model.metadata.into_iter().collect(), tensors)
    }

    fn write(path: &Path, metadata: &Metadata, tensors: &Tensors) {
        let metadata: Vec<_> = metadata.iter().map(|(k, v)| (k.as_str(), v)).collect();
        let tensors: Vec<_> = tensors.iter().map(|(k, v)| (k.as_str(), v)).collect();
        let mut file = File::create(path).unwrap();
        gguf_file::write(&mut file, &metadata, &tensors).unwrap();
    }

    /// The error for a model with a change.
    fn refusal(
        architecture: Architecture,
        change: impl FnOnce(&mut Metadata, &mut Tensors),
    ) -> String {
        let folder = tempfile::tempdir().unwrap();
        let (mut metadata, mut tensors) = read(architecture, folder.path());
        change(&mut metadata, &mut tensors);
        let path = folder.path().join("model.gguf");
        write(&path, &metadata, &tensors);
        let prepared = prepare(&[path], folder.path(), WeightType::Q8_0);
        prepared.unwrap_err().to_string()
    }

    #[test]
    fn what_would_be_answered_wrongly_is_refused() {
        let error = refusal(Architecture::Mixtral, |metadata, _| {
            let kind = Value::String("yarn".into());
            metadata.insert("llama.rope.scaling.type".into(), kind);
        });
        assert!(
            error.contains("yarn") && error.contains("safetensors"),
            "{error}"
        );
        let error = refusal(Architecture::Llama3, |_, tensors| {
            let others = Tensor::full(2f32, 16, &Device::Cpu).unwrap();
            let others = QTensor::quantize(&others, GgmlDType::F32).unwrap();
            tensors.insert(ROPE_FACTORS.into(), others);
        });
        assert!(error.contains("rotary factors"), "{error}");
        let error = refusal(Architecture::Llama3, |metadata, _| {
            metadata.remove("tokenizer.chat_template");
        });
        assert!(
            error.contains("tokenizer.chat_template is missing"),
            "{error}"
        );
    }

    #[test]
    fn parts_are_one_model() {
        let folder = tempfile::tempdir().unwrap();
        let (mut metadata, mut tensors) = read(Architecture::Mixtral, folder.path());
        let whole = Facts::read(&Source::open(&folder.path().join("whole.gguf")).unwrap()).unwrap();
        let part = |number: u16| folder.path().join(format!("m-{number:05}-of-00002.gguf"));
        let rest = tensors.split_off("blk.1.attn_k.weight");
        metadata.insert("split.count".into(), Value::U16(2));
        write(&part(1), &metadata, &tensors);
        metadata.retain(|key, _| key == "split.count");
        write(&part(2), &metadata, &rest);

        let source = Source::open(&part(1)).unwrap();
        let facts = Facts::read(&source).unwrap();
        assert_eq!(
            (facts.shape, facts.architecture),
            (whole.shape, whole.architecture)
        );
        for weights in [WeightType::Original, WeightType::F32] {
            let prepared = prepare(&source.files(), folder.path(), weights).unwrap();
            let Files::Gguf(files) = prepared.files else {
                panic!("{prepared:?}");
            };
            let written = Gguf::open(&files).unwrap();
            // Each of the two layers has 3 x 8 expert matrices instead of three.
            assert_eq!(
                written.names().len(),
                tensors.len() + rest.len() + 2 * (8 - 1) * 3
            );
            // mistral.rs would use it as the number of files.
            let content = Content::read(&mut File::open(&files[0]).unwrap()).unwrap();
            assert!(!content.metadata.contains_key("split.count"));
        }
    }
}
