//! Keys on disk.

mod export;
mod passphrase;
mod record;
#[cfg(test)]
mod tests;
mod vault;

use std::fmt;
use std::fs::{self, DirBuilder};
use std::io::ErrorKind;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::OnceLock;

use serde::{Deserialize, Serialize};
use tracing::warn;
use zeroize::Zeroizing;

use self::record::{Record, Secret, SecretKey};
use self::vault::Vault;
use crate::key::{COMPRESSED, address_of};
use crate::{Key, Mnemonic, Multisig, durable};

pub use export::{export, import};
pub use passphrase::{EXPORT_VARIABLE, PASSPHRASE_VARIABLE, Passphrase, Purpose, ask};

/// Format version of a keyring's files.
const VERSION: u32 = 1;

/// Default bech32 prefix of the addresses that a keyring shows.
pub const ADDRESS_PREFIX: &str = "poq";

/// Keyring errors.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no key with this name.
    #[error("there is no key `{name}` in {folder}; list the keys with `poqd keys list`", folder = folder.display())]
    NotFound {
        /// The requested name.
        name: String,
        /// The keyring's folder.
        folder: PathBuf,
    },
    /// The name is taken.
    #[error("the key `{name}` already exists in {folder}; choose another name or delete it first", folder = folder.display())]
    Exists {
        /// The name as given.
        name: String,
        /// The keyring's folder.
        folder: PathBuf,
    },
    /// The text is not a valid key name.
    #[error(
        "`{0}` is not a key name; expected 1 to 64 of A-Z a-z 0-9 - _ . that do not start with a dot"
    )]
    Name(String),
    /// The passphrase is wrong.
    #[error("wrong passphrase for the keyring {folder}", folder = folder.display())]
    WrongPassphrase {
        /// The keyring's folder.
        folder: PathBuf,
    },
    /// The keyring has only the public key.
    #[error("the secret of `{name}` is not in this keyring{hint}")]
    NoSecret {
        /// The requested name.
        name: String,
        /// Advice for a multisignature key.
        hint: &'static str,
    },
    /// No usable passphrase was given.
    #[error("no passphrase: {0}")]
    Passphrase(String),
    /// An exported key is not usable.
    #[error("the exported key cannot be used: {0}")]
    Import(String),
    /// A keyring file is damaged or was tampered with.
    #[error("{path} is damaged: {reason}; restore it from a backup, or delete it and recover the key from its mnemonic", path = path.display())]
    Corrupted {
        /// The file's path.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

/// How keys are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Backend {
    /// Plain files that only their owner can read; for test networks.
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
    /// Bech32 with the keyring's prefix.
    pub address: String,
    /// The public key as stored in an account: a compressed secp256k1 key of 33 bytes, or the
    /// encoding of a [`Multisig`]; hex in JSON.
    #[serde(serialize_with = "crate::types::as_hex")]
    pub public_key: Vec<u8>,
    /// For a multisignature key, the number of its keys that must sign.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<u32>,
}

type AskPassphrase = dyn Fn(Purpose) -> crate::Result<Passphrase> + Send + Sync;

/// The keys in `keyring-test/` or `keyring-file/` of a home, one file `NAME.key` each.
pub struct Keyring {
    folder: PathBuf,
    backend: Backend,
    passphrase: Box<AskPassphrase>,
    vault: OnceLock<Vault>,
    prefix: String,
}

impl Keyring {
    /// The keyring of a home; its folder is created with the first key. `passphrase` is called at
    /// most once, when a secret of the `file` backend is first needed: see [`ask`].
    pub fn open(
        home: &Path,
        backend: Backend,
        passphrase: impl Fn(Purpose) -> crate::Result<Passphrase> + Send + Sync + 'static,
    ) -> crate::Result<Self> {
        let folder = home.join(format!("keyring-{backend}"));
        if folder.exists() && !folder.is_dir() {
            return Err(crate::Error::file(
                "read",
                &folder,
                ErrorKind::NotADirectory.into(),
            ));
        }
        Ok(Self {
            folder,
            backend,
            passphrase: Box::new(passphrase),
            vault: OnceLock::new(),
            prefix: ADDRESS_PREFIX.into(),
        })
    }

    /// Shows addresses with a chain's bech32 prefix.
    #[must_use]
    pub fn with_prefix(mut self, prefix: impl Into<String>) -> Self {
        self.prefix = prefix.into();
        self
    }

    /// Creates a key. Show the mnemonic to the user: it is not stored.
    pub fn add(&self, name: &str) -> crate::Result<(KeyInfo, Mnemonic)> {
        let mnemonic = Mnemonic::random();
        Ok((self.recover(name, &mnemonic)?, mnemonic))
    }

    /// Adds the key of `mnemonic` if there is one; otherwise returns the key with this name or adds
    /// a new one. A new key's mnemonic is returned: show it to the user, it is not stored.
    pub fn ensure(
        &self,
        name: &str,
        mnemonic: Option<&Mnemonic>,
    ) -> crate::Result<(KeyInfo, Option<Mnemonic>)> {
        if let Some(mnemonic) = mnemonic {
            return Ok((self.recover(name, mnemonic)?, None));
        }
        match self.show(name) {
            Ok(key) => Ok((key, None)),
            Err(crate::Error::Keyring(Error::NotFound { .. })) => {
                let (key, mnemonic) = self.add(name)?;
                Ok((key, Some(mnemonic)))
            }
            Err(error) => Err(error),
        }
    }

    /// Adds the first key of a mnemonic.
    pub fn recover(&self, name: &str, mnemonic: &Mnemonic) -> crate::Result<KeyInfo> {
        self.insert(name, &Key::from_mnemonic(mnemonic)?)
    }

    /// Adds a key.
    pub fn insert(&self, name: &str, key: &Key) -> crate::Result<KeyInfo> {
        self.create(name, || self.record(name, key))
    }

    /// Adds a key without its secret: another person's, or the encoding of a [`Multisig`].
    pub fn insert_public(&self, name: &str, public_key: &[u8]) -> crate::Result<KeyInfo> {
        address_of(public_key, &self.prefix)?;
        self.create(name, || {
            Ok(Record {
                version: VERSION,
                name: name.into(),
                public_key: public_key.to_vec(),
                secret: Secret::None,
            })
        })
    }

    fn create(
        &self,
        name: &str,
        record: impl FnOnce() -> crate::Result<Record>,
    ) -> crate::Result<KeyInfo> {
        let path = self.path(name)?;
        let exists = || Error::Exists {
            name: name.into(),
            folder: self.folder.clone(),
        };
        // Checked before the passphrase is asked for; `create` below is authoritative.
        if path.exists() {
            return Err(exists().into());
        }
        DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&self.folder)
            .map_err(|source| crate::Error::file("create", &self.folder, source))?;
        let record = record()?;
        let json = record
            .encode()
            .map_err(|error| crate::Error::Key(error.to_string()))?;
        match durable::create(&path, &json) {
            Err(crate::Error::File { source, .. }) if source.kind() == ErrorKind::AlreadyExists => {
                Err(exists().into())
            }
            result => result.and_then(|()| self.info(&record)),
        }
    }

    /// All keys in order of name; needs no passphrase. An unusable file only causes a warning, so
    /// that it does not hide the others.
    pub fn list(&self) -> crate::Result<Vec<KeyInfo>> {
        let unreadable = |source| crate::Error::file("read", &self.folder, source);
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.map_err(unreadable)?,
        };
        let mut names = Vec::new();
        for entry in entries {
            let file = entry.map_err(unreadable)?.file_name();
            names.extend(file.to_str().and_then(key_name).map(str::to_owned));
        }
        names.sort_unstable();
        let readable = |name: &String| {
            let unusable = |error| warn!("skipping the key `{name}`: {error}");
            self.show(name).map_err(unusable).ok()
        };
        Ok(names.iter().filter_map(readable).collect())
    }

    /// One key's public part; needs no passphrase.
    pub fn show(&self, name: &str) -> crate::Result<KeyInfo> {
        self.info(&self.read(name)?.1)
    }

    /// Deletes a key for good.
    pub fn delete(&self, name: &str) -> crate::Result<()> {
        let path = self.path(name)?;
        if !path.exists() {
            return Err(self.not_found(name));
        }
        durable::remove(&path)
    }

    /// The key with its secret, for signing.
    pub fn key(&self, name: &str) -> crate::Result<Key> {
        let (path, record) = self.read(name)?;
        let key = match &record.secret {
            Secret::Plain(secret) => Key::from_bytes(secret.0.as_slice()),
            Secret::Sealed(sealed) => self
                .vault()?
                .open(sealed, &context(name, &record.public_key))
                .ok_or_else(|| corrupted(&path, "its secret was changed".into()))
                .and_then(|secret| Key::from_bytes(&secret)),
            Secret::None => {
                let hint = match multisig(&record.public_key)? {
                    Some(_) => {
                        ": each key of a multisignature key signs with `poqd tx sign --multisig`, then `poqd tx multisign` joins the signatures"
                    }
                    None => "; sign where it is",
                };
                let name = name.into();
                return Err(Error::NoSecret { name, hint }.into());
            }
        }?;
        if key.public_key() != record.public_key {
            return Err(corrupted(
                &path,
                "its secret and public key do not match".into(),
            ));
        }
        Ok(key)
    }

    fn record(&self, name: &str, key: &Key) -> crate::Result<Record> {
        let secret: Zeroizing<[u8; 32]> = key.to_bytes();
        let public_key = key.public_key();
        let secret = match self.backend {
            Backend::Test => Secret::Plain(SecretKey(secret)),
            Backend::File => {
                let context = context(name, &public_key);
                Secret::Sealed(self.vault()?.seal(secret.as_slice(), &context)?)
            }
        };
        Ok(Record {
            version: VERSION,
            name: name.into(),
            public_key,
            secret,
        })
    }

    fn read(&self, name: &str) -> crate::Result<(PathBuf, Record)> {
        let path = self.path(name)?;
        let json = match fs::read(&path) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Err(self.not_found(name)),
            json => {
                Zeroizing::new(json.map_err(|source| crate::Error::file("read", &path, source))?)
            }
        };
        let record = Record::decode(&json, name).map_err(|reason| corrupted(&path, reason))?;
        Ok((path, record))
    }

    /// The keyring's encryption; asks for the passphrase the first time.
    fn vault(&self) -> crate::Result<&Vault> {
        if let Some(vault) = self.vault.get() {
            return Ok(vault);
        }
        let path = self.folder.join("keyring.json");
        let vault = if path.exists() {
            Vault::unlock(&path, &(self.passphrase)(Purpose::Unlock)?)?
        } else {
            Vault::create(&path, &(self.passphrase)(Purpose::Create)?)?
        };
        Ok(self.vault.get_or_init(|| vault))
    }

    fn path(&self, name: &str) -> crate::Result<PathBuf> {
        if !is_name(name) {
            return Err(Error::Name(name.into()).into());
        }
        Ok(self.folder.join(format!("{name}{EXTENSION}")))
    }

    fn not_found(&self, name: &str) -> crate::Error {
        Error::NotFound {
            name: name.into(),
            folder: self.folder.clone(),
        }
        .into()
    }

    fn info(&self, record: &Record) -> crate::Result<KeyInfo> {
        Ok(KeyInfo {
            name: record.name.clone(),
            address: address_of(&record.public_key, &self.prefix)?,
            public_key: record.public_key.clone(),
            threshold: multisig(&record.public_key)?.map(|key| key.threshold()),
        })
    }
}

/// Extension of a key's file.
const EXTENSION: &str = ".key";
/// Longest name in bytes.
const NAME_BYTES: usize = 64;

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    (1..=NAME_BYTES).contains(&name.len()) && !name.starts_with('.') && name.bytes().all(allowed)
}

/// The key's name, if `file` is the name of a key file.
fn key_name(file: &str) -> Option<&str> {
    file.strip_suffix(EXTENSION).filter(|name| is_name(name))
}

/// Binds an encrypted secret to its file.
fn context(name: &str, public_key: &[u8]) -> Vec<u8> {
    [b"poq/keyring/v1/key/", name.as_bytes(), b"/", public_key].concat()
}

/// The multisignature key that a public key encodes, or `None` for a single key.
fn multisig(public_key: &[u8]) -> crate::Result<Option<Multisig>> {
    match public_key.len() {
        COMPRESSED => Ok(None),
        _ => Multisig::decode(public_key).map(Some),
    }
}

fn corrupted(path: &Path, reason: String) -> crate::Error {
    Error::Corrupted {
        path: path.to_owned(),
        reason,
    }
    .into()
}
