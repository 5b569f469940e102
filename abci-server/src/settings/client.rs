use poq_client::keyring::{ADDRESS_PREFIX, Backend};
use poq_client::tx::adjusted;
use poq_client::{Client, Key};
use poq_worker::ChainConfig;
use serde::{Deserialize, Serialize};

use super::{Error, load, quoted};
use crate::genesis;
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
    /// What addresses of keys begin with; empty is as in the home's genesis.
    pub bech32_prefix: String,
    /// How results are printed.
    pub output: Format,
    /// Gas limit over simulated gas, at least 1.
    pub gas_adjustment: f64,
}

/// What of a worker's `config.toml` this program uses.
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
    /// Reads `client.toml`. The home of a worker has none: its own settings say which chain, node and
    /// keys are the operator's.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn load(home: &Home) -> Result<Self, Error> {
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

    /// What the addresses of the home's keys begin with: as set, else as in its genesis.
    ///
    /// # Errors
    /// A genesis that cannot be read.
    pub fn address_prefix(&self, home: &Home) -> Result<String, genesis::Error> {
        if !self.bech32_prefix.is_empty() {
            return Ok(self.bech32_prefix.clone());
        }
        let of_genesis = match home.genesis().is_file() {
            true => genesis::read_address_prefix(&home.genesis())?,
            false => None,
        };
        Ok(of_genesis.unwrap_or_else(|| ADDRESS_PREFIX.into()))
    }

    /// Checks what the form of the file does not.
    ///
    /// # Errors
    /// Says which setting is wrong.
    pub fn validate(&self) -> poq_client::Result<()> {
        // Whatever the gas: only the factor can be wrong.
        adjusted(0, self.gas_adjustment)?;
        Client::new(&self.node)?;
        if !self.bech32_prefix.is_empty() {
            // Any bytes show whether it can be one.
            Key::from_bytes(&[1; 32])?.address(&self.bech32_prefix)?;
        }
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

# What the addresses of keys begin with, for `keys` and --from. Empty: as in the genesis of this home,
# else "poq".
bech32-prefix = {bech32_prefix}

# How results are printed: "text" or "json".
output = {output}

# Gas limit of `--gas auto` over the simulated gas, at least 1.
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
        // A client.toml goes first.
        std::fs::create_dir(home.config()).unwrap();
        std::fs::write(home.client_toml(), "").unwrap();
        let settings = ClientSettings::load(&home).unwrap();
        assert_eq!(settings, ClientSettings::default());
    }
}
