//! Errors of the laboratory.

use std::path::PathBuf;

use thiserror::Error;

/// Why an experiment has no result.
#[derive(Debug, Error)]
pub enum Error {
    /// The state machine refused a valid request.
    #[error("the application failed: {0}")]
    App(#[from] poq_app::Error),
    /// A transaction could not be built or signed.
    #[error("cannot build a transaction: {0}")]
    Client(#[from] poq_client::Error),
    /// The scratch folder or a report could not be written.
    #[error("{what}: {source}; check that the folder exists and the disk is not full")]
    Io {
        /// The target.
        what: String,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The chain refused a participant's transaction: a bug of the laboratory.
    #[error("a transaction of {sender} failed at height {height}: {log}")]
    Transaction {
        /// Its signer.
        sender: String,
        /// Height of the block.
        height: u64,
        /// The chain's reason.
        log: String,
    },
    /// The chain has no room for a question now.
    #[error("too few nodes have room for a question")]
    NoRoom,
    /// An answer or an event of the chain lacks an expected part.
    #[error("the chain's {what} cannot be read: {reason}")]
    Unreadable {
        /// The answer or event.
        what: String,
        /// The reason.
        reason: String,
    },
    /// Money was created or lost.
    #[error("money is not conserved: {0}")]
    Money(String),
    /// Tasks did not end in bounded time.
    #[error("{open} tasks were still open {blocks} blocks after the last one was asked")]
    Stuck {
        /// Number of open tasks.
        open: usize,
        /// Number of blocks waited.
        blocks: u64,
    },
    /// An option is not valid.
    #[error("{0}")]
    Option(String),
    /// There is no text for a strategy.
    #[error("there are no answers for {0}; only the texts of a book have a judge's score")]
    NoTexts(String),
    /// A file of prompts and answers cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file's path.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file does not have the expected form.
    #[error("{origin}: {reason}")]
    Form {
        /// The file, and the line if there are several.
        origin: String,
        /// The reason.
        reason: String,
    },
    /// A judge's registry entry cannot be read.
    #[error(transparent)]
    Registry(#[from] poq_evaluator::registry::Error),
    /// An evaluator model cannot be loaded or run.
    #[error(transparent)]
    Scorer(#[from] poq_evaluator::scorer::Error),
    /// A text was not scored; a bug.
    #[error("a text was not scored; this is a bug")]
    LeftOut,
    /// A judge cannot compute.
    #[error("the evaluator model {model}: {source}")]
    Judge {
        /// The model's id.
        model: String,
        /// The cause.
        source: poq_reference_evaluator::Error,
    },
    /// A picture could not be drawn.
    #[error("cannot draw {what}: {reason}")]
    Plot {
        /// The picture.
        what: String,
        /// The cause.
        reason: String,
    },
    /// A result has no JSON form.
    #[error("a result cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// The result type of the laboratory.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// Builds an [`Error::Unreadable`].
    pub fn unreadable(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Unreadable {
            what: what.into(),
            reason: reason.to_string(),
        }
    }

    /// Builds an [`Error::Io`] about `what`.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        |source| Self::Io { what, source }
    }
}
