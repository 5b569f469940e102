//! The public keys of a validator, given by the user or read from a home.

use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::{Deserialize, Serialize};

use crate::home::Home;
use crate::home::comet_config::CometConfig;
use crate::home::settings::AppSettings;
use crate::home::vrf_keys::VrfKeys;

/// A consensus key, as text in base64. clap would parse a plain `Vec` as a list of values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(into = "String", try_from = "String")]
pub(crate) struct PublicKey(pub(crate) Vec<u8>);

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&BASE64.encode(&self.0))
    }
}

impl From<PublicKey> for String {
    fn from(key: PublicKey) -> Self {
        key.to_string()
    }
}

impl TryFrom<String> for PublicKey {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        public_key(&text)
    }
}

pub(crate) fn public_key(text: &str) -> Result<PublicKey, String> {
    match BASE64.decode(text) {
        Ok(key) if key.len() == 32 => Ok(PublicKey(key)),
        _ => Err("expected 32 bytes in base64, like `value` in priv_validator_key.json".into()),
    }
}

/// The consensus key of the validator for which this home's CometBFT signs.
pub(crate) fn own_key(home: &Home) -> anyhow::Result<Vec<u8>> {
    let key = own_key_if_any(home)?;
    key.with_context(|| {
        let path = home.validator_key();
        let name = path.display();
        format!("cannot read {name}; choose the node's --home or give --public-key")
    })
}

/// Like [`own_key`]: the configured key, else the key of CometBFT's key file, if it exists.
///
/// # Errors
/// If a remote signer is used and no key is configured.
pub(crate) fn own_key_if_any(home: &Home) -> anyhow::Result<Option<Vec<u8>>> {
    if let Some(PublicKey(key)) = AppSettings::load(home)?.validator_public_key {
        return Ok(Some(key));
    }
    let path = key_file(home)?;
    match path.is_file() {
        true => read_key(&path).map(Some),
        false => Ok(None),
    }
}

/// CometBFT's key file. With a remote signer the file holds a dummy key.
fn key_file(home: &Home) -> anyhow::Result<PathBuf> {
    let path = home.comet_toml();
    if !path.is_file() {
        return Ok(home.validator_key());
    }
    let config = CometConfig::open(&path)?;
    let signer = config.text("priv_validator_laddr").unwrap_or("");
    if !signer.is_empty() {
        bail!(
            "a remote signer has the validator's key (`priv_validator_laddr` in {} is {signer}): set the \
             validator with `poqd config set app.validator-public-key KEY`. KEY is its Ed25519 public \
             key in base64, as the signer prints it and as CometBFT's /status shows it in \
             validator_info.pub_key.value",
            path.display()
        );
    }
    Ok(match config.text("priv_validator_key_file") {
        Ok(file) => home.path().join(file),
        Err(_) => home.validator_key(),
    })
}

fn read_key(path: &Path) -> anyhow::Result<Vec<u8>> {
    let name = path.display();
    let json = std::fs::read(path).with_context(|| format!("cannot read {name}"))?;
    let file: serde_json::Value =
        serde_json::from_slice(&json).with_context(|| format!("{name} is not valid"))?;
    file.pointer("/pub_key/value")
        .and_then(serde_json::Value::as_str)
        .and_then(|text| public_key(text).ok())
        .map(|PublicKey(key)| key)
        .with_context(|| format!("{name} has no Ed25519 public key"))
}

/// A VRF key. clap would parse a plain `Vec` as a list of values.
#[derive(Clone, Debug)]
pub(crate) struct VrfPublicKey(Vec<u8>);

pub(crate) fn vrf_public_key(text: &str) -> Result<VrfPublicKey, String> {
    let key = BASE64.decode(text).map_err(|error| error.to_string())?;
    poq_app::modules::beacon::check_key(&key).map_err(|error| error.to_string())?;
    Ok(VrfPublicKey(key))
}

/// The given key, or the newest one of this home.
pub(crate) fn chosen_key(given: Option<VrfPublicKey>, home: &Home) -> anyhow::Result<Vec<u8>> {
    if let Some(VrfPublicKey(key)) = given {
        return Ok(key);
    }
    let keys = VrfKeys::read(home.vrf_key())?;
    match keys.public_keys().last() {
        Some(key) => Ok(key.to_vec()),
        None => anyhow::bail!(
            "{} has no VRF key; choose the node's --home, create a key with `poqd vrf-key add`, or give \
             --vrf-key",
            keys.path().display()
        ),
    }
}

/// The consensus key and the VRF key of a validator: the given ones, or those of this home. Another
/// home's validator need not have a VRF key yet.
pub(crate) fn validator_keys(
    public_key: Option<PublicKey>,
    vrf_key: Option<VrfPublicKey>,
    home: &Home,
) -> anyhow::Result<(Vec<u8>, Vec<u8>)> {
    match (public_key, vrf_key) {
        (Some(PublicKey(key)), Some(VrfPublicKey(vrf_key))) => Ok((key, vrf_key)),
        (Some(PublicKey(key)), None) => Ok((key, Vec::new())),
        (None, vrf_key) => Ok((own_key(home)?, chosen_key(vrf_key, home)?)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_of_a_home_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        let error = own_key(&home).unwrap_err();
        assert!(error.to_string().contains("--public-key"), "{error}");
        std::fs::create_dir(home.config()).unwrap();
        let value = BASE64.encode([7; 32]);
        let json = serde_json::json!({"pub_key": {"type": "t", "value": value}});
        std::fs::write(home.validator_key(), json.to_string()).unwrap();
        assert_eq!(own_key(&home).unwrap(), [7; 32]);
        std::fs::write(home.validator_key(), "{}").unwrap();
        assert!(own_key(&home).is_err());
    }

    #[test]
    fn the_key_that_cometbft_signs_with_is_the_homes() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        std::fs::create_dir(home.config()).unwrap();
        let key_of =
            |byte: u8| serde_json::json!({"pub_key": {"value": BASE64.encode([byte; 32])}});
        let comet = |signer: &str, file: &str| {
            let text = format!(
                "priv_validator_laddr = \"{signer}\"\npriv_validator_key_file = \"{file}\"\n"
            );
            std::fs::write(home.comet_toml(), text).unwrap();
        };
        std::fs::write(home.validator_key(), key_of(7).to_string()).unwrap();
        std::fs::write(folder.path().join("other.json"), key_of(8).to_string()).unwrap();
        comet("", "other.json");
        assert_eq!(own_key(&home).unwrap(), [8; 32]);
        comet("", "none.json");
        assert_eq!(own_key_if_any(&home).unwrap(), None);
        // The key of a remote signer differs from the file's.
        comet("tcp://127.0.0.1:1", "config/priv_validator_key.json");
        let error = own_key_if_any(&home).unwrap_err().to_string();
        assert!(
            error.contains("config set app.validator-public-key"),
            "{error}"
        );
        let set = format!("validator-public-key = \"{}\"", BASE64.encode([9; 32]));
        std::fs::write(home.app_toml(), set).unwrap();
        assert_eq!(own_key(&home).unwrap(), [9; 32]);
        std::fs::write(home.app_toml(), "validator-public-key = \"AAAA\"").unwrap();
        let error = own_key(&home).unwrap_err().to_string();
        assert!(error.contains("32 bytes in base64"), "{error}");
    }

    #[test]
    fn public_keys_have_32_bytes() {
        assert!(public_key(&BASE64.encode([1; 32])).is_ok());
        assert!(public_key(&BASE64.encode([1; 31])).is_err());
        assert!(public_key("?").is_err());
    }
}
