//! Exports of keys: JSON with the secret encrypted as in the `file` backend, under its own
//! passphrase.

use serde::{Deserialize, Serialize};

use super::record::{Record, Secret};
use super::vault::{Header, Vault};
use super::{Error, Passphrase, VERSION, context};
use crate::Key;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Exported {
    encryption: Header,
    key: Record,
}

/// The key as JSON, encrypted with `passphrase`. `name` is informative only.
///
/// # Errors
/// [`crate::Error::Key`].
pub fn export(name: &str, key: &Key, passphrase: &Passphrase) -> crate::Result<String> {
    let (vault, encryption) = Vault::generate(passphrase)?;
    let public_key = key.public_key();
    let secret = vault.seal(key.to_bytes().as_slice(), &context(name, &public_key))?;
    let exported = Exported {
        encryption,
        key: Record {
            version: VERSION,
            name: name.into(),
            public_key,
            secret: Secret::Sealed(secret),
        },
    };
    serde_json::to_string_pretty(&exported).map_err(|error| crate::Error::Key(error.to_string()))
}

/// The key in the JSON of [`export`].
///
/// # Errors
/// [`Error::Import`] if the JSON was changed or the passphrase is wrong.
pub fn import(json: &[u8], passphrase: &Passphrase) -> crate::Result<Key> {
    let Exported { encryption, key } =
        serde_json::from_slice(json).map_err(|error| Error::Import(error.to_string()))?;
    let Secret::Sealed(sealed) = &key.secret else {
        return Err(Error::Import("it is not encrypted".into()).into());
    };
    let vault = encryption
        .open(passphrase)
        .map_err(Error::Import)?
        .ok_or_else(|| Error::Import("wrong passphrase".into()))?;
    let secret = vault
        .open(sealed, &context(&key.name, &key.public_key))
        .ok_or_else(|| Error::Import("its secret was changed".into()))?;
    let secret = Key::from_bytes(&secret)?;
    if secret.public_key() != key.public_key {
        return Err(Error::Import("its secret and public key do not match".into()).into());
    }
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passphrase(text: &str) -> Passphrase {
        Passphrase::from(text.to_owned())
    }

    #[test]
    fn an_exported_key_comes_back_only_with_its_passphrase() {
        let key = Key::from_bytes(&[7; 32]).unwrap();
        let json = export("user", &key, &passphrase("correct horse")).unwrap();
        assert!(!json.contains(&hex::encode([7; 32])));
        let back = import(json.as_bytes(), &passphrase("correct horse")).unwrap();
        assert_eq!(back.to_bytes(), key.to_bytes());
        let wrong = import(json.as_bytes(), &passphrase("wrong horse")).unwrap_err();
        assert!(wrong.to_string().contains("wrong passphrase"), "{wrong}");
        let renamed = json.replace("\"user\"", "\"other\"");
        let error = import(renamed.as_bytes(), &passphrase("correct horse")).unwrap_err();
        assert!(error.to_string().contains("changed"), "{error}");
        assert!(import(b"{}", &passphrase("correct horse")).is_err());
    }
}
