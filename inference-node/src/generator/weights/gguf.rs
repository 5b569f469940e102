//! A GGUF model, in one file or several.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use candle_core::Device;
use candle_core::quantized::QTensor;
use candle_core::quantized::gguf_file::{Content, Value};

use super::{
    Error, Files, Prepared, Result, WeightType, format_error, io_error, tokenizer, transcode,
    unpack, write_text_once,
};

/// Factors that llama.cpp divides the rotary frequencies by; mistral.rs does not read them.
pub const ROPE_FACTORS: &str = "rope_freqs.weight";

/// An open model.
pub struct Gguf {
    parts: Vec<(Content, BufReader<File>)>,
    path: PathBuf,
    /// All metadata but that of the split.
    pub metadata: HashMap<String, Value>,
}

impl Gguf {
    /// Reads what is in front of the weights.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Format`] if a file is no GGUF.
    pub fn open(files: &[PathBuf]) -> Result<Self> {
        let mut parts = Vec::with_capacity(files.len());
        let mut metadata = HashMap::new();
        for path in files {
            let mut reader = BufReader::new(File::open(path).map_err(io_error("open", path))?);
            let content = Content::read(&mut reader).map_err(format_error(path))?;
            let own = content.metadata.iter();
            let own = own.filter(|(key, _)| !key.starts_with("split."));
            metadata.extend(own.map(|(key, value)| (key.clone(), value.clone())));
            parts.push((content, reader));
        }
        Ok(Self {
            parts,
            path: files.first().cloned().unwrap_or_default(),
            metadata,
        })
    }

    /// The first file.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of all tensors, sorted.
    pub fn names(&self) -> Vec<String> {
        let names = self
            .parts
            .iter()
            .flat_map(|(part, _)| part.tensor_infos.keys());
        let mut names: Vec<String> = names.cloned().collect();
        names.sort();
        names
    }

    /// Whether there is a tensor of this name.
    pub fn has(&self, name: &str) -> bool {
        self.parts
            .iter()
            .any(|(part, _)| part.tensor_infos.contains_key(name))
    }

    /// Reads one tensor.
    ///
    /// # Errors
    /// [`Error::Format`] if it is not there or is damaged.
    pub fn tensor(&mut self, name: &str) -> Result<QTensor> {
        let found = self
            .parts
            .iter_mut()
            .find(|(part, _)| part.tensor_infos.contains_key(name));
        let Some((part, reader)) = found else {
            return Err(self.error(format!("{name} is missing")));
        };
        let tensor = part.tensor(reader, name, &Device::Cpu);
        tensor.map_err(format_error(&self.path))
    }

    /// A text of the metadata.
    pub fn text(&self, key: &str) -> Option<&str> {
        let text = self.metadata.get(key)?.to_string().ok()?;
        Some(text.as_str())
    }

    /// A whole number of the metadata.
    ///
    /// # Errors
    /// [`Error::Format`] if it is not there.
    pub fn number(&self, key: &str) -> Result<usize> {
        let number = self.metadata.get(key).and_then(|value| value.to_u64().ok());
        let number = number.and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| self.error(format!("{key} is missing")))
    }

    /// How many items a list of the metadata has.
    ///
    /// # Errors
    /// [`Error::Format`] if it is not there.
    pub fn items(&self, key: &str) -> Result<usize> {
        let list = self.metadata.get(key).and_then(|value| value.to_vec().ok());
        let length = list.map(Vec::len);
        length.ok_or_else(|| self.error(format!("{key} is missing")))
    }

    /// A fraction of the metadata.
    ///
    /// # Errors
    /// [`Error::Format`] if it is not there.
    pub fn fraction(&self, key: &str) -> Result<f32> {
        let number = self.metadata.get(key).and_then(|value| value.to_f32().ok());
        number.ok_or_else(|| self.error(format!("{key} is missing")))
    }

    /// An [`Error::Format`] of this file.
    pub fn error(&self, reason: String) -> Error {
        Error::Format {
            path: self.path.clone(),
            reason,
        }
    }

    /// Refuses what mistral.rs would pass over and answer wrongly.
    ///
    /// # Errors
    /// [`Error::Format`] with the reason.
    pub fn check(&self) -> Result<()> {
        match self.text("llama.rope.scaling.type") {
            None | Some("none") => Ok(()),
            Some(kind) => Err(self.error(format!(
                "mistral.rs does not scale its rotary embedding ({kind}); take the model as safetensors"
            ))),
        }
    }
}

/// Makes the files that mistral.rs loads in `directory`.
pub fn prepare(files: &[PathBuf], directory: &Path, weights: WeightType) -> Result<Prepared> {
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
            return Err(model.error("its tokenizer is of no kind that is known here".into()));
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
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use candle_core::Tensor;
    use candle_core::quantized::{GgmlDType, gguf_file};

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

    /// Why a model with a change is refused.
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
            let super::Files::Gguf(files) = prepared.files else {
                panic!("{prepared:?}");
            };
            let written = Gguf::open(&files).unwrap();
            // The two layers have eight experts with three matrices each in place of three.
            assert_eq!(
                written.names().len(),
                tensors.len() + rest.len() + 2 * (8 - 1) * 3
            );
            // mistral.rs would count the files by it.
            let (content, _) = &written.parts[0];
            assert!(!content.metadata.contains_key("split.count"));
        }
    }
}
