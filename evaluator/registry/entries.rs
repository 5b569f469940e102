//! The entries of the evaluator models that the set-up fetches.

use std::path::{Path, PathBuf};

use poq_proto::v1::EvaluatorModel;

/// Name of the canonical ONNX file in a model's folder.
pub const WEIGHTS: &str = "model.onnx";
/// Name of the tokenizer in a model's folder.
pub const TOKENIZER: &str = "tokenizer.json";

/// The entries for test networks, the evaluator's default first; `README.md` says how their
/// calibrations were made.
const ENTRIES: [&str; 5] = [
    include_str!("judge-minilm-nc-2.json"),
    include_str!("judge-bge-nc-2.json"),
    include_str!("judge-minilm-open-1.json"),
    include_str!("ms-marco-minilm-l-12-v2.json"),
    include_str!("bge-small-en-v1.5.json"),
];

/// Why there is no registry entry.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// From the operating system.
        source: std::io::Error,
    },
    /// The file is not an entry.
    #[error("{origin} is not a poq.v1.EvaluatorModel in proto3 JSON: {source}")]
    Invalid {
        /// The file.
        origin: String,
        /// From the parser.
        source: serde_json::Error,
    },
}

/// The entries of the models that the set-up fetches, the evaluator's default first.
pub fn entries() -> Result<Vec<EvaluatorModel>, Error> {
    let parse = |content: &&str| parse(content, "a built-in registry entry");
    ENTRIES.iter().map(parse).collect()
}

/// An entry from a file with proto3 JSON.
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
