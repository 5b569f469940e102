//! SHA-256 of files, in the form of the chain's registries.

use std::io;
use std::path::{Path, PathBuf};

use poq_worker::program::digest;

pub use digest::of_bytes;

/// A file that is not what it should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}; run `make setup` to fetch the model files", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// From the operating system.
        source: io::Error,
    },
    /// The file has another content.
    #[error(
        "{path} has SHA-256 {actual}, expected {expected} ({origin}); run `make setup` to fetch the right file",
        path = path.display()
    )]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// Of the file.
        actual: String,
        /// Of the right content.
        expected: String,
        /// Who expects it.
        origin: &'static str,
    },
}

/// The content of a file.
pub fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

/// SHA-256 of a file, 64 lower-case hex digits.
pub fn of_file(path: &Path) -> Result<String, Error> {
    digest::of_file(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })
}

/// Checks that `path`, whose digest is `actual`, is the file that `origin` expects.
pub fn check(path: &Path, actual: &str, expected: &str, origin: &'static str) -> Result<(), Error> {
    if actual == expected {
        return Ok(());
    }
    Err(Error::Mismatch {
        path: path.to_owned(),
        actual: actual.to_owned(),
        expected: expected.to_owned(),
        origin,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    #[test]
    fn a_missing_file_says_what_to_do() {
        let error = of_file(Path::new("/nonexistent/model.onnx")).unwrap_err();
        assert!(error.to_string().contains("run `make setup`"), "{error}");
    }

    #[test]
    fn a_wrong_file_names_both_digests() {
        let error = check(Path::new("f"), ABC, "00", "the registry").unwrap_err();
        let text = error.to_string();
        assert!(text.contains(ABC) && text.contains("expected 00"), "{text}");
    }
}
