use poq_client::Client;
use poq_client::keyring::Backend;
use poq_client::tx::adjusted;
use serde::{Deserialize, Serialize};

use super::{Error, load, quoted};
use crate::home::Home;
use crate::output::Format;

/// `client.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct ClientSettings {
    /// The chain that transactions are for; empty is the node's.
    pub chain_id: String,
    /// RPC address of the node.
    pub node: String,
    /// Where keys are kept.
    pub keyring_backend: Backend,
    /// How results are printed.
    pub output: Format,
    /// Gas limit over simulated gas, at least 1.
    pub gas_adjustment: f64,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            chain_id: String::new(),
            node: "http://127.0.0.1:26657".into(),
            keyring_backend: Backend::File,
            output: Format::Text,
            gas_adjustment: 1.3,
        }
    }
}

impl ClientSettings {
    /// Reads `client.toml`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn load(home: &Home) -> Result<Self, Error> {
        load(&home.client_toml())
    }

    /// Checks what the form of the file does not.
    ///
    /// # Errors
    /// Says which setting is wrong.
    pub fn validate(&self) -> poq_client::Result<()> {
        // Whatever the gas: only the factor can be wrong.
        adjusted(0, self.gas_adjustment)?;
        Client::new(&self.node)?;
        Ok(())
    }

    /// The file's text, with every option explained.
    pub fn to_toml(&self) -> String {
        format!(
            r#"# Defaults of the commands that talk to a node: keys, status, tx, query. Flags of the same names
# go first.

# Id of the chain that transactions are for; the node must be on it. Empty takes the node's word.
chain-id = {chain_id}

# RPC address of the node: http://, https:// or tcp://.
node = {node}

# Where keys are kept: "file" (encrypted with a passphrase, which is asked for or read from
# POQ_KEYRING_PASSPHRASE) or "test" (plain, for test networks).
keyring-backend = {keyring_backend}

# How results are printed: "text" or "json".
output = {output}

# Gas limit of `--gas auto` over the simulated gas, at least 1.
gas-adjustment = {gas_adjustment:?}
"#,
            chain_id = quoted(&self.chain_id),
            node = quoted(&self.node),
            keyring_backend = quoted(self.keyring_backend),
            output = quoted(self.output),
            gas_adjustment = self.gas_adjustment,
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_every_setting() {
        let settings = ClientSettings {
            chain_id: "poq-local-1".into(),
            node: "tcp://host:1".into(),
            keyring_backend: Backend::Test,
            output: Format::Json,
            gas_adjustment: 2.0,
        };
        for settings in [settings, ClientSettings::default()] {
            let read: ClientSettings = toml::from_str(&settings.to_toml()).unwrap();
            assert_eq!(read, settings);
        }
    }
}
