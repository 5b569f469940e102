//! Keys on disk.

mod passphrase;

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{Key, Mnemonic};

pub use passphrase::{Passphrase, Purpose, ask};

/// Human-readable part of the addresses that a keyring shows.
pub const ADDRESS_PREFIX: &str = "poq";

/// What went wrong with keys on disk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No such key.
    #[error("there is no key `{name}` in {folder}; list the keys with `poqd keys list`", folder = folder.display())]
    NotFound {
        /// As asked for.
        name: String,
        /// The keyring.
        folder: PathBuf,
    },
    /// The name is taken.
    #[error("there is a key `{name}` in {folder} already; choose another name or delete it first", folder = folder.display())]
    Exists {
        /// As given.
        name: String,
        /// The keyring.
        folder: PathBuf,
    },
    /// Not usable as a name.
    #[error(
        "`{0}` is not a key name; expected 1 to 64 of A-Z a-z 0-9 - _ . that do not start with a dot"
    )]
    Name(String),
    /// Not the keyring's passphrase.
    #[error("wrong passphrase for the keyring {folder}", folder = folder.display())]
    WrongPassphrase {
        /// The keyring.
        folder: PathBuf,
    },
    /// No usable passphrase was given.
    #[error("no passphrase: {0}")]
    Passphrase(String),
    /// A file of the keyring was damaged or tampered with.
    #[error("{path} is damaged: {reason}; restore it from a backup, or delete it and recover the key from its mnemonic", path = path.display())]
    Corrupted {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// How keys are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Plain files that only their owner can read: for test networks.
    Test,
    /// Encrypted with a passphrase.
    File,
}

impl FromStr for Backend {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "test" => Ok(Self::Test),
            "file" => Ok(Self::File),
            _ => Err(format!(
                "`{text}` is not a keyring backend; expected `test` or `file`"
            )),
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Test => "test",
            Self::File => "file",
        })
    }
}

/// The public part of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct KeyInfo {
    /// Its name in the keyring.
    pub name: String,
    /// Bech32 with [`ADDRESS_PREFIX`].
    pub address: String,
    /// Compressed secp256k1 key, 33 bytes; hex in JSON.
    #[serde(serialize_with = "crate::types::as_hex")]
    pub public_key: Vec<u8>,
}

/// The keys in `keyring-test/` or `keyring-file/` of a home.
pub struct Keyring {
    folder: PathBuf,
}

impl Keyring {
    /// The keyring of a home; its folder is created with the first key. `passphrase` is asked
    /// at most once, when a secret of the `file` backend is first needed: see [`ask`].
    pub fn open(
        home: &Path,
        backend: Backend,
        passphrase: impl Fn(Purpose) -> crate::Result<Passphrase> + Send + Sync + 'static,
    ) -> crate::Result<Self> {
        let _ = passphrase;
        Ok(Self {
            folder: home.join(format!("keyring-{backend}")),
        })
    }

    /// Makes a new key. Show the mnemonic to the user: it is kept nowhere.
    pub fn add(&self, name: &str) -> crate::Result<(KeyInfo, Mnemonic)> {
        let mnemonic = Mnemonic::random();
        Ok((self.recover(name, &mnemonic)?, mnemonic))
    }

    /// Adds the key of a mnemonic.
    pub fn recover(&self, name: &str, mnemonic: &Mnemonic) -> crate::Result<KeyInfo> {
        let _ = (name, mnemonic, &self.folder);
        todo!()
    }

    /// All keys in the order of their names; needs no passphrase.
    pub fn list(&self) -> crate::Result<Vec<KeyInfo>> {
        todo!()
    }

    /// One key's public part; needs no passphrase.
    pub fn show(&self, name: &str) -> crate::Result<KeyInfo> {
        let _ = name;
        todo!()
    }

    /// Deletes a key for good.
    pub fn delete(&self, name: &str) -> crate::Result<()> {
        let _ = name;
        todo!()
    }

    /// The key itself, for signing.
    pub fn key(&self, name: &str) -> crate::Result<Key> {
        let _ = name;
        todo!()
    }
}
