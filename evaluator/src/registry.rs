//! Registry entries of evaluator models, and the location of their files.

use std::path::{Path, PathBuf};

use poq_proto::v1::EvaluatorModel;

/// Name of the canonical ONNX file in a model's folder.
pub const WEIGHTS: &str = "model.onnx";
/// Name of the tokenizer in a model's folder.
pub const TOKENIZER: &str = "tokenizer.json";

/// Name of the published int8 file, from which the canonical one is made.
pub const INT8: &str = "model.int8.onnx";
/// Name of the adapter in a judge's folder.
pub const ADAPTER: &str = "adapter.safetensors";
/// The default model of this program.
pub const DEFAULT_MODEL: &str = "judge-minilm-nc-2";

/// The entries for test networks, the evaluator's default first; `README.md` explains their
/// calibrations.
const ENTRIES: [&str; 5] = [
    include_str!("../registry/judge-minilm-nc-2.json"),
    include_str!("../registry/judge-bge-nc-2.json"),
    include_str!("../registry/judge-minilm-open-1.json"),
    include_str!("../registry/ms-marco-minilm-l-12-v2.json"),
    include_str!("../registry/bge-small-en-v1.5.json"),
];

/// Why there is no registry entry.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file's path.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The file is not a registry entry.
    #[error("{origin} is not a poq.v1.EvaluatorModel in proto3 JSON: {source}")]
    Invalid {
        /// The file's path.
        origin: String,
        /// The parser's error.
        source: serde_json::Error,
    },
}

/// The entries of the models that `make setup` fetches, the evaluator's default first.
pub fn entries() -> Result<Vec<EvaluatorModel>, Error> {
    let parse = |content: &&str| parse(content, "a built-in registry entry");
    ENTRIES.iter().map(parse).collect()
}

/// The entry of [`DEFAULT_MODEL`], which test networks have in their genesis.
pub fn default_entry() -> Result<EvaluatorModel, Error> {
    Ok(entries()?.swap_remove(0))
}

/// The entry of a model that `make setup` fetches, if it is one.
pub fn find(id: &str) -> Result<Option<EvaluatorModel>, Error> {
    Ok(entries()?.into_iter().find(|entry| entry.id == id))
}

/// Folder of a model's files in the cache.
pub fn folder(id: &str) -> PathBuf {
    poq_client::cache().join("models").join(id)
}

/// Reads an entry from a file with proto3 JSON.
pub fn read(path: &Path) -> Result<EvaluatorModel, Error> {
    let content = std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&content, &path.display().to_string())
}

fn parse(content: &str, origin: &str) -> Result<EvaluatorModel, Error> {
    serde_json::from_str(content).map_err(|source| Error::Invalid {
        origin: origin.to_owned(),
        source,
    })
}

#[cfg(test)]
mod tests {
    use poq_proto::calibrate;

    use super::*;
    use crate::transcode::{JUDGES, MODELS};

    #[test]
    fn the_entries_are_of_the_transcoded_models() {
        let entries = entries().unwrap();
        assert_eq!(entries[0], default_entry().unwrap());
        assert_eq!(entries[0].id, DEFAULT_MODEL);
        let judges = JUDGES.iter().map(|(id, _)| *id);
        let published = MODELS.iter().map(|model| model.id);
        let models: Vec<_> = judges.chain(published).collect();
        assert_eq!(models.len(), entries.len());
        for (entry, id) in entries.iter().zip(models) {
            assert_eq!(entry.id, id);
            assert_eq!((entry.max_tokens, entry.max_windows), (512, 8));
        }
    }

    #[test]
    fn the_calibrations_are_valid_tables() {
        for table in entries()
            .unwrap()
            .into_iter()
            .map(|entry| entry.calibration)
        {
            assert!((2..=256).contains(&table.len()));
            assert!(table.is_sorted_by(|a, b| a.raw_score < b.raw_score && a.quality <= b.quality));
            assert_eq!(calibrate(&table, i32::MIN), 0);
            assert_eq!(calibrate(&table, i32::MAX), 1_000_000);
        }
    }

    #[test]
    fn a_broken_entry_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("entry.json");
        std::fs::write(&path, r#"{ "id": 5 }"#).unwrap();
        let error = read(&path).unwrap_err().to_string();
        assert!(error.contains("entry.json"), "{error}");
    }
}
