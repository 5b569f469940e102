//! Signers and signatures as JSON.

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cosmos_sdk_proto::cosmos::crypto::multisig::LegacyAminoPubKey;
use cosmos_sdk_proto::cosmos::crypto::multisig::v1beta1::CompactBitArray;
use cosmos_sdk_proto::cosmos::crypto::secp256k1::PubKey;
use cosmos_sdk_proto::cosmos::tx::signing::v1beta1::SignMode;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{ModeInfo, SignerInfo, mode_info};
use prost::{Message, Name};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::{decimal, from_base64, invalid};
use crate::multisig::PartialSignature;
use crate::tx::any;
use crate::{Any, Result};

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct SignerJson {
    public_key: Option<KeyJson>,
    mode_info: ModeJson,
    #[serde(default, with = "decimal")]
    sequence: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(tag = "@type", deny_unknown_fields)]
enum KeyJson {
    #[serde(rename = "/cosmos.crypto.secp256k1.PubKey")]
    Secp256k1 {
        /// Base64.
        key: String,
    },
    #[serde(rename = "/cosmos.crypto.multisig.LegacyAminoPubKey")]
    Multisig {
        threshold: u32,
        public_keys: Vec<KeyJson>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum ModeJson {
    Single {
        mode: String,
    },
    Multi {
        bitarray: BitsJson,
        mode_infos: Vec<ModeJson>,
    },
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BitsJson {
    extra_bits_stored: u32,
    /// Base64.
    elems: String,
}

/// The output of `tx sign --multisig`, in the Cosmos SDK's form.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignaturesJson {
    signatures: Vec<SignatureJson>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SignatureJson {
    public_key: KeyJson,
    data: DataJson,
    #[serde(with = "decimal")]
    sequence: u64,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct DataJson {
    single: SingleJson,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SingleJson {
    mode: String,
    /// Base64.
    signature: String,
}

pub(super) fn signer_to_json(info: &SignerInfo) -> Result<SignerJson> {
    Ok(SignerJson {
        public_key: info.public_key.as_ref().map(key_to_json).transpose()?,
        mode_info: mode_to_json(info.mode_info.as_ref())?,
        sequence: info.sequence,
    })
}

pub(super) fn signer_from_json(json: SignerJson) -> Result<SignerInfo> {
    Ok(SignerInfo {
        public_key: json.public_key.map(key_from_json).transpose()?,
        mode_info: Some(mode_from_json(json.mode_info)?),
        sequence: json.sequence,
    })
}

/// Signatures by keys of a multisignature account, as JSON.
///
/// # Errors
/// [`crate::Error::InvalidTx`] if the JSON cannot be written.
pub fn signatures_to_json(signatures: &[PartialSignature]) -> Result<Value> {
    let signatures = signatures.iter().map(|signature| SignatureJson {
        public_key: KeyJson::Secp256k1 {
            key: BASE64.encode(&signature.public_key),
        },
        data: DataJson {
            single: SingleJson {
                mode: SignMode::LegacyAminoJson.as_str_name().into(),
                signature: BASE64.encode(&signature.signature),
            },
        },
        sequence: signature.sequence,
    });
    let json = SignaturesJson {
        signatures: signatures.collect(),
    };
    serde_json::to_value(json).map_err(|error| invalid(error.to_string()))
}

/// Reads signatures by keys of a multisignature account.
///
/// # Errors
/// [`crate::Error::InvalidTx`] says what is not valid.
pub fn signatures_from_json(json: &[u8]) -> Result<Vec<PartialSignature>> {
    let json: SignaturesJson = serde_json::from_slice(json)
        .map_err(|error| invalid(format!("it is not the JSON of signatures: {error}")))?;
    let signature = |json: SignatureJson| {
        let KeyJson::Secp256k1 { key } = json.public_key else {
            return Err(invalid(
                "a multisignature key cannot be part of another one",
            ));
        };
        let single = json.data.single;
        if single.mode != SignMode::LegacyAminoJson.as_str_name() {
            return Err(invalid(format!(
                "the keys of a multisignature sign in SIGN_MODE_LEGACY_AMINO_JSON, not in {}",
                single.mode
            )));
        }
        Ok(PartialSignature {
            public_key: from_base64(&key, "a public key")?,
            signature: from_base64(&single.signature, "a signature")?,
            sequence: json.sequence,
        })
    };
    json.signatures.into_iter().map(signature).collect()
}

fn key_to_json(key: &Any) -> Result<KeyJson> {
    let broken = |error: prost::DecodeError| invalid(format!("{}: {error}", key.type_url));
    if key.type_url == PubKey::type_url() {
        let key = PubKey::decode(key.value.as_slice()).map_err(broken)?.key;
        return Ok(KeyJson::Secp256k1 {
            key: BASE64.encode(key),
        });
    }
    if key.type_url != LegacyAminoPubKey::type_url() {
        return Err(invalid(format!("{} is not a known key", key.type_url)));
    }
    let multisig = LegacyAminoPubKey::decode(key.value.as_slice()).map_err(broken)?;
    let nested = |key: &Any| key.type_url == LegacyAminoPubKey::type_url();
    if multisig.public_keys.iter().any(nested) {
        return Err(invalid(
            "a multisignature key cannot be part of another one",
        ));
    }
    Ok(KeyJson::Multisig {
        threshold: multisig.threshold,
        public_keys: multisig
            .public_keys
            .iter()
            .map(key_to_json)
            .collect::<Result<_>>()?,
    })
}

fn key_from_json(json: KeyJson) -> Result<Any> {
    match json {
        KeyJson::Secp256k1 { key } => {
            let key = from_base64(&key, "a public key")?;
            Ok(any(&PubKey { key }))
        }
        KeyJson::Multisig {
            threshold,
            public_keys,
        } => {
            let keys = public_keys.into_iter().map(key_from_json);
            Ok(any(&LegacyAminoPubKey {
                threshold,
                public_keys: keys.collect::<Result<_>>()?,
            }))
        }
    }
}

fn mode_to_json(mode: Option<&ModeInfo>) -> Result<ModeJson> {
    match mode.and_then(|mode| mode.sum.as_ref()) {
        Some(mode_info::Sum::Single(single)) => Ok(ModeJson::Single {
            mode: single.mode().as_str_name().into(),
        }),
        Some(mode_info::Sum::Multi(multi)) => {
            let bits = multi.bitarray.clone().unwrap_or_default();
            let parts = multi.mode_infos.iter();
            Ok(ModeJson::Multi {
                bitarray: BitsJson {
                    extra_bits_stored: bits.extra_bits_stored,
                    elems: BASE64.encode(bits.elems),
                },
                mode_infos: parts
                    .map(|part| mode_to_json(Some(part)))
                    .collect::<Result<_>>()?,
            })
        }
        None => Err(invalid("a signer has no sign mode")),
    }
}

fn mode_from_json(json: ModeJson) -> Result<ModeInfo> {
    let sum = match json {
        ModeJson::Single { mode } => {
            let mode = SignMode::from_str_name(&mode)
                .ok_or_else(|| invalid(format!("`{mode}` is not a sign mode")))?;
            mode_info::Sum::Single(mode_info::Single { mode: mode.into() })
        }
        ModeJson::Multi {
            bitarray,
            mode_infos,
        } => {
            let parts = mode_infos.into_iter().map(mode_from_json);
            mode_info::Sum::Multi(mode_info::Multi {
                bitarray: Some(CompactBitArray {
                    extra_bits_stored: bitarray.extra_bits_stored,
                    elems: from_base64(&bitarray.elems, "a bit array")?,
                }),
                mode_infos: parts.collect::<Result<_>>()?,
            })
        }
    };
    Ok(ModeInfo { sum: Some(sum) })
}
