//! Transactions as JSON in the Cosmos SDK's form: proto3 JSON with snake_case names, where a
//! message is an object with its type URL as `@type`.

mod messages;
mod signers;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{AuthInfo, Fee, Tx, TxBody};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use self::signers::{SignerJson, signer_from_json, signer_to_json};
use crate::{Error, Result};

pub use messages::{message_from_json, message_to_json, snake_case};
pub use signers::{signatures_from_json, signatures_to_json};

/// The whole transaction. Fields that this program does not support are refused.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct TxJson {
    body: BodyJson,
    auth_info: AuthJson,
    #[serde(default)]
    signatures: Vec<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct BodyJson {
    messages: Vec<Value>,
    #[serde(default)]
    memo: String,
    #[serde(default, with = "decimal")]
    timeout_height: u64,
    #[serde(default)]
    extension_options: [(); 0],
    #[serde(default)]
    non_critical_extension_options: [(); 0],
    /// Fields of newer SDK versions; this chain has only ordered transactions.
    #[serde(
        default,
        deserialize_with = "only_default",
        skip_serializing_if = "is_default"
    )]
    unordered: bool,
    #[serde(
        default,
        deserialize_with = "only_default",
        skip_serializing_if = "is_default"
    )]
    timeout_timestamp: Option<String>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A field that may only have its default value.
fn only_default<'de, D, T>(deserializer: D) -> std::result::Result<T, D::Error>
where
    D: serde::Deserializer<'de>,
    T: Deserialize<'de> + Default + PartialEq,
{
    let value = T::deserialize(deserializer)?;
    match is_default(&value) {
        true => Ok(value),
        false => Err(serde::de::Error::custom(
            "this chain takes neither unordered transactions nor a timeout_timestamp",
        )),
    }
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct AuthJson {
    #[serde(default)]
    signer_infos: Vec<SignerJson>,
    fee: FeeJson,
    /// Never set, but the SDK writes it.
    #[serde(default)]
    tip: Option<()>,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct FeeJson {
    amount: Vec<CoinJson>,
    #[serde(with = "decimal")]
    gas_limit: u64,
    #[serde(default)]
    payer: String,
    #[serde(default)]
    granter: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct CoinJson {
    denom: String,
    amount: String,
}

/// A transaction as JSON.
///
/// # Errors
/// [`Error::InvalidTx`] if it has a part that this program does not know.
pub fn to_json(tx: &Tx) -> Result<Value> {
    let body = tx.body.clone().unwrap_or_default();
    let auth = tx.auth_info.clone().unwrap_or_default();
    if !body.extension_options.is_empty() || !body.non_critical_extension_options.is_empty() {
        return Err(invalid("extension options are not supported"));
    }
    let fee = auth.fee.unwrap_or_default();
    let coin = |Coin { denom, amount }| CoinJson { denom, amount };
    let json = TxJson {
        body: BodyJson {
            messages: body
                .messages
                .iter()
                .map(message_to_json)
                .collect::<Result<_>>()?,
            memo: body.memo,
            timeout_height: body.timeout_height,
            extension_options: [],
            non_critical_extension_options: [],
            unordered: false,
            timeout_timestamp: None,
        },
        auth_info: AuthJson {
            signer_infos: auth
                .signer_infos
                .iter()
                .map(signer_to_json)
                .collect::<Result<_>>()?,
            fee: FeeJson {
                amount: fee.amount.into_iter().map(coin).collect(),
                gas_limit: fee.gas_limit,
                payer: fee.payer,
                granter: fee.granter,
            },
            tip: None,
        },
        signatures: tx
            .signatures
            .iter()
            .map(|bytes| BASE64.encode(bytes))
            .collect(),
    };
    serde_json::to_value(json).map_err(|error| invalid(error.to_string()))
}

/// Reads a transaction.
///
/// # Errors
/// [`Error::InvalidTx`] says what is not valid.
pub fn from_json(json: &[u8]) -> Result<Tx> {
    let json: TxJson = serde_json::from_slice(json)
        .map_err(|error| invalid(format!("it is not the JSON of a transaction: {error}")))?;
    let coin = |CoinJson { denom, amount }| Coin { denom, amount };
    let fee = json.auth_info.fee;
    Ok(Tx {
        body: Some(TxBody {
            messages: json
                .body
                .messages
                .into_iter()
                .map(message_from_json)
                .collect::<Result<_>>()?,
            memo: json.body.memo,
            timeout_height: json.body.timeout_height,
            ..TxBody::default()
        }),
        auth_info: Some(AuthInfo {
            signer_infos: json
                .auth_info
                .signer_infos
                .into_iter()
                .map(signer_from_json)
                .collect::<Result<_>>()?,
            fee: Some(Fee {
                amount: fee.amount.into_iter().map(coin).collect(),
                gas_limit: fee.gas_limit,
                payer: fee.payer,
                granter: fee.granter,
            }),
            ..AuthInfo::default()
        }),
        signatures: json
            .signatures
            .iter()
            .map(|text| from_base64(text, "a signature"))
            .collect::<Result<_>>()?,
    })
}

fn from_base64(text: &str, what: &str) -> Result<Vec<u8>> {
    BASE64
        .decode(text)
        .map_err(|error| invalid(format!("{what} is not base64: {error}")))
}

fn invalid(reason: impl Into<String>) -> Error {
    Error::InvalidTx(reason.into())
}

/// 64-bit integers as decimal strings, as in proto3 JSON; numbers are accepted too.
mod decimal {
    use serde::Serializer;

    pub(super) use crate::json::integer as deserialize;

    pub(super) fn serialize<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(number)
    }
}

#[cfg(test)]
mod tests {
    use cosmos_sdk_proto::cosmos::bank::v1beta1::MsgSend;
    use poq_proto::v1::{MsgRevealScores, RevealItem};
    use prost::Message;
    use serde_json::json;

    use super::*;
    use crate::tx::{Signer, Unsigned, sign_tx};
    use crate::{Any, Key, any};

    fn unsigned(messages: Vec<Any>) -> Unsigned {
        Unsigned {
            messages,
            gas_limit: 200_000,
            fee: Some(("upoq".into(), 5)),
            memo: "hi".into(),
            timeout_height: 0,
        }
    }

    fn transfer() -> Any {
        any(&MsgSend {
            from_address: "a".into(),
            to_address: "b".into(),
            amount: vec![Coin {
                denom: "upoq".into(),
                amount: "7".into(),
            }],
        })
    }

    #[test]
    fn fields_of_a_newer_sdk_may_say_nothing() {
        let read = |extra: &str| {
            let json = format!(
                r#"{{"body":{{"messages":[]{extra}}},"auth_info":{{"fee":{{"amount":[],"gas_limit":"1"}}}}}}"#
            );
            from_json(json.as_bytes())
        };
        read("").unwrap();
        read(r#","unordered":false,"timeout_timestamp":null"#).unwrap();
        for bad in [
            r#","unordered":true"#,
            r#","timeout_timestamp":"2030-01-01T00:00:00Z""#,
            r#","other":false"#,
        ] {
            read(bad).unwrap_err();
        }
        let json = to_json(&read(r#","unordered":false"#).unwrap()).unwrap();
        assert!(json["body"].get("unordered").is_none());
    }

    #[test]
    fn the_form_is_the_sdks() {
        let json = to_json(&unsigned(vec![transfer()]).to_tx().unwrap()).unwrap();
        assert_eq!(
            json,
            json!({
                "body": {
                    "messages": [{
                        "@type": "/cosmos.bank.v1beta1.MsgSend",
                        "from_address": "a",
                        "to_address": "b",
                        "amount": [{"denom": "upoq", "amount": "7"}],
                    }],
                    "memo": "hi",
                    "timeout_height": "0",
                    "extension_options": [],
                    "non_critical_extension_options": [],
                },
                "auth_info": {
                    "signer_infos": [],
                    "fee": {
                        "amount": [{"denom": "upoq", "amount": "5"}],
                        "gas_limit": "200000",
                        "payer": "",
                        "granter": "",
                    },
                    "tip": null,
                },
                "signatures": [],
            })
        );
    }

    #[test]
    fn a_signed_transaction_survives_the_round_trip() {
        let reveal = any(&MsgRevealScores {
            operator: "o".into(),
            items: vec![RevealItem {
                task_id: u64::MAX,
                raw_score: -5,
                salt: vec![255; 32],
            }],
        });
        let signer = Signer {
            chain_id: "poq-local-1".into(),
            account_number: 3,
            sequence: 9,
        };
        let tx = unsigned(vec![transfer(), reveal]).to_tx().unwrap();
        let tx = sign_tx(tx, &signer, &Key::from_bytes(&[7; 32]).unwrap()).unwrap();
        let json = serde_json::to_vec(&to_json(&tx).unwrap()).unwrap();
        assert_eq!(from_json(&json).unwrap(), tx);
    }

    #[test]
    fn every_message_of_the_chain_has_a_json_form() {
        let names = names();
        let messages = names
            .iter()
            .filter(|name| name.starts_with("Msg") && !name.ends_with("Response"));
        let mut count = 0;
        for name in messages {
            let message = Any {
                type_url: format!("/poq.v1.{name}"),
                value: Vec::new(),
            };
            let json = message_to_json(&message).unwrap();
            assert_eq!(message_from_json(json).unwrap(), message);
            count += 1;
        }
        assert!(count >= 16);
    }

    /// Names of the messages in `poq.v1`.
    fn names() -> Vec<String> {
        let set = prost_types::FileDescriptorSet::decode(poq_proto::DESCRIPTORS).unwrap();
        let messages = set.file.into_iter().flat_map(|file| file.message_type);
        messages.filter_map(|message| message.name).collect()
    }

    #[test]
    fn nothing_is_dropped_silently() {
        let tx = unsigned(vec![transfer()]).to_tx().unwrap();
        let good = to_json(&tx).unwrap();
        for (pointer, name) in [
            ("", "signature"),
            ("/body", "note"),
            ("/body/messages/0", "amonut"),
            ("/auth_info/fee", "gas"),
        ] {
            let mut bad = good.clone();
            let fields = bad.pointer_mut(pointer).unwrap().as_object_mut().unwrap();
            fields.insert(name.into(), json!("1"));
            let error = from_json(&serde_json::to_vec(&bad).unwrap()).unwrap_err();
            assert!(error.to_string().contains(name), "{error}");
        }
        let mut bad = good;
        bad["body"]["messages"][0]["@type"] = json!("/x.Y");
        let error = from_json(&serde_json::to_vec(&bad).unwrap()).unwrap_err();
        assert!(error.to_string().contains("/x.Y"), "{error}");
    }
}
