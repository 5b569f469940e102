//! The node's VRF keys, with which its validator's VRF outputs are computed.

use std::fs::{self, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use poq_app::modules::beacon::{KEY_BYTES, Secret, Secrets};
use rand::RngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

/// The reason why a file of VRF keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It cannot be read or written.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    File {
        /// "read" or "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Its cause.
        source: std::io::Error,
    },
    /// It is malformed.
    #[error("{path} is not valid: {reason}; restore it from a backup", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The position and the cause.
        reason: String,
    },
    /// The operating system returns no random numbers.
    #[error("the operating system returns no random numbers: {0}")]
    Random(rand::Error),
}

/// The file, oldest key first.
#[derive(Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct KeyFile {
    keys: Vec<KeyPair>,
}

/// One key. The public part is informational.
#[derive(Serialize, Deserialize, Zeroize, ZeroizeOnDrop)]
#[serde(deny_unknown_fields)]
struct KeyPair {
    /// Base64.
    public_key: String,
    /// 32 random bytes, base64.
    seed: String,
}

/// The keys of a home, in `config/priv_vrf_key.json`.
pub(crate) struct VrfKeys {
    path: PathBuf,
    file: KeyFile,
    secrets: Vec<Secret>,
}

impl VrfKeys {
    /// Reads the keys. A missing file has no keys.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Invalid`].
    pub(crate) fn read(path: PathBuf) -> Result<Self, Error> {
        let file = match fs::read(&path).map(Zeroizing::new) {
            Ok(json) => parse(&path, &json)?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => KeyFile::default(),
            Err(source) => return Err(failed("read", &path, source)),
        };
        let secrets = file
            .keys
            .iter()
            .map(|key| secret(&path, key))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            path,
            file,
            secrets,
        })
    }

    /// Reads the keys, and creates the first one if there is none.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) fn read_or_create(path: PathBuf) -> Result<Self, Error> {
        let mut keys = Self::read(path)?;
        if keys.secrets.is_empty() {
            keys.add()?;
        }
        Ok(keys)
    }

    /// Creates a key, rewrites the file, and returns the public key.
    ///
    /// # Errors
    /// [`Error::Random`], [`Error::File`].
    pub(crate) fn add(&mut self) -> Result<[u8; KEY_BYTES], Error> {
        let mut seed = Zeroizing::new([0; KEY_BYTES]);
        OsRng.try_fill_bytes(&mut *seed).map_err(Error::Random)?;
        let key = KeyPair {
            public_key: String::new(),
            seed: BASE64.encode(*seed),
        };
        let secret = secret(&self.path, &key)?;
        let public_key = secret.public_key();
        let mut key = key;
        key.public_key = BASE64.encode(public_key);
        self.file.keys.push(key);
        self.secrets.push(secret);
        self.write()
            .map_err(|source| failed("write", &self.path, source))?;
        Ok(public_key)
    }

    /// The public keys, oldest first.
    pub(crate) fn public_keys(&self) -> Vec<[u8; KEY_BYTES]> {
        self.secrets.iter().map(Secret::public_key).collect()
    }

    /// Path of the file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// The secrets with which the application computes VRF outputs.
    pub(crate) fn into_secrets(self) -> Secrets {
        Secrets::new(self.secrets)
    }

    /// Replaces the file atomically. Only its owner may read it.
    fn write(&self) -> std::io::Result<()> {
        let json = Zeroizing::new(serde_json::to_vec_pretty(&self.file)?);
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o600))
            .tempfile_in(folder)?;
        file.write_all(&json)?;
        file.as_file().sync_all()?;
        file.persist(&self.path)?;
        Ok(())
    }
}

fn parse(path: &Path, json: &[u8]) -> Result<KeyFile, Error> {
    serde_json::from_slice(json).map_err(|error| invalid(path, error.to_string()))
}

/// The secret of an entry, after checking that its public key matches.
fn secret(path: &Path, key: &KeyPair) -> Result<Secret, Error> {
    let seed = Zeroizing::new(BASE64.decode(&key.seed).unwrap_or_default());
    let Some(secret) = Secret::from_seed(&seed) else {
        return Err(invalid(path, "a seed is not 32 bytes in base64".into()));
    };
    let public_key = BASE64.encode(secret.public_key());
    if !key.public_key.is_empty() && key.public_key != public_key {
        let reason = format!(
            "the seed of the public key {} belongs to {public_key}",
            key.public_key
        );
        return Err(invalid(path, reason));
    }
    Ok(secret)
}

fn failed(action: &'static str, path: &Path, source: std::io::Error) -> Error {
    Error::File {
        action,
        path: path.to_owned(),
        source,
    }
}

fn invalid(path: &Path, reason: String) -> Error {
    Error::Invalid {
        path: path.to_owned(),
        reason,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_in_a_file_that_only_its_owner_reads() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("priv_vrf_key.json");
        let first = VrfKeys::read_or_create(path.clone()).unwrap().public_keys();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut keys = VrfKeys::read_or_create(path.clone()).unwrap();
        assert_eq!(keys.public_keys(), first);
        let second = keys.add().unwrap();
        let keys = VrfKeys::read(path).unwrap();
        assert_eq!(keys.public_keys(), [first[0], second]);
        let secrets = keys.into_secrets();
        assert!(secrets.find(&second).is_some() && secrets.find(&[0; 32]).is_none());
    }

    #[test]
    fn a_damaged_file_is_refused_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("priv_vrf_key.json");
        let seed = BASE64.encode([1; 32]);
        let other = BASE64.encode([2; 32]);
        for text in [
            "".to_owned(),
            "{}".into(),
            r#"{"keys": [{"public_key": "", "seed": "AA=="}]}"#.into(),
            format!(r#"{{"keys": [{{"public_key": "{other}", "seed": "{seed}"}}]}}"#),
        ] {
            fs::write(&path, &text).unwrap();
            let Err(error) = VrfKeys::read_or_create(path.clone()) else {
                panic!("{text}");
            };
            assert!(error.to_string().contains("priv_vrf_key.json"), "{error}");
            assert_eq!(fs::read_to_string(&path).unwrap(), text);
        }
    }
}
