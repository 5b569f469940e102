//! A GGUF model, in one file or several.

use std::collections::HashMap;
use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use candle_core::Device;
use candle_core::quantized::QTensor;
use candle_core::quantized::gguf_file::{Content, Value};

use super::{Error, Result, format_error, io_error};

/// Divisors of the rotary frequencies in llama.cpp; mistral.rs does not read them.
pub(super) const ROPE_FACTORS: &str = "rope_freqs.weight";

/// An open model.
pub(crate) struct Gguf {
    parts: Vec<(Content, BufReader<File>)>,
    path: PathBuf,
    /// All metadata except that of the split.
    pub metadata: HashMap<String, Value>,
}

impl Gguf {
    /// Reads everything before the weights.
    ///
    /// # Errors
    /// [`Error::Io`], or [`Error::Format`] if a file is not GGUF.
    pub(crate) fn open(files: &[PathBuf]) -> Result<Self> {
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
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Names of all tensors, sorted.
    pub(crate) fn names(&self) -> Vec<String> {
        let names = self
            .parts
            .iter()
            .flat_map(|(part, _)| part.tensor_infos.keys());
        let mut names: Vec<String> = names.cloned().collect();
        names.sort();
        names
    }

    /// Whether there is a tensor of this name.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.parts
            .iter()
            .any(|(part, _)| part.tensor_infos.contains_key(name))
    }

    /// Reads one tensor.
    ///
    /// # Errors
    /// [`Error::Format`] if it is missing or damaged.
    pub(crate) fn tensor(&mut self, name: &str) -> Result<QTensor> {
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

    /// A string in the metadata.
    pub(crate) fn text(&self, key: &str) -> Option<&str> {
        let text = self.metadata.get(key)?.to_string().ok()?;
        Some(text.as_str())
    }

    /// An integer in the metadata.
    ///
    /// # Errors
    /// [`Error::Format`] if it is missing.
    pub(crate) fn number(&self, key: &str) -> Result<usize> {
        let number = self.metadata.get(key).and_then(|value| value.to_u64().ok());
        let number = number.and_then(|number| usize::try_from(number).ok());
        number.ok_or_else(|| self.error(format!("{key} is missing")))
    }

    /// Length of a list in the metadata.
    ///
    /// # Errors
    /// [`Error::Format`] if it is missing.
    pub(crate) fn items(&self, key: &str) -> Result<usize> {
        let list = self.metadata.get(key).and_then(|value| value.to_vec().ok());
        let length = list.map(Vec::len);
        length.ok_or_else(|| self.error(format!("{key} is missing")))
    }

    /// A floating-point number in the metadata.
    ///
    /// # Errors
    /// [`Error::Format`] if it is missing.
    pub(crate) fn fraction(&self, key: &str) -> Result<f32> {
        let number = self.metadata.get(key).and_then(|value| value.to_f32().ok());
        number.ok_or_else(|| self.error(format!("{key} is missing")))
    }

    /// An [`Error::Format`] for this file.
    pub(crate) fn error(&self, reason: String) -> Error {
        Error::Format {
            path: self.path.clone(),
            reason,
        }
    }

    /// Refuses features that mistral.rs would ignore, giving wrong answers.
    ///
    /// # Errors
    /// [`Error::Format`] with the reason.
    pub(crate) fn check(&self) -> Result<()> {
        match self.text("llama.rope.scaling.type") {
            None | Some("none") => Ok(()),
            Some(kind) => Err(self.error(format!(
                "mistral.rs does not scale its rotary embedding ({kind}); use the model as safetensors"
            ))),
        }
    }
}
