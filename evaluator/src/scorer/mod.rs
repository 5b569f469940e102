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
        /// The library.
        path: PathBuf,
        /// From the loader.
        reason: String,
    },
    /// ONNX Runtime refused the model or a batch.
    #[error("ONNX Runtime cannot {action}: {reason}")]
    Runtime {
        /// "load the model", ...
        action: &'static str,
        /// From ONNX Runtime.
        reason: String,
    },
    /// A file is missing or is not the registry's, or the reference evaluator refused a model, a text or
    /// a window.
    #[error(transparent)]
    Reference(#[from] poq_reference_evaluator::Error),
    /// A pair does not fit, and nothing may be cut off.
    #[error(
        "the pair has {tokens} tokens with the special ones, more than the {most} that are read; shorten it, or set `truncate`"
    )]
    TooLong {
        /// Tokens of the whole pair.
        tokens: usize,
        /// Tokens that are read of it, in all windows.
        most: usize,
    },
    /// The registry has a model of a kind that is new.
    #[error("evaluator model {model} has kind {kind}, which this version does not run; update it")]
    Kind {
        /// Its id.
        model: String,
        /// Number of the kind.
        kind: i32,
    },
    /// The model answered with something that is no score.
    #[error("the model's output is not a number")]
    NotANumber,
}

/// Computes what a model makes of windows.
pub trait Scorer: Send {
    /// One row per window, in their order, from one padded batch.
    fn rows(&mut self, batch: &[&Window]) -> Result<Vec<Row>, Error>;
}
