//! CometBFT: finding the program, its files, and running it as a supervised child.

mod binary;
mod config;
mod process;

pub use binary::{Binary, SERIES};
pub use config::CometConfig;
pub use process::{Comet, Log};

use std::path::PathBuf;
use std::process::ExitStatus;

/// What went wrong around CometBFT.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such program.
    #[error(
        "cannot find CometBFT {series}: {searched}; run `make setup`, or `go install \
         github.com/cometbft/cometbft/cmd/cometbft@v{tested}`, or name the program with --cometbft",
        series = binary::SERIES, tested = binary::TESTED
    )]
    NotFound {
        /// Where it was looked for, in words.
        searched: String,
    },
    /// The program speaks another ABCI.
    #[error(
        "{path} is CometBFT {version}, but {series} is needed; install v{tested} or name another \
         program with --cometbft",
        path = path.display(), series = binary::SERIES, tested = binary::TESTED
    )]
    Version {
        /// The program.
        path: PathBuf,
        /// As it says.
        version: String,
    },
    /// The program cannot be started.
    #[error("cannot run {path}: {source}", path = path.display())]
    Run {
        /// The program.
        path: PathBuf,
        /// From the operating system.
        source: std::io::Error,
    },
    /// The program refused a command.
    #[error("`{path} {command}` failed ({status}): {output}", path = path.display())]
    Command {
        /// The program.
        path: PathBuf,
        /// Its arguments.
        command: String,
        /// How it ended.
        status: ExitStatus,
        /// What it printed.
        output: String,
    },
    /// One of its files cannot be read or written.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    File {
        /// "read" or "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// From the operating system.
        source: std::io::Error,
    },
    /// One of its files is not what it should be.
    #[error("{path} is not valid: {reason}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Where and why.
        reason: String,
    },
    /// An option has another type.
    #[error("`{option}` of CometBFT cannot be `{value}`: it is of type {kind}")]
    Value {
        /// Table and name in config.toml.
        option: String,
        /// What it should have become.
        value: String,
        /// Of the value that it has.
        kind: &'static str,
    },
    /// Its settings cannot be written.
    #[error(transparent)]
    Client(#[from] poq_client::Error),
    /// One of its addresses is taken.
    #[error(
        "CometBFT cannot listen on {address} (`{option}` in {path}): {reason}",
        path = path.display()
    )]
    Listen {
        /// As configured.
        address: String,
        /// Table and name in config.toml.
        option: &'static str,
        /// The file.
        path: PathBuf,
        /// Why, and what to do.
        reason: String,
    },
}
