//! The error type of this crate.

use std::io;
use std::path::PathBuf;

use crate::kind::Kind;
use crate::onnx;

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// The reason why a model cannot be opened or a pair has no score.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}; run `make setup` to fetch the model files", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Its cause.
        source: io::Error,
    },
    /// A file does not have the expected digest.
    #[error("{path} has SHA-256 {actual}, expected {expected}; run `make setup` to fetch the right file", path = path.display())]
    Sha256 {
        /// The file.
        path: PathBuf,
        /// Digest of the file.
        actual: String,
        /// Digest in the registry.
        expected: String,
    },
    /// The ONNX file is damaged or does not compute a BERT encoder.
    #[error("cannot use {path}: {source}", path = path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// Its cause.
        source: onnx::Error,
    },
    /// The model is of the other kind.
    #[error("{path} is not a {kind:?}; correct the model's kind", path = path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// The requested kind.
        kind: Kind,
    },
    /// The tokenizer cannot be used.
    #[error("tokenizer {path}: {reason}", path = path.display())]
    Tokenizer {
        /// The `tokenizer.json`.
        path: PathBuf,
        /// Its defect.
        reason: String,
    },
    /// A window has too many tokens, or none.
    #[error("a window of {tokens} tokens; this model reads 1 to {most}")]
    Window {
        /// The requested number of tokens.
        tokens: usize,
        /// The model's limit.
        most: usize,
    },
    /// The model has no embedding for a token, a segment or a position.
    #[error(
        "the model has no embedding for the token {id}; the tokenizer belongs to another model"
    )]
    Token {
        /// Id of the token.
        id: u32,
    },
    /// A text cannot be tokenized.
    #[error("cannot tokenize a text of {bytes} bytes: {reason}")]
    Text {
        /// Length of the text.
        bytes: usize,
        /// The tokenizer's message.
        reason: String,
    },
    /// The model's output is NaN.
    #[error("the model's output is not a number")]
    NotANumber,
}
