//! `POST /v1/responses`: text in and out; nothing is stored.

mod form;

use poq_proto::PPM;
use poq_proto::v1::{ChatMessage, ChatRole};
use serde_json::{Map, Value, json};

use super::answering::{Asked, Surface};
use super::chat;
use super::failure::ApiError;
use super::request::{Fields, Manner};
use form::Form;

/// Responses, whole or streamed.
pub(super) struct Responses;

impl Surface for Responses {
    const PATH: &'static str = "/v1/responses";
    const PROMPT: &'static str = "input";

    fn parse(fields: &mut Fields) -> Result<Asked, ApiError> {
        let tokens = fields.count("max_output_tokens")?;
        let manner = fields.sampling(tokens)?;
        without_effect(fields)?;
        let instructions = fields.text("instructions")?;
        let system = instructions.clone().filter(|text| !text.is_empty());
        let mut messages: Vec<_> = system
            .map(|text| message(ChatRole::System, text))
            .into_iter()
            .collect();
        messages.extend(input(fields.take(Self::PROMPT))?);
        let settings = settings(&manner, tokens, instructions);
        Ok(Asked {
            messages,
            manner,
            form: Box::new(move |head| Box::new(Form::new(head, settings))),
        })
    }
}

/// Takes out what clients may say about what the gateway never does.
fn without_effect(fields: &mut Fields) -> Result<(), ApiError> {
    fields.only("background", &json!(false))?;
    fields.only("include", &json!([]))?;
    fields.only("stream_options", &json!({ "include_obfuscation": false }))?;
    fields.only("text", &json!({ "format": { "type": "text" } }))?;
    fields.only("top_logprobs", &json!(0))?;
    fields.only("truncation", &json!("disabled"))
}

fn message(role: ChatRole, text: String) -> ChatMessage {
    ChatMessage {
        role: role.into(),
        text,
    }
}

/// The messages of a text, or of a list of messages; earlier answers come back as clients got them.
fn input(value: Option<Value>) -> Result<Vec<ChatMessage>, ApiError> {
    let mut list = match value {
        Some(Value::String(text)) => {
            let message = (!text.is_empty()).then(|| message(ChatRole::User, text));
            return Ok(message.into_iter().collect());
        }
        Some(Value::Array(list)) => list,
        Some(_) => return Err(ApiError::invalid("input", "must be a string or a list")),
        None => return Err(ApiError::invalid("input", "is missing")),
    };
    for (number, item) in list.iter_mut().enumerate() {
        if let Value::Object(fields) = item {
            plain_message(number, fields)?;
        }
    }
    chat::messages("input", Some(Value::Array(list)))
}

/// Removes from an item what a message of a chat does not have.
fn plain_message(number: usize, fields: &mut Map<String, Value>) -> Result<(), ApiError> {
    match fields.remove("type") {
        None | Some(Value::Null) => {}
        Some(kind) if kind == "message" => {}
        Some(_) => {
            let kind = format!("input[{number}].type");
            return Err(ApiError::invalid(kind, "must be `message`"));
        }
    }
    // Clients send back the answers that they got.
    for own in ["id", "phase", "status"] {
        fields.remove(own);
    }
    Ok(())
}

/// What a response says of how it was asked for.
fn settings(
    manner: &Manner,
    tokens: Option<u32>,
    instructions: Option<String>,
) -> Map<String, Value> {
    let part = |ppm: u32| f64::from(ppm) / PPM as f64;
    Map::from_iter([
        ("background".to_owned(), json!(false)),
        ("instructions".to_owned(), json!(instructions)),
        ("max_output_tokens".to_owned(), json!(tokens)),
        ("metadata".to_owned(), json!({})),
        ("parallel_tool_calls".to_owned(), json!(false)),
        ("previous_response_id".to_owned(), Value::Null),
        ("store".to_owned(), json!(false)),
        (
            "temperature".to_owned(),
            json!(manner.sampling.temperature.map(part)),
        ),
        ("text".to_owned(), json!({ "format": { "type": "text" } })),
        ("tool_choice".to_owned(), json!("none")),
        ("tools".to_owned(), json!([])),
        ("top_p".to_owned(), json!(part(manner.sampling.top_p))),
        ("truncation".to_owned(), json!("disabled")),
    ])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn input_is_a_text_or_messages_as_clients_send_them() {
        let found = |value| -> Vec<(ChatRole, String)> {
            let messages = input(Some(value)).unwrap().into_iter();
            messages
                .map(|message| (message.role(), message.text))
                .collect()
        };
        assert_eq!(found(json!("Why?")), [(ChatRole::User, "Why?".into())]);
        let history = json!([
            { "role": "developer", "content": "Be brief." },
            { "type": "message", "role": "user", "content": [{ "type": "input_text", "text": "Why?" }] },
            {
                "type": "message", "id": "msg_1-0", "status": "completed", "role": "assistant",
                "content": [{ "type": "output_text", "text": "So.", "annotations": [], "logprobs": [] }],
            },
            { "role": "user", "content": "Really?" },
        ]);
        let expected = [
            (ChatRole::System, "Be brief."),
            (ChatRole::User, "Why?"),
            (ChatRole::Assistant, "So."),
            (ChatRole::User, "Really?"),
        ];
        assert_eq!(
            found(history),
            expected.map(|(role, text)| (role, text.to_owned()))
        );
    }

    #[test]
    fn what_cannot_be_served_is_named() {
        for (param, value) in [
            ("input", json!(1)),
            ("input[0]", json!(["text"])),
            (
                "input[0].type",
                json!([{ "type": "item_reference", "id": "msg_1" }]),
            ),
            (
                "input[0].type",
                json!([{ "type": "function_call_output", "output": "a" }]),
            ),
            ("input[0].role", json!([{ "role": "tool", "content": "a" }])),
            (
                "input[0].content[0].type",
                json!([{ "role": "user", "content": [{ "type": "input_image" }] }]),
            ),
        ] {
            let error = input(Some(value)).unwrap_err().body();
            assert_eq!(error["error"]["param"], param, "{error}");
        }
        assert!(input(None).is_err());
        for (param, value) in [
            ("background", json!(true)),
            ("include", json!(["reasoning.encrypted_content"])),
            ("stream_options", json!({ "include_obfuscation": true })),
            ("text", json!({ "format": { "type": "json_object" } })),
            ("truncation", json!("auto")),
            ("previous_response_id", json!("resp_1-0")),
            ("conversation", json!("conv_1")),
            ("reasoning", json!({ "effort": "low" })),
            ("store", json!(true)),
            ("stop", json!("END")),
        ] {
            let body = json!({ "input": "Why?", param: value });
            let mut fields = Fields::parse(body.to_string().as_bytes()).unwrap();
            let parsed = Responses::parse(&mut fields).map(drop);
            let error = parsed.and_then(|()| fields.finish()).unwrap_err().body();
            assert_eq!(
                (&error["error"]["code"], &error["error"]["param"]),
                (&json!("unsupported_parameter"), &json!(param))
            );
        }
    }

    #[test]
    fn instructions_are_the_first_system_message() {
        let body = json!({ "instructions": "Be brief.", "input": "Why?", "store": false });
        let mut fields = Fields::parse(body.to_string().as_bytes()).unwrap();
        let asked = Responses::parse(&mut fields).unwrap();
        fields.finish().unwrap();
        assert_eq!(
            (asked.messages[0].role(), asked.messages[0].text.as_str()),
            (ChatRole::System, "Be brief.")
        );
        assert_eq!(asked.messages[1].text, "Why?");
    }
}
