//! CometBFT: finding the program and running it as a supervised child.

mod binary;
mod process;

pub use binary::{Binary, SERIES};
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
    /// Its log cannot be written.
    #[error("cannot write {path}: {source}", path = path.display())]
    Log {
        /// The file.
        path: PathBuf,
        /// From the operating system.
        source: std::io::Error,
    },
}
