use std::fmt;

use poq_client::keyring::{ADDRESS_PREFIX, Backend};
use poq_client::tx::adjusted;
use poq_client::{Client, Key};
use poq_worker::ChainConfig;
use serde::{Deserialize, Serialize};

use super::{Error, load, quoted};
use crate::home::Home;
use crate::home::genesis;

/// The format of results.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Format {
    /// Indented text.
    #[default]
    Text,
    /// A JSON document.
    Json,
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Json => "json",
        })
    }
}

/// `client.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct ClientSettings {
    /// Chain of the transactions; empty means the node's.
    pub chain_id: String,
    /// RPC address of the node.
    pub node: String,
    /// Backend of the keyring.
    pub keyring_backend: Backend,
    /// Address prefix of keys; empty means that of the home's genesis.
    pub bech32_prefix: String,
    /// Format of results.
    pub output: Format,
    /// Factor from simulated gas to the gas limit, at least 1.
    pub gas_adjustment: f64,
}

/// The part of a worker's `config.toml` that this program uses.
#[derive(Default, Deserialize)]
struct WorkerSettings {
    chain: Option<ChainConfig>,
}

impl Default for ClientSettings {
    fn default() -> Self {
        Self {
            chain_id: String::new(),
            node: "http://127.0.0.1:26657".into(),
            keyring_backend: Backend::File,
            bech32_prefix: String::new(),
            output: Format::Text,
            gas_adjustment: 1.3,
        }
    }
}

impl ClientSettings {
    /// Reads `client.toml`. A worker's home has none: its `config.toml` has the operator's chain, node
    /// and keyring.
    ///
    /// # Errors
    /// See [`Error`].
    pub(crate) fn load(home: &Home) -> Result<Self, Error> {
        let of_worker = home.worker_toml();
        if home.client_toml().is_file() || !of_worker.is_file() {
            return load(&home.client_toml());
        }
        let WorkerSettings { chain } = load(&of_worker)?;
        Ok(chain.map_or_else(Self::default, |chain| Self {
            chain_id: chain.id,
            node: chain.node,
            keyring_backend: chain.keyring,
            ..Self::default()
        }))
    }

    /// The address prefix of the home's keys: as set, else as in its genesis.
    ///
    /// # Errors
    /// If the genesis cannot be read.
    pub(crate) fn address_prefix(&self, home: &Home) -> Result<String, genesis::Error> {
        if !self.bech32_prefix.is_empty() {
            return Ok(self.bech32_prefix.clone());
        }
        let of_genesis = match home.genesis().is_file() {
            true => genesis::read_address_prefix(&home.genesis())?,
            false => None,
        };
        Ok(of_genesis.unwrap_or_else(|| ADDRESS_PREFIX.into()))
    }

    /// Checks the values beyond their types.
    ///
    /// # Errors
    /// Names the wrong setting.
    pub(crate) fn validate(&self) -> poq_client::Result<()> {
        // Only the factor can be wrong here, not the gas.
        adjusted(0, self.gas_adjustment)?;
        Client::new(&self.node)?;
        if !self.bech32_prefix.is_empty() {
            // Any address shows whether the prefix is valid.
            Key::from_bytes(&[1; 32])?.address(&self.bech32_prefix)?;
        }
        Ok(())
    }

    /// The file's text, with a comment for every option.
    pub(crate) fn to_toml(&self) -> String {
        format!(
            r#"# Defaults of the commands that connect to a node: keys, status, tx, query. Flags of the same
# names override them.

# Chain id of transactions; the node must be on this chain. Empty means the chain of the node.
chain-id = {chain_id}

# RPC address of the node: http://, https:// or tcp://.
node = {node}

# Backend of the keyring: "file" (encrypted with a passphrase, which is prompted for or read from
# POQ_KEYRING_PASSPHRASE) or "test" (unencrypted, for test networks).
keyring-backend = {keyring_backend}

# Address prefix for `keys` and --from. Empty means that of the genesis of this home, else "poq".
bech32-prefix = {bech32_prefix}

# Format of results: "text" or "json".
output = {output}

# Factor from simulated gas to the gas limit of `--gas auto`, at least 1.
gas-adjustment = {gas_adjustment:?}
"#,
            chain_id = quoted(&self.chain_id),
            node = quoted(&self.node),
            keyring_backend = quoted(self.keyring_backend),
            bech32_prefix = quoted(&self.bech32_prefix),
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
            bech32_prefix: "other".into(),
            output: Format::Json,
            gas_adjustment: 2.0,
        };
        for settings in [settings, ClientSettings::default()] {
            let read: ClientSettings = toml::from_str(&settings.to_toml()).unwrap();
            assert_eq!(read, settings);
        }
    }

    #[test]
    fn addresses_begin_as_set_or_as_in_the_genesis() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let prefix = |set: &str| {
            let settings = ClientSettings {
                bech32_prefix: set.into(),
                ..ClientSettings::default()
            };
            settings.address_prefix(&home)
        };
        assert_eq!(prefix("").unwrap(), "poq");
        std::fs::create_dir(home.config()).unwrap();
        let genesis = "{\"app_state\": {\"params\": {\"bech32_prefix\": \"of\"}}, \"x\": 1}";
        std::fs::write(home.genesis(), genesis).unwrap();
        assert_eq!(prefix("").unwrap(), "of");
        assert_eq!(prefix("set").unwrap(), "set");
        std::fs::write(home.genesis(), "{").unwrap();
        assert!(prefix("").is_err());
        let wrong: ClientSettings = toml::from_str("bech32-prefix = \"A b\"").unwrap();
        assert!(wrong.validate().is_err());
    }

    #[test]
    fn the_home_of_a_worker_says_how_its_operator_reaches_the_chain() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let text = "[chain]\nid = \"poq-local-1\"\nnode = \"http://127.0.0.1:5\"\nkey = \"e\"\n\
            keyring = \"test\"\n[scoring]\nthreads = 2\n";
        std::fs::write(home.worker_toml(), text).unwrap();
        let settings = ClientSettings::load(&home).unwrap();
        assert_eq!(settings.chain_id, "poq-local-1");
        assert_eq!(settings.node, "http://127.0.0.1:5");
        assert_eq!(settings.keyring_backend, Backend::Test);
        std::fs::write(home.worker_toml(), "[chain]\nid = 7\n").unwrap();
        let error = ClientSettings::load(&home).unwrap_err().to_string();
        assert!(error.contains("config.toml"), "{error}");
        // A client.toml overrides it.
        std::fs::create_dir(home.config()).unwrap();
        std::fs::write(home.client_toml(), "").unwrap();
        let settings = ClientSettings::load(&home).unwrap();
        assert_eq!(settings, ClientSettings::default());
    }
}
