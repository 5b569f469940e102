//! A worker's home folder: its settings, keys and data.

use std::fs::{self, File, TryLockError};
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde::de::DeserializeOwned;

use poq_client::Error as ClientError;
use poq_client::Key;
use poq_client::keyring::{Backend, Keyring, ask};

use crate::{Error, Result};

/// The table `[chain]` of a worker's `config.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChainConfig {
    /// The chain's id; the node must be on this chain.
    pub id: String,
    /// The node's RPC address.
    pub node: String,
    /// Name of the operator's key.
    pub key: String,
    /// `test` or `file`.
    pub keyring: Backend,
    /// Pause between two polls for new blocks, in milliseconds; while the node's WebSocket works,
    /// new blocks are noticed at once.
    #[serde(default = "default_poll_interval_ms")]
    pub poll_interval_ms: u64,
    /// Whether to unjail the node automatically once its jail time is over.
    #[serde(default)]
    pub auto_unjail: bool,
}

fn default_poll_interval_ms() -> u64 {
    1000
}

impl Default for ChainConfig {
    fn default() -> Self {
        Self {
            id: String::new(),
            node: String::new(),
            key: String::new(),
            keyring: Backend::File,
            poll_interval_ms: default_poll_interval_ms(),
            auto_unjail: false,
        }
    }
}

impl ChainConfig {
    /// The table with comments on every setting, for a new `config.toml`.
    pub fn to_toml(&self) -> String {
        const TEMPLATE: &str = include_str!("chain.toml");
        let values = [
            ("{id}", &self.id),
            ("{node}", &self.node),
            ("{key}", &self.key),
            ("{keyring}", &self.keyring.to_string()),
        ];
        fill(TEMPLATE, &values.map(|(name, value)| (name, quoted(value))))
    }
}

/// Quotes a text as a TOML string.
pub fn quoted(text: &str) -> String {
    toml::Value::from(text).to_string()
}

/// Replaces the names in a template by these values.
pub fn fill(template: &str, values: &[(&str, String)]) -> String {
    let fill = |text: String, (name, value): &(&str, String)| text.replace(name, value);
    values.iter().fold(template.to_owned(), fill)
}

/// The default home of a worker: the folder of this name in the user's home.
pub fn default_home(name: &str) -> PathBuf {
    std::env::home_dir().unwrap_or_default().join(name)
}

/// A worker's home: `config.toml`, `keyring-test` or `keyring-file`, and `data/`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WorkerHome {
    path: PathBuf,
}

impl WorkerHome {
    /// The home at `path`, which must have a `config.toml`; creates `data/`.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self> {
        let home = Self { path: path.into() };
        let config = home.config_path();
        if !config.is_file() {
            let reason = "it has no config.toml, so it is not a worker's home; check --home".into();
            return Err(ClientError::InvalidFile {
                path: home.path,
                reason,
            }
            .into());
        }
        let data = home.data();
        fs::create_dir_all(&data).map_err(|source| ClientError::file("create", &data, source))?;
        Ok(home)
    }

    /// The home itself.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The folder of the worker's cursor, journal and other files.
    pub fn data(&self) -> PathBuf {
        self.path.join("data")
    }

    /// The folder of the worker's journal.
    pub fn journal(&self) -> PathBuf {
        self.data().join("journal")
    }

    /// Reads `config.toml`. `C` has a field `chain: ChainConfig` and the worker's own settings.
    pub fn config<C: DeserializeOwned>(&self) -> Result<C> {
        let path = self.config_path();
        let text =
            fs::read_to_string(&path).map_err(|source| ClientError::file("read", &path, source))?;
        toml::from_str(&text).map_err(|error| self.invalid(&error.to_string()))
    }

    /// The operator's key; may prompt for the passphrase.
    pub fn key(&self, chain: &ChainConfig) -> Result<Key> {
        Ok(self.keyring(chain)?.key(&chain.key)?)
    }

    /// The operator's address with the chain's prefix; needs no passphrase.
    pub fn operator(&self, chain: &ChainConfig, prefix: &str) -> Result<String> {
        let keyring = self.keyring(chain)?.with_prefix(prefix);
        Ok(keyring.show(&chain.key)?.address)
    }

    /// Keeps other processes out of this home until the lock is dropped: two would use the same
    /// sequences and write the same files.
    ///
    /// # Errors
    /// [`Error::Locked`] if another process has it.
    pub fn lock(&self) -> Result<HomeLock> {
        let path = self.data().join("lock");
        let file =
            File::create(&path).map_err(|source| ClientError::file("create", &path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(HomeLock { _file: file }),
            Err(TryLockError::WouldBlock) => Err(Error::Locked {
                path: self.path.clone(),
            }),
            Err(TryLockError::Error(source)) => {
                Err(ClientError::file("lock", &path, source).into())
            }
        }
    }

    /// The error for an unusable `config.toml`.
    pub fn invalid(&self, reason: &str) -> Error {
        let (path, reason) = (self.config_path(), reason.to_owned());
        ClientError::InvalidFile { path, reason }.into()
    }

    fn keyring(&self, chain: &ChainConfig) -> Result<Keyring> {
        Ok(Keyring::open(&self.path, chain.keyring, ask)?)
    }

    fn config_path(&self) -> PathBuf {
        self.path.join("config.toml")
    }
}

/// The lock on a home; see [`WorkerHome::lock`]. The operating system releases it when the process
/// ends, however it ends.
#[derive(Debug)]
pub struct HomeLock {
    _file: File,
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    #[derive(Debug, Deserialize)]
    pub(crate) struct Config {
        pub chain: ChainConfig,
        threads: u32,
    }

    pub(crate) fn home(config: &str) -> (tempfile::TempDir, WorkerHome) {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("config.toml"), config).unwrap();
        let home = WorkerHome::open(folder.path()).unwrap();
        (folder, home)
    }

    pub(crate) const CONFIG: &str = "threads = 2\n[chain]\nid = \"poq-local-1\"\nnode = \
        \"http://127.0.0.1:26657\"\nkey = \"evaluator-0\"\nkeyring = \"test\"\n";

    #[test]
    fn reads_the_settings() {
        let (folder, home) = home(CONFIG);
        let config: Config = home.config().unwrap();
        assert_eq!(config.threads, 2);
        assert_eq!(config.chain.keyring, Backend::Test);
        assert_eq!(config.chain.poll_interval_ms, 1000);
        assert!(!config.chain.auto_unjail);
        assert!(folder.path().join("data").is_dir());
    }

    #[test]
    fn wrong_settings_name_the_file_and_the_line() {
        for wrong in [
            CONFIG.replace("\"test\"", "\"os\""),
            CONFIG.replace("node =", "nod ="),
            format!("{CONFIG}[["),
        ] {
            let (folder, home) = home(&wrong);
            let error = home.config::<Config>().unwrap_err();
            assert!(matches!(
                &error,
                Error::Client(ClientError::InvalidFile { path, .. }) if *path == folder.path().join("config.toml")
            ));
            assert!(error.to_string().contains("line"), "{error}");
        }
    }

    #[test]
    fn an_empty_folder_is_no_home() {
        let folder = tempfile::tempdir().unwrap();
        let error = WorkerHome::open(folder.path()).unwrap_err();
        assert!(error.to_string().contains("config.toml"), "{error}");
    }

    #[test]
    fn a_home_is_for_one_process() {
        let (folder, home) = home(CONFIG);
        let first = home.lock().unwrap();
        let error = home.lock().unwrap_err();
        assert!(
            matches!(&error, Error::Locked { path } if path == folder.path()),
            "{error}"
        );
        drop(first);
        home.lock().unwrap();
    }
}
