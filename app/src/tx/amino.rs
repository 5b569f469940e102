//! The document of SIGN_MODE_LEGACY_AMINO_JSON, byte by byte as CosmJS and the Cosmos SDK write it.
//!
//! Messages of `poq.v1` are written by reflection, so a new message needs no code here. `README.md`
//! beside this file specifies the form for the authors of wallets.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cosmos_sdk_proto::cosmos::bank::v1beta1::{MsgMultiSend, MsgSend};
use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{Fee, TxBody};
use poq_proto::code;
use prost::Name;
use prost_reflect::{DescriptorPool, DynamicMessage, Value};
use serde::Serialize;
use tendermint_proto::google::protobuf::Any;

use super::strict::strict;
use crate::error::{Error, Result, reject};

/// The descriptors of this chain's messages; `None` would be a broken build.
static DESCRIPTORS: LazyLock<Option<DescriptorPool>> =
    LazyLock::new(|| DescriptorPool::decode(poq_proto::DESCRIPTORS).ok());

/// JSON as amino writes it: no floats, no nulls, keys in the order of their bytes.
#[derive(Serialize)]
#[serde(untagged)]
enum Json {
    Bool(bool),
    Number(i64),
    Text(String),
    List(Vec<Json>),
    Object(BTreeMap<String, Json>),
}

/// The signer's account and the chain.
pub(super) struct Signer<'a> {
    pub(super) chain_id: &'a str,
    pub(super) account_number: u64,
    pub(super) sequence: u64,
}

/// The JSON that a key of a multisignature account signs: `SIGN_MODE_LEGACY_AMINO_JSON` of a transaction.
///
/// # Errors
/// If a message has no amino form.
pub fn amino_document(
    body: &TxBody,
    fee: &Fee,
    chain_id: &str,
    account_number: u64,
    sequence: u64,
) -> Result<Vec<u8>> {
    let signer = Signer {
        chain_id,
        account_number,
        sequence,
    };
    sign_document(body, fee, &signer)
}

/// The bytes that a signer of a transaction signs.
pub(super) fn sign_document(body: &TxBody, fee: &Fee, signer: &Signer<'_>) -> Result<Vec<u8>> {
    let messages = body.messages.iter().map(message).collect::<Result<_>>()?;
    let mut document = vec![
        ("account_number", number(signer.account_number)),
        ("chain_id", text(signer.chain_id)),
        ("fee", fee_object(fee)),
        ("memo", text(&body.memo)),
        ("msgs", Json::List(messages)),
        ("sequence", number(signer.sequence)),
    ];
    if body.timeout_height > 0 {
        document.push(("timeout_height", number(body.timeout_height)));
    }
    let json = serde_json::to_string(&object(document))
        .map_err(|error| Error::broken(format!("a sign document has no JSON: {error}")))?;
    Ok(escape_html(&json).into_bytes())
}

/// `{"type": …, "value": …}`.
fn message(any: &Any) -> Result<Json> {
    let url = any.type_url.as_str();
    let value = if url == MsgSend::type_url() {
        send(strict(&any.value, url)?)
    } else if url == MsgMultiSend::type_url() {
        multi_send(strict(&any.value, url)?)
    } else {
        reflected(any)?
    };
    Ok(object([("type", Json::Text(name(url))), ("value", value)]))
}

/// `/poq.v1.MsgX` is `poq/MsgX`, the Cosmos SDK's `/cosmos.bank.v1beta1.MsgX` is
/// `cosmos-sdk/MsgX`. Ledger shows names of at most 39 bytes.
fn name(type_url: &str) -> String {
    match type_url.strip_prefix("/poq.v1.") {
        Some(name) => format!("poq/{name}"),
        None => format!("cosmos-sdk/{}", type_url.rsplit('.').next().unwrap_or("")),
    }
}

fn send(message: MsgSend) -> Json {
    object([
        ("amount", coins(&message.amount)),
        ("from_address", text(&message.from_address)),
        ("to_address", text(&message.to_address)),
    ])
}

fn multi_send(message: MsgMultiSend) -> Json {
    let side =
        |address: &str, amount| object([("address", text(address)), ("coins", coins(amount))]);
    let inputs = message.inputs.iter();
    let outputs = message.outputs.iter();
    object([
        (
            "inputs",
            Json::List(inputs.map(|i| side(&i.address, &i.coins)).collect()),
        ),
        (
            "outputs",
            Json::List(outputs.map(|o| side(&o.address, &o.coins)).collect()),
        ),
    ])
}

fn fee_object(fee: &Fee) -> Json {
    let mut fields = vec![
        ("amount", coins(&fee.amount)),
        ("gas", number(fee.gas_limit)),
    ];
    let optional = [("granter", &fee.granter), ("payer", &fee.payer)];
    let present = optional.iter().filter(|(_, address)| !address.is_empty());
    fields.extend(present.map(|(key, address)| (*key, text(address))));
    object(fields)
}

fn coins(coins: &[Coin]) -> Json {
    let coin = |coin: &Coin| object([("amount", text(&coin.amount)), ("denom", text(&coin.denom))]);
    Json::List(coins.iter().map(coin).collect())
}

/// The value of a `poq.v1` message, by its descriptor.
fn reflected(any: &Any) -> Result<Json> {
    let pool = DESCRIPTORS
        .as_ref()
        .ok_or_else(|| Error::broken("the descriptors of poq.v1 do not decode"))?;
    let name = any.type_url.trim_start_matches('/');
    let Some(descriptor) = pool.get_message_by_name(name) else {
        reject!(
            code::UNKNOWN_REQUEST,
            "message {:?} has no amino form: sign it in SIGN_MODE_DIRECT",
            any.type_url
        );
    };
    match DynamicMessage::decode(descriptor, any.value.as_slice()) {
        Ok(message) => fields(&message),
        Err(error) => reject!(code::TX_DECODE, "{name} does not decode: {error}"),
    }
}

/// The fields that are set. A scalar or list with its default value is left out; a message that is
/// present never is.
fn fields(message: &DynamicMessage) -> Result<Json> {
    message
        .fields()
        .map(|(field, value)| Ok((field.name().to_owned(), json(value)?)))
        .collect::<Result<_>>()
        .map(Json::Object)
}

fn json(value: &Value) -> Result<Json> {
    Ok(match value {
        Value::Bool(value) => Json::Bool(*value),
        Value::I32(value) | Value::EnumNumber(value) => Json::Number((*value).into()),
        Value::U32(value) => Json::Number((*value).into()),
        Value::I64(value) => Json::Text(value.to_string()),
        Value::U64(value) => number(*value),
        Value::String(value) => text(value),
        Value::Bytes(value) => Json::Text(STANDARD.encode(value)),
        Value::Message(message) => fields(message)?,
        Value::List(values) => Json::List(values.iter().map(json).collect::<Result<_>>()?),
        other => return Err(Error::broken(format!("amino has no form for {other:?}"))),
    })
}

fn object<'a>(fields: impl IntoIterator<Item = (&'a str, Json)>) -> Json {
    let fields = fields.into_iter();
    Json::Object(fields.map(|(key, value)| (key.to_owned(), value)).collect())
}

fn text(text: &str) -> Json {
    Json::Text(text.to_owned())
}

fn number(number: u64) -> Json {
    Json::Text(number.to_string())
}

/// Escapes as Go's JSON encoder does. These characters occur only inside strings.
fn escape_html(json: &str) -> String {
    json.replace('&', "\\u0026")
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
}

#[cfg(test)]
mod tests;
