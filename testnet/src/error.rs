use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

/// What went wrong with a local network, and what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program that `make build` makes or set-up fetches is not there.
    #[error("{0} is missing; run `make build` first")]
    Missing(PathBuf),
    /// A file or folder could not be read or written.
    #[error("{path}: {source}")]
    File {
        /// Which one.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file's contents are not what they should be.
    #[error("{path} cannot be understood: {reason}")]
    Contents {
        /// Which one.
        path: PathBuf,
        /// What is wrong in it.
        reason: String,
    },
    /// The folder belongs to a network that runs.
    #[error("a network is running in {0}; stop it first, or choose another folder with --root")]
    Running(PathBuf),
    /// The folder has other things in it, which would be lost.
    #[error("{0} is not empty and no network; choose another folder with --root")]
    NotEmpty(PathBuf),
    /// Another program listens where a process of the network would.
    #[error(
        "port {port} ({user}) is taken: stop what listens on it, or choose other ports with BASE_PORT (now {base})"
    )]
    PortTaken {
        /// The port.
        port: u16,
        /// For what it is wanted.
        user: String,
        /// The base port in force.
        base: u16,
    },
    /// No free ports for a network were found.
    #[error("no {0} consecutive free ports between 20000 and 32000")]
    NoPorts(u16),
    /// A program could not be started.
    #[error("cannot start {name}: {source}")]
    Start {
        /// Of the process.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// A signal could not be sent or a process not waited for.
    #[error("cannot control {name}: {source}")]
    Control {
        /// Of the process.
        name: String,
        /// Why.
        source: std::io::Error,
    },
    /// A program that should run once and succeed failed.
    #[error("{name} failed ({status}):\n{output}")]
    Failed {
        /// Of the program.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// What it printed to stderr.
        output: String,
    },
    /// A process of the network ended by itself.
    #[error("{name} stopped ({status}); the end of its log {log}:\n{tail}")]
    Crashed {
        /// Of the process.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// Its whole log.
        log: PathBuf,
        /// The last lines of it.
        tail: String,
    },
    /// Something did not happen in time.
    #[error("{what} after {} s; logs are in {logs}", .timeout.as_secs())]
    Timeout {
        /// What is not so, in words.
        what: String,
        /// How long it was waited for.
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
    /// The network has no process of this name, or it is not running.
    #[error("the network has no process `{0}` running")]
    NoProcess(String),
    /// The process is to be started and runs.
    #[error("`{0}` is running already")]
    Runs(String),
    /// Only workers can be added to a running network.
    #[error("only inference nodes and evaluators can be added")]
    NotAWorker,
    /// No network runs in the folder, or it is still answering its first question.
    #[error(
        "no network is up in {0}; start one with `make testnet` and wait for its receipt, or choose its folder with --root"
    )]
    NotRunning(PathBuf),
    /// The process that runs the network could not do what was asked.
    #[error("{0}")]
    Refused(String),
    /// Ctrl-C or SIGTERM.
    #[error("interrupted")]
    Interrupted,
    /// Talking to the chain failed.
    #[error(transparent)]
    Client(#[from] poq_client::Error),
}

/// What functions of this crate return.
pub type Result<T> = std::result::Result<T, Error>;

impl Error {
    pub(crate) fn file(path: &Path) -> impl FnOnce(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::File { path, source }
    }
}
