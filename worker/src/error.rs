use std::net::SocketAddr;
use std::path::PathBuf;

use tokio::task::JoinError;

use crate::journal;

/// The result type of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a worker, or a part of a program, cannot continue.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An error of the client.
    #[error(transparent)]
    Client(#[from] poq_client::Error),
    /// An error of the journal.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// Another process uses this home.
    #[error(
        "another process uses the home {path}; stop it or choose another --home",
        path = path.display()
    )]
    Locked {
        /// The home's path.
        path: PathBuf,
    },
    /// The operator is registered for models that the worker does not have.
    #[error("{operator} is registered for {registered}, not for {served}: {advice}")]
    Unserved {
        /// The operator's address.
        operator: String,
        /// The registered models in question.
        registered: String,
        /// The models that the worker serves.
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
        /// The address to serve on.
        address: SocketAddr,
        /// The cause.
        reason: String,
    },
    /// Metrics cannot be collected.
    #[error("cannot collect metrics: {reason}")]
    Recorder {
        /// The cause.
        reason: String,
    },
    /// Signal handlers cannot be installed.
    #[error("cannot listen for SIGINT and SIGTERM: {source}")]
    Signals {
        /// The operating system's error.
        source: std::io::Error,
    },
    /// The program was asked to stop while it waited.
    #[error("interrupted")]
    Interrupted,
}
