//! Why there is no score.

use std::io;
use std::path::PathBuf;

use crate::kind::Kind;
use crate::onnx;

/// Of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why there is no score.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error("cannot read {path}: {source}; run `make setup` to fetch the model files", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// From the operating system.
        source: io::Error,
    },
    /// A file has another content.
    #[error("{path} has SHA-256 {actual}, expected {expected}; run `make setup` to fetch the right file", path = path.display())]
    Sha256 {
        /// The file.
        path: PathBuf,
        /// Of the file.
        actual: String,
        /// Of the right content.
        expected: String,
    },
    /// The ONNX file is damaged or computes something else.
    #[error("cannot use {path}: {source}", path = path.display())]
    Model {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: onnx::Error,
    },
    /// The model is of the other kind.
    #[error("{path} is no {kind:?}; give the model its right kind", path = path.display())]
    Kind {
        /// The file.
        path: PathBuf,
        /// What was asked for.
        kind: Kind,
    },
    /// The tokenizer cannot be used.
    #[error("tokenizer {path}: {reason}", path = path.display())]
    Tokenizer {
        /// Its `tokenizer.json`.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A window cannot have so many tokens.
    #[error("a window of {tokens} tokens; this model reads 1 to {most}")]
    Window {
        /// Asked for.
        tokens: usize,
        /// Of the model.
        most: usize,
    },
    /// A token, a segment or a position that the model has no embedding for.
    #[error("the model has no embedding for the token {id}; its tokenizer is another one")]
    Token {
        /// Of the token.
        id: u32,
    },
    /// A text cannot be tokenized.
    #[error("cannot tokenize a text of {bytes} bytes: {reason}")]
    Text {
        /// Its length.
        bytes: usize,
        /// From the tokenizer.
        reason: String,
    },
    /// The model answered with something that is no score.
    #[error("the model's output is not a number")]
    NotANumber,
}
