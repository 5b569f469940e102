use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

/// An error of a local network, with its remedy.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program that `make build` compiles or setup fetches is missing.
    #[error("{0} is missing; run `make build` first")]
    Missing(PathBuf),
    /// A file or folder could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Path of the file.
        path: PathBuf,
        /// Its cause.
        source: std::io::Error,
    },
    /// The contents of a file or response are malformed.
    #[error("{path} is not valid: {reason}")]
    Contents {
        /// Path of the file.
        path: PathBuf,
        /// Its defect.
        reason: String,
    },
    /// The folder belongs to a running network.
    #[error("a network is running in {0}; stop it first, or choose another folder with --root")]
    Running(PathBuf),
    /// The folder contains other files, which would be lost.
    #[error("{0} is not empty and does not contain a network; choose another folder with --root")]
    NotEmpty(PathBuf),
    /// Another program uses a port of the network.
    #[error(
        "port {port} ({user}) is taken: stop the program that listens on it, or choose other ports with BASE_PORT (now {base})"
    )]
    PortTaken {
        /// The port.
        port: u16,
        /// Its purpose in the network.
        user: String,
        /// The current base port.
        base: u16,
    },
    /// No free ports for a network were found.
    #[error("no {0} consecutive free ports between 20000 and 32000")]
    NoPorts(u16),
    /// A program could not be started.
    #[error("cannot start {name}: {source}")]
    Start {
        /// Name of the process.
        name: String,
        /// Its cause.
        source: std::io::Error,
    },
    /// Sending a signal or waiting for a process failed.
    #[error("cannot control {name}: {source}")]
    Control {
        /// Name of the process.
        name: String,
        /// Its cause.
        source: std::io::Error,
    },
    /// A one-off program failed.
    #[error("{name} failed ({status}):\n{output}")]
    Failed {
        /// Name of the program.
        name: String,
        /// Exit status.
        status: ExitStatus,
        /// Its stderr.
        output: String,
    },
    /// A process of the network ended by itself.
    #[error("{name} stopped ({status}); the end of its log {log}:\n{tail}")]
    Crashed {
        /// Name of the process.
        name: String,
        /// Exit status.
        status: ExitStatus,
        /// Path of the whole log.
        log: PathBuf,
        /// Last lines of the log.
        tail: String,
    },
    /// Something did not happen in time.
    #[error("{what} after {} s; logs are in {logs}", .timeout.as_secs())]
    Timeout {
        /// The missing condition, in words.
        what: String,
        /// Duration of the wait.
        timeout: Duration,
        /// Folder of the logs.
        logs: PathBuf,
    },
    /// The task was not answered, or not scored.
    #[error("task {task} was refunded: {reason}")]
    Refunded {
        /// Id of the task.
        task: u64,
        /// The chain's reason.
        reason: String,
    },
    /// The gateway gave no answer.
    #[error("the gateway gave no answer: {0}")]
    Chat(#[from] crate::chat::Failure),
    /// The session ended without a quality of the answer.
    #[error(
        "session {session} ended without a quality of answer {number}; `poqd query poq session {session}` shows why"
    )]
    NotScored {
        /// Id of the session.
        session: u64,
        /// The answer's number in it.
        number: u64,
    },
    /// The network has no process of this name, or it is not running.
    #[error("the network has no process `{0}` running")]
    NoProcess(String),
    /// The process to start is running.
    #[error("`{0}` is already running")]
    Runs(String),
    /// Only workers can be added to a running network.
    #[error("only inference nodes and evaluators can be added")]
    NotAWorker,
    /// No network runs in the folder, or it is still answering its first question.
    #[error(
        "no network is up in {0}; start one with `make testnet` and wait for its receipt, or choose its folder with --root"
    )]
    NotRunning(PathBuf),
    /// The process that runs the network refused the request.
    #[error("{0}")]
    Refused(String),
    /// Ctrl-C or SIGTERM.
    #[error("interrupted")]
    Interrupted,
    /// An error of the client of the chain.
    #[error(transparent)]
    Client(#[from] poq_client::Error),
}

/// A result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
