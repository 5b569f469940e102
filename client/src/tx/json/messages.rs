//! Messages as JSON.

use cosmos_sdk_proto::cosmos::bank::v1beta1::{MsgMultiSend, MsgSend};
use poq_proto::for_each_message;
use poq_proto::v1::*;
use prost::{Message, Name};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use super::invalid;
use crate::tx::any;
use crate::{Any, Error, Result};

/// Name of the field with a message's type URL.
const TYPE: &str = "@type";

/// Defines both conversions for the named messages.
macro_rules! messages {
    ($($name:ident)*) => {
        /// A message as JSON.
        ///
        /// # Errors
        /// [`Error::InvalidTx`] if its type is not known or it does not decode.
        pub fn message_to_json(message: &Any) -> Result<Value> {
            $(if message.type_url == $name::type_url() {
                return encode::<$name>(message);
            })*
            Err(unknown(&message.type_url))
        }

        /// Reads a message.
        ///
        /// # Errors
        /// [`Error::InvalidTx`] says what is not valid.
        pub fn message_from_json(mut json: Value) -> Result<Any> {
            let type_url = json.as_object_mut().and_then(|fields| fields.remove(TYPE));
            let Some(Value::String(type_url)) = type_url else {
                return Err(invalid("a message is not an object with its type URL as `@type`"));
            };
            $(if type_url == $name::type_url() {
                return decode::<$name>(json);
            })*
            Err(unknown(&type_url))
        }
    };
}

for_each_message!(messages MsgSend MsgMultiSend MsgVoteOutputs);

fn encode<M: Message + Name + Default + Serialize>(message: &Any) -> Result<Value> {
    let failed = |reason: String| invalid(format!("{}: {reason}", message.type_url));
    let decoded = M::decode(message.value.as_slice()).map_err(|error| failed(error.to_string()))?;
    let fields = serde_json::to_value(&decoded).map_err(|error| failed(error.to_string()))?;
    let mut json = Map::new();
    json.insert(TYPE.into(), message.type_url.clone().into());
    if let Value::Object(fields) = snake_case(fields) {
        json.extend(fields);
    }
    Ok(json.into())
}

fn decode<M: Message + Name + DeserializeOwned>(json: Value) -> Result<Any> {
    let message: M = serde_json::from_value(json)
        .map_err(|error| invalid(format!("{}: {error}", M::type_url())))?;
    Ok(any(&message))
}

/// Converts field names to snake_case, as the SDK and this chain write them; the SDK's types
/// serialize to camelCase.
pub fn snake_case(value: Value) -> Value {
    match value {
        Value::Object(fields) => fields
            .into_iter()
            .map(|(name, value)| (snake_case_name(&name), snake_case(value)))
            .collect::<Map<_, _>>()
            .into(),
        Value::Array(items) => items.into_iter().map(snake_case).collect(),
        value => value,
    }
}

fn snake_case_name(name: &str) -> String {
    name.chars().fold(String::new(), |mut text, letter| {
        if letter.is_ascii_uppercase() {
            text.push('_');
        }
        text.push(letter.to_ascii_lowercase());
        text
    })
}

fn unknown(type_url: &str) -> Error {
    invalid(format!("`{type_url}` is not a message of this chain"))
}
