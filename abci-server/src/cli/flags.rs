//! Flags shared by commands that connect to a node or use keys.

use poq_client::Client;
use poq_client::keyring::{Backend, Keyring, ask};

use crate::home::Home;
use crate::home::settings::ClientSettings;
use crate::home::settings::Format;

/// Flags of commands that connect to a node.
#[derive(Debug, clap::Args)]
pub(super) struct NodeFlags {
    /// RPC address of the node: http://, https:// or tcp://; default: as in client.toml.
    #[arg(long, global = true, value_name = "URL")]
    pub node: Option<String>,
    /// Format of results; default: as in client.toml.
    #[arg(long, short = 'o', global = true, value_enum)]
    pub output: Option<Format>,
}

impl NodeFlags {
    /// Returns the node's client and the format of results.
    ///
    /// # Errors
    /// If the settings or the address are invalid.
    pub(super) fn open(&self, settings: &ClientSettings) -> anyhow::Result<(Client, Format)> {
        let node = self.node.as_deref().unwrap_or(&settings.node);
        Ok((Client::new(node)?, self.output.unwrap_or(settings.output)))
    }
}

/// Flags of commands that use keys.
#[derive(Debug, clap::Args)]
pub(super) struct KeyringFlags {
    /// Backend of the keyring: file or test; default: as in client.toml.
    #[arg(long, global = true, value_name = "BACKEND")]
    pub keyring_backend: Option<Backend>,
}

impl KeyringFlags {
    /// Opens the home's keyring, with the address prefix of its chain.
    ///
    /// # Errors
    /// If the keyring or the genesis cannot be read.
    pub(super) fn open(&self, home: &Home, settings: &ClientSettings) -> anyhow::Result<Keyring> {
        let backend = self.keyring_backend.unwrap_or(settings.keyring_backend);
        let keyring = Keyring::open(home.path(), backend, ask)?;
        Ok(keyring.with_prefix(settings.address_prefix(home)?))
    }
}
