//! Duties by hand: their messages are read from files and pay no fee.

use std::path::PathBuf;

use serde::de::DeserializeOwned;

use super::authority::read_message;

/// Flags of the commands that do duties by hand.
#[derive(Debug, clap::Args)]
pub(super) struct Duties {
    /// File with the message as proto3 JSON, {"items": […]}; - is standard input.
    file: PathBuf,
}

impl Duties {
    /// Reads the message; its operator is the signer, whatever the file says.
    ///
    /// # Errors
    /// If the file cannot be read or is not such a message.
    pub(super) fn read<M: DeserializeOwned>(&self) -> anyhow::Result<M> {
        read_message(&self.file, None)
    }
}
