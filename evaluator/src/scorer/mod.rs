//! Scores of pairs (prompt, answer) by cross-encoders and bi-encoders.

mod batch;
mod model;
mod reference;
mod runtime;
mod score;
mod tokenize;

pub use batch::{Batch, in_lanes};
pub use model::{Engine, Model, ModelFiles, ScorerBackend, open_all};
pub use reference::ReferenceScorer;
pub use runtime::OrtScorer;
pub use score::{Row, Score, kind};
pub use tokenize::{Encoded, PairTokenizer};

use std::path::PathBuf;

pub use poq_reference_evaluator::{Kind, Window};

/// Why there is no score.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The library of ONNX Runtime cannot be loaded.
    #[error(
        "cannot load ONNX Runtime from {path}: {reason}; run `make setup` to fetch it, or set `library` in config.toml",
        path = path.display()
    )]
    Library {
        /// The library's path.
        path: PathBuf,
        /// The loader's error.
        reason: String,
    },
    /// ONNX Runtime refused the model or a batch.
    #[error("ONNX Runtime cannot {action}: {reason}")]
    Runtime {
        /// "load the model", ...
        action: &'static str,
        /// ONNX Runtime's error.
        reason: String,
    },
    /// A file is missing or does not match the registry, or the reference evaluator refused a
    /// model, a text or a window.
    #[error(transparent)]
    Reference(#[from] poq_reference_evaluator::Error),
    /// A pair is too long, and may not be cut off.
    #[error(
        "the pair has {tokens} tokens including special ones, more than the {most} that are read; shorten it, or set `truncate`"
    )]
    TooLong {
        /// Tokens of the whole pair.
        tokens: usize,
        /// Most tokens that are read, in all windows.
        most: usize,
    },
    /// The registry's model has an unknown kind.
    #[error(
        "evaluator model {model} has kind {kind}, which this version does not support; update this program"
    )]
    Kind {
        /// The model's id.
        model: String,
        /// Number of the kind.
        kind: i32,
    },
    /// The model's output is not a usable score.
    #[error("the model's output is not a number")]
    NotANumber,
}

/// Runs the model on windows.
pub trait Scorer: Send {
    /// One row per window, in order, from one padded batch.
    fn rows(&mut self, batch: &[&Window]) -> Result<Vec<Row>, Error>;
}
