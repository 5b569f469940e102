//! The file of one key.

use std::fmt;

use serde::de::Visitor;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

use super::VERSION;
use super::vault::Sealed;

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Record {
    pub version: u32,
    pub name: String,
    /// As stored in an account.
    #[serde(with = "hex::serde")]
    pub public_key: Vec<u8>,
    pub secret: Secret,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Secret {
    Plain(SecretKey),
    Sealed(Sealed),
    /// `None`: the key of another person, or a multisignature key.
    None,
}

/// 32 secret bytes, hex in the file, erased from memory when dropped.
pub(super) struct SecretKey(pub Zeroizing<[u8; 32]>);

impl Record {
    pub(super) fn encode(&self) -> Result<Zeroizing<Vec<u8>>, serde_json::Error> {
        // Large enough never to be reallocated: a freed buffer is not erased.
        let mut json = Zeroizing::new(Vec::with_capacity(4096));
        serde_json::to_writer_pretty(&mut *json, self)?;
        json.push(b'\n');
        Ok(json)
    }

    /// Parses the file of the key `name`.
    pub(super) fn decode(json: &[u8], name: &str) -> Result<Self, String> {
        let record: Self = serde_json::from_slice(json).map_err(|error| error.to_string())?;
        if record.version != VERSION {
            return Err(format!(
                "it has version {}, this program supports version {VERSION}",
                record.version
            ));
        }
        if record.name != name {
            return Err(format!("it belongs to the key `{}`", record.name));
        }
        Ok(record)
    }
}

impl Serialize for SecretKey {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let digits = Zeroizing::new(hex::encode(self.0.as_slice()));
        serializer.serialize_str(&digits)
    }
}

impl<'de> Deserialize<'de> for SecretKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Digits;
        impl Visitor<'_> for Digits {
            type Value = SecretKey;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("64 hex digits")
            }

            fn visit_str<E: serde::de::Error>(self, digits: &str) -> Result<SecretKey, E> {
                let mut secret = Zeroizing::new([0; 32]);
                hex::decode_to_slice(digits, secret.as_mut_slice())
                    .map_err(|_| E::custom("expected 64 hex digits"))?;
                Ok(SecretKey(secret))
            }
        }
        deserializer.deserialize_str(Digits)
    }
}
