//! Encryption of the `file` backend: Argon2id stretches the keyring's passphrase to the key with
//! which XChaCha20-Poly1305 encrypts every secret.

use std::fs;
use std::path::Path;

use argon2::{Algorithm, Argon2, Params, Version};
use chacha20poly1305::aead::{Aead, Payload};
use chacha20poly1305::{KeyInit, XChaCha20Poly1305, XNonce};
use rand::RngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Error, Passphrase, VERSION, corrupted};
use crate::durable;

/// Argon2id with the second recommended option of RFC 9106: 64 MiB, 3 passes, 4 lanes.
const COST: Cost = Cost {
    memory_kib: 64 * 1024,
    passes: 3,
    lanes: 4,
};
/// Bounds on the cost in a file, so that a damaged one cannot exhaust memory or time.
const MAX_COST: Cost = Cost {
    memory_kib: 1024 * 1024,
    passes: 64,
    lanes: 64,
};
const SALT_BYTES: usize = 16;
const NONCE_BYTES: usize = 24;
/// Encrypted in the header, to distinguish a wrong passphrase from a damaged key.
const CHECK: &[u8] = b"poq/keyring/v1/check";

#[derive(Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Cost {
    memory_kib: u32,
    passes: u32,
    lanes: u32,
}

/// The content of `keyring.json`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Header {
    version: u32,
    kdf: String,
    cost: Cost,
    #[serde(with = "hex::serde")]
    salt: Vec<u8>,
    check: Sealed,
}

/// An encrypted secret.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Sealed {
    #[serde(with = "hex::serde")]
    nonce: Vec<u8>,
    #[serde(with = "hex::serde")]
    ciphertext: Vec<u8>,
}

/// The encryption key of a keyring; erased from memory when dropped.
pub(super) struct Vault(XChaCha20Poly1305);

impl Vault {
    /// A new vault and the header that opens it.
    pub(super) fn generate(passphrase: &Passphrase) -> crate::Result<(Self, Header)> {
        let mut salt = vec![0; SALT_BYTES];
        OsRng.fill_bytes(&mut salt);
        let vault = derive(passphrase, &salt, COST).map_err(crate::Error::Key)?;
        let header = Header {
            version: VERSION,
            kdf: "argon2id".into(),
            cost: COST,
            salt,
            check: vault.seal(CHECK, CHECK)?,
        };
        Ok((vault, header))
    }

    /// Creates a vault and its file, which must not exist.
    pub(super) fn create(path: &Path, passphrase: &Passphrase) -> crate::Result<Self> {
        let (vault, header) = Self::generate(passphrase)?;
        let json = serde_json::to_vec_pretty(&header)
            .map_err(|error| crate::Error::Key(error.to_string()))?;
        durable::create(path, &json)?;
        Ok(vault)
    }

    /// Opens the vault of a file.
    pub(super) fn unlock(path: &Path, passphrase: &Passphrase) -> crate::Result<Self> {
        let json = fs::read(path).map_err(|source| crate::Error::file("read", path, source))?;
        let header: Header =
            serde_json::from_slice(&json).map_err(|error| corrupted(path, error.to_string()))?;
        let vault = header
            .open(passphrase)
            .map_err(|reason| corrupted(path, reason))?;
        vault.ok_or_else(|| {
            Error::WrongPassphrase {
                folder: path.parent().unwrap_or(path).to_owned(),
            }
            .into()
        })
    }

    /// Encrypts; decryption needs the same `context`.
    pub(super) fn seal(&self, secret: &[u8], context: &[u8]) -> crate::Result<Sealed> {
        let mut nonce = vec![0; NONCE_BYTES];
        OsRng.fill_bytes(&mut nonce);
        let payload = Payload {
            msg: secret,
            aad: context,
        };
        let ciphertext = self
            .0
            .encrypt(XNonce::from_slice(&nonce), payload)
            .map_err(|error| crate::Error::Key(error.to_string()))?;
        Ok(Sealed { nonce, ciphertext })
    }

    /// Decrypts; `None` if anything was changed.
    pub(super) fn open(&self, sealed: &Sealed, context: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
        if sealed.nonce.len() != NONCE_BYTES {
            return None;
        }
        let payload = Payload {
            msg: &sealed.ciphertext,
            aad: context,
        };
        self.0
            .decrypt(XNonce::from_slice(&sealed.nonce), payload)
            .ok()
            .map(Zeroizing::new)
    }
}

impl Header {
    /// The vault; `None` if the passphrase is wrong.
    pub(super) fn open(&self, passphrase: &Passphrase) -> Result<Option<Vault>, String> {
        if self.version != VERSION || self.kdf != "argon2id" {
            return Err(format!(
                "it has version {} and key derivation `{}`, this program supports version {VERSION} \
                 and `argon2id`",
                self.version, self.kdf
            ));
        }
        let cost = self.cost;
        if cost.memory_kib > MAX_COST.memory_kib
            || cost.passes > MAX_COST.passes
            || cost.lanes > MAX_COST.lanes
        {
            return Err("its key derivation would cost too much".into());
        }
        let vault = derive(passphrase, &self.salt, cost)?;
        let is_right = vault
            .open(&self.check, CHECK)
            .is_some_and(|check| check.as_slice() == CHECK);
        Ok(is_right.then_some(vault))
    }
}

fn derive(passphrase: &Passphrase, salt: &[u8], cost: Cost) -> Result<Vault, String> {
    let mut key = Zeroizing::new([0; 32]);
    Params::new(cost.memory_kib, cost.passes, cost.lanes, Some(key.len()))
        .and_then(|params| {
            Argon2::new(Algorithm::Argon2id, Version::V0x13, params).hash_password_into(
                passphrase.as_str().as_bytes(),
                salt,
                key.as_mut_slice(),
            )
        })
        .map_err(|error| error.to_string())?;
    Ok(Vault(XChaCha20Poly1305::new(key.as_slice().into())))
}
