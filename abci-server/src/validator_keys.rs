//! The public keys of a validator: those that the user gives, or those of a home.

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use crate::home::Home;
use crate::vrf::VrfKeys;

/// Bytes of a consensus key. A `Vec` of its own would be a list of values to clap.
#[derive(Clone, Debug)]
pub(crate) struct PublicKey(pub(crate) Vec<u8>);

pub(crate) fn public_key(text: &str) -> Result<PublicKey, String> {
    match BASE64.decode(text) {
        Ok(key) if key.len() == 32 => Ok(PublicKey(key)),
        _ => Err("expected 32 bytes in base64, as `value` in priv_validator_key.json".into()),
    }
}

/// The consensus key of the node in this home.
pub(crate) fn own_key(home: &Home) -> anyhow::Result<Vec<u8>> {
    let path = home.validator_key();
    let name = path.display();
    let json = std::fs::read(&path).with_context(|| {
        format!("cannot read {name}; choose the node's --home or give --public-key")
    })?;
    let file: serde_json::Value =
        serde_json::from_slice(&json).with_context(|| format!("{name} is not valid"))?;
    file.pointer("/pub_key/value")
        .and_then(serde_json::Value::as_str)
        .and_then(|text| public_key(text).ok())
        .map(|PublicKey(key)| key)
        .with_context(|| format!("{name} has no Ed25519 public key"))
}

/// Bytes of a VRF key. A `Vec` of its own would be a list of values to clap.
#[derive(Clone, Debug)]
pub(crate) struct VrfPublicKey(Vec<u8>);

pub(crate) fn vrf_public_key(text: &str) -> Result<VrfPublicKey, String> {
    let key = BASE64.decode(text).map_err(|error| error.to_string())?;
    poq_app::beacon::check_key(&key).map_err(|error| error.to_string())?;
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
            "{} has no VRF key; choose the node's --home, make one with `poqd vrf-key add`, or give \
             --vrf-key",
            keys.path().display()
        ),
    }
}

/// The keys of consensus and for the beacon of a validator: those given, or those of this home. A
/// validator that is not this home's need not have one for the beacon yet.
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
    fn public_keys_have_32_bytes() {
        assert!(public_key(&BASE64.encode([1; 32])).is_ok());
        assert!(public_key(&BASE64.encode([1; 31])).is_err());
        assert!(public_key("?").is_err());
    }
}
