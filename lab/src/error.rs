//! What can go wrong in the laboratory.

use std::path::PathBuf;

use thiserror::Error;

/// Why an experiment has no result.
#[derive(Debug, Error)]
pub enum Error {
    /// The state machine refused something that every chain may ask.
    #[error("the application failed: {0}")]
    App(#[from] poq_app::Error),
    /// A transaction could not be built or signed.
    #[error("a transaction cannot be made: {0}")]
    Client(#[from] poq_client::Error),
    /// The scratch folder or a report could not be written.
    #[error("{what}: {source}; check that the folder exists and has room")]
    Io {
        /// What was to be written.
        what: String,
        /// Why not.
        source: std::io::Error,
    },
    /// A participant sent what the chain does not take: a bug of the laboratory.
    #[error("a transaction of {sender} failed at height {height}: {log}")]
    Transaction {
        /// Its signer.
        sender: String,
        /// Height of the block.
        height: u64,
        /// The chain's reason.
        log: String,
    },
    /// The chain takes no question now.
    #[error("too few nodes have room for a question")]
    NoRoom,
    /// An answer or an event of the chain lacks what the laboratory reads in it.
    #[error("the chain's {what} cannot be read: {reason}")]
    Unreadable {
        /// Which answer or event.
        what: String,
        /// What is missing.
        reason: String,
    },
    /// Money came from nowhere or went nowhere.
    #[error("money is not conserved: {0}")]
    Money(String),
    /// Tasks did not come to their end in bounded time.
    #[error("{open} tasks were still open {blocks} blocks after the last one was asked")]
    Stuck {
        /// Tasks without an end.
        open: usize,
        /// Blocks waited.
        blocks: u64,
    },
    /// An option that makes no sense.
    #[error("{0}")]
    Option(String),
    /// Nothing is written for what a node means to send.
    #[error("no answers are written for {0}; only the texts of a book have a judge's score")]
    NoTexts(String),
    /// A file of prompts and answers cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// From the operating system.
        source: std::io::Error,
    },
    /// A file does not have the form that it should have.
    #[error("{origin}: {reason}")]
    Form {
        /// The file, with the line where there are many.
        origin: String,
        /// What is wrong.
        reason: String,
    },
    /// A judge's registry entry cannot be read.
    #[error(transparent)]
    Registry(#[from] poq_evaluator::registry::Error),
    /// An evaluator model cannot be loaded or run.
    #[error(transparent)]
    Scorer(#[from] poq_evaluator::scorer::Error),
    /// A text was never scored; a bug.
    #[error("a text was left out; this is a bug")]
    LeftOut,
    /// A judge cannot compute.
    #[error("the evaluator model {model}: {source}")]
    Judge {
        /// Its id.
        model: String,
        /// Why not.
        source: poq_reference_evaluator::Error,
    },
    /// A picture could not be drawn.
    #[error("cannot draw {what}: {reason}")]
    Plot {
        /// The picture.
        what: String,
        /// Why not.
        reason: String,
    },
    /// A result has no JSON form.
    #[error("a result cannot be written as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// Result of everything in the laboratory.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    /// [`Error::Unreadable`].
    pub fn unreadable(what: impl Into<String>, reason: impl ToString) -> Self {
        Self::Unreadable {
            what: what.into(),
            reason: reason.to_string(),
        }
    }

    /// [`Error::Io`] about `what`.
    pub fn io(what: impl Into<String>) -> impl FnOnce(std::io::Error) -> Self {
        let what = what.into();
        |source| Self::Io { what, source }
    }
}
