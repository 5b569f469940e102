//! The settings of a home: `app.toml` for the daemon and `client.toml` for the other commands.

mod app;
mod client;

pub(crate) use app::AppSettings;
pub(crate) use client::{ClientSettings, Format};

use std::path::{Path, PathBuf};

use serde::de::DeserializeOwned;

/// The reason why a settings file cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Its cause.
        source: std::io::Error,
    },
    /// It is malformed.
    #[error("{path} is not valid: {reason}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line and the cause.
        reason: toml::de::Error,
    },
}

/// Reads a settings file. A missing file has only defaults.
fn load<T: DeserializeOwned + Default>(path: &Path) -> Result<T, Error> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(T::default()),
        Err(source) => {
            return Err(Error::Read {
                path: path.to_owned(),
                source,
            });
        }
    };
    toml::from_str(&text).map_err(|reason| Error::Invalid {
        path: path.to_owned(),
        reason,
    })
}

/// A value as TOML writes it.
fn quoted(value: impl std::fmt::Display) -> String {
    toml::Value::String(value.to_string()).to_string()
}
