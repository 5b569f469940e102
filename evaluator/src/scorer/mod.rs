//! Scores of pairs (prompt, answer) by cross-encoders and bi-encoders.

mod batch;
mod kind;
mod lanes;
mod model;
mod reference;
mod runtime;
mod tokenize;
mod windows;

pub use kind::{Kind, Row, Score};
pub use lanes::{Batch, in_lanes};
pub use model::{Engine, Model, ModelFiles, ScorerBackend, open_all};
pub use reference::ReferenceScorer;
pub use runtime::OrtScorer;
pub use tokenize::{Encoded, PairTokenizer, Window};
pub use windows::mean;

use std::path::PathBuf;

use crate::digest;

/// Why there is no score.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file is missing or is not the registry's.
    #[error(transparent)]
    Digest(#[from] digest::Error),
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
    /// The reference evaluator refused the model or a window.
    #[error("reference evaluator: {0}")]
    Reference(#[from] poq_reference_evaluator::Error),
    /// The tokenizer cannot be used.
    #[error("tokenizer {path}: {reason}", path = path.display())]
    Tokenizer {
        /// Its `tokenizer.json`.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A text cannot be tokenized.
    #[error("cannot tokenize a text of {bytes} bytes: {reason}")]
    Text {
        /// Its length.
        bytes: usize,
        /// From the tokenizer.
        reason: String,
    },
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

/// The raw score of a window's logit in micro-logits: `logit · 1e6`, computed in f64, rounded half away
/// from zero, saturating at the range of `i32`. This is the only place where it is computed, for
/// cosines too.
pub fn micro_logits(logit: f32) -> Result<i32, Error> {
    if logit.is_nan() {
        return Err(Error::NotANumber);
    }
    // `f64::round` rounds half away from zero; `as` saturates.
    Ok((f64::from(logit) * 1e6).round() as i32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micro_logits_round_half_away_from_zero_and_saturate() {
        assert_eq!(micro_logits(0.0).unwrap(), 0);
        assert_eq!(micro_logits(-0.0).unwrap(), 0);
        assert_eq!(micro_logits(9.085_089).unwrap(), 9_085_089);
        assert_eq!(micro_logits(-11.187_496).unwrap(), -11_187_496);
        // 2^-7 and 2^-8 are exact in f32: 7812.5 and 3906.25 micro-logits.
        assert_eq!(micro_logits(0.007_812_5).unwrap(), 7_813);
        assert_eq!(micro_logits(-0.007_812_5).unwrap(), -7_813);
        assert_eq!(micro_logits(0.003_906_25).unwrap(), 3_906);
        assert_eq!(micro_logits(1e9).unwrap(), i32::MAX);
        assert_eq!(micro_logits(f32::NEG_INFINITY).unwrap(), i32::MIN);
    }

    #[test]
    fn not_a_number_is_an_error() {
        assert!(matches!(micro_logits(f32::NAN), Err(Error::NotANumber)));
    }
}
