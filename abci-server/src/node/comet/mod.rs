//! Finds CometBFT and runs it as a supervised child.

mod binary;
mod process;

pub(crate) use binary::{Binary, SERIES};
pub(crate) use process::{Comet, Log};

use std::path::PathBuf;
use std::process::ExitStatus;

/// An error of finding or running CometBFT.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The program was not found.
    #[error(
        "cannot find CometBFT {series}: {searched}; run `make setup`, or `go install \
         github.com/cometbft/cometbft/cmd/cometbft@v{tested}`, or name the program with --cometbft",
        series = binary::SERIES, tested = binary::TESTED
    )]
    NotFound {
        /// The searched places, in words.
        searched: String,
    },
    /// The program is of another series.
    #[error(
        "{path} is CometBFT {version}, but {series} is needed; install v{tested} or name another \
         program with --cometbft",
        path = path.display(), series = binary::SERIES, tested = binary::TESTED
    )]
    Version {
        /// The program.
        path: PathBuf,
        /// Its version.
        version: String,
    },
    /// The program cannot be started.
    #[error("cannot run {path}: {source}", path = path.display())]
    Run {
        /// The program.
        path: PathBuf,
        /// Its cause.
        source: std::io::Error,
    },
    /// A command of the program failed.
    #[error("`{path} {command}` failed ({status}): {output}", path = path.display())]
    Command {
        /// The program.
        path: PathBuf,
        /// Its arguments.
        command: String,
        /// Its exit status.
        status: ExitStatus,
        /// Its output.
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
