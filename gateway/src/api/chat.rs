//! The messages of a chat.

use poq_proto::v1::{ChatMessage, ChatRole};
use serde_json::{Map, Value};

use super::failure::ApiError;

/// The messages that a field has, in reading order. Empty ones are left out.
///
/// # Errors
/// [`ApiError`] that names the first invalid part.
pub(super) fn messages(name: &str, value: Option<Value>) -> Result<Vec<ChatMessage>, ApiError> {
    let list = match value {
        Some(Value::Array(list)) => list,
        Some(_) => return Err(ApiError::invalid(name, "must be a list")),
        None => return Err(ApiError::invalid(name, "is missing")),
    };
    let mut messages = Vec::with_capacity(list.len());
    for (number, value) in list.into_iter().enumerate() {
        let at = format!("{name}[{number}]");
        let Value::Object(fields) = value else {
            return Err(ApiError::invalid(at, "must be an object"));
        };
        messages.extend(message(&at, fields)?);
    }
    Ok(messages)
}

fn message(at: &str, mut fields: Map<String, Value>) -> Result<Option<ChatMessage>, ApiError> {
    // A client sends an earlier answer back as it got it: with fields that are null or empty.
    fields.retain(|_, value| !value.is_null() && *value != Value::Array(Vec::new()));
    let role = match fields.remove("role").as_ref().and_then(Value::as_str) {
        Some("system" | "developer") => ChatRole::System,
        Some("user") => ChatRole::User,
        Some("assistant") => ChatRole::Assistant,
        _ => {
            let roles = "must be one of system, developer, user, assistant";
            return Err(ApiError::invalid(format!("{at}.role"), roles));
        }
    };
    let content = format!("{at}.content");
    let text = match fields.remove("content") {
        Some(Value::String(text)) => text,
        Some(Value::Array(parts)) => parts
            .into_iter()
            .enumerate()
            .map(|(number, part)| text_part(&format!("{content}[{number}]"), part))
            .collect::<Result<Vec<_>, _>>()?
            .join("\n"),
        Some(_) => {
            return Err(ApiError::invalid(
                content,
                "must be a string or a list of parts",
            ));
        }
        None if role == ChatRole::Assistant => String::new(),
        None => return Err(ApiError::invalid(content, "is missing")),
    };
    if let Some(other) = fields.keys().next() {
        return Err(ApiError::unsupported(format!("{at}.{other}")));
    }
    Ok((!text.is_empty()).then(|| ChatMessage {
        role: role.into(),
        text,
    }))
}

fn text_part(at: &str, part: Value) -> Result<String, ApiError> {
    let Value::Object(mut part) = part else {
        return Err(ApiError::invalid(at, "must be an object"));
    };
    match part.remove("type").as_ref().and_then(Value::as_str) {
        Some("text" | "input_text" | "output_text") => {}
        _ => return Err(ApiError::invalid(format!("{at}.type"), "must be `text`")),
    }
    match part.remove("text") {
        Some(Value::String(text)) => Ok(text),
        _ => Err(ApiError::invalid(format!("{at}.text"), "must be a string")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn turns(value: Value) -> Vec<(ChatRole, String)> {
        let messages = messages("messages", Some(value)).unwrap();
        let turns = messages.into_iter();
        turns
            .map(|message| (message.role(), message.text))
            .collect()
    }

    #[test]
    fn a_history_is_taken_as_clients_send_it() {
        let found = turns(json!([
            { "role": "developer", "content": "Be brief." },
            { "role": "user", "content": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }] },
            { "role": "assistant", "content": "c", "refusal": null, "tool_calls": null, "annotations": [] },
            { "role": "assistant", "content": null },
            { "role": "user", "content": "So?" },
        ]));
        let expected = [
            (ChatRole::System, "Be brief."),
            (ChatRole::User, "a\nb"),
            (ChatRole::Assistant, "c"),
            (ChatRole::User, "So?"),
        ];
        assert_eq!(found, expected.map(|(role, text)| (role, text.to_owned())));
    }

    #[test]
    fn what_cannot_be_served_is_named() {
        for (param, list) in [
            ("messages", json!(1)),
            ("messages[0]", json!(["text"])),
            ("messages[0].role", json!([{ "content": "a" }])),
            (
                "messages[0].role",
                json!([{ "role": "tool", "content": "a" }]),
            ),
            ("messages[0].content", json!([{ "role": "user" }])),
            (
                "messages[0].content",
                json!([{ "role": "user", "content": 1 }]),
            ),
            (
                "messages[0].name",
                json!([{ "role": "user", "content": "a", "name": "n" }]),
            ),
            (
                "messages[1].tool_calls",
                json!([
                    { "role": "user", "content": "a" },
                    { "role": "assistant", "tool_calls": [{}] },
                ]),
            ),
            (
                "messages[0].content[0].type",
                json!([{ "role": "user", "content": [{ "type": "image_url", "image_url": {} }] }]),
            ),
            (
                "messages[0].content[0].text",
                json!([{ "role": "user", "content": [{ "type": "text" }] }]),
            ),
        ] {
            let error = messages("messages", Some(list)).unwrap_err().body();
            assert_eq!(error["error"]["param"], param, "{error}");
        }
        assert!(messages("messages", None).is_err());
    }
}
