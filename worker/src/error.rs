use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::task::JoinError;

use crate::journal;

/// The result of everything in this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a worker, or a part of a program, cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Between this program and the chain.
    #[error(transparent)]
    Client(#[from] poq_client::Error),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// Another process runs with this home.
    #[error(
        "another process runs with the home {path}; stop it or choose another --home",
        path = path.display()
    )]
    Locked {
        /// The home.
        path: PathBuf,
    },
    /// The operator is registered for models that the worker does not have.
    #[error("{operator} is registered for {registered}, not for {served}: {advice}")]
    Unserved {
        /// The operator's address.
        operator: String,
        /// The models of the registration that are in question.
        registered: String,
        /// Models that the worker has.
        served: String,
        /// What to do.
        advice: &'static str,
    },
    /// Only a new process can do duties again.
    #[error("{0}; the process ends so that its supervisor starts it again")]
    Lost(String),
    /// A part of the worker panicked.
    #[error("a part of the worker ended early: {0}")]
    Panic(#[from] JoinError),
    /// Metrics cannot be served.
    #[error("cannot serve metrics on {address}: {reason}; choose another address")]
    Metrics {
        /// Where they should be served.
        address: SocketAddr,
        /// What is in the way.
        reason: String,
    },
    /// Metrics cannot be collected.
    #[error("cannot collect metrics: {reason}")]
    Recorder {
        /// What is in the way.
        reason: String,
    },
    /// The operating system refused to report signals.
    #[error("cannot listen for SIGINT and SIGTERM: {source}")]
    Signals {
        /// From the operating system.
        source: std::io::Error,
    },
    /// The program was asked to stop while it waited.
    #[error("interrupted")]
    Interrupted,
}
