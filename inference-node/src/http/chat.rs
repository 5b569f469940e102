//! The body of `POST /v1/chat/completions`.

use serde::Deserialize;

use super::settings::{Invalid, Settings, invalid};
use crate::generator::{Message, Prompt, Speaker};

/// A conversation to continue.
#[derive(Debug, Deserialize)]
pub(super) struct ChatRequest {
    /// Id of the model.
    pub model: String,
    messages: Vec<ChatMessage>,
    /// How the answer is generated and sent.
    #[serde(flatten)]
    pub settings: Settings,
}

#[derive(Debug, Deserialize)]
struct ChatMessage {
    role: String,
    /// Null or absent if the model called a tool instead of answering.
    content: Option<Content>,
}

#[derive(Debug, Deserialize)]
#[serde(
    untagged,
    expecting = "`content` of `messages` must be a string or a list of parts of type `text`"
)]
enum Content {
    Text(String),
    Parts(Vec<Part>),
}

#[derive(Debug, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
enum Part {
    Text { text: String },
}

impl ChatRequest {
    /// The conversation, and how to generate the answer.
    ///
    /// # Errors
    /// The first invalid message.
    pub(super) fn parts(self) -> Result<(Prompt, Settings), Invalid> {
        if self.messages.is_empty() {
            return Err(invalid("messages", "must have at least one message"));
        }
        let mut turns: Vec<Message> = Vec::with_capacity(self.messages.len());
        for message in self.messages {
            let speaker = speaker(&message.role)?;
            let text = message.content.map(text).unwrap_or_default();
            match turns.last_mut() {
                // Many chat templates require alternating roles.
                Some(turn) if turn.speaker == speaker => join(&mut turn.text, &text),
                _ => turns.push(Message { speaker, text }),
            }
        }
        Ok((Prompt::Chat(turns), self.settings))
    }
}

fn join(turn: &mut String, text: &str) {
    if !turn.is_empty() && !text.is_empty() {
        turn.push_str("\n\n");
    }
    turn.push_str(text);
}

fn speaker(role: &str) -> Result<Speaker, Invalid> {
    match role {
        "system" | "developer" => Ok(Speaker::System),
        // A tool's result is passed as a user message: few chat templates know tools.
        "user" | "tool" | "function" => Ok(Speaker::User),
        "assistant" => Ok(Speaker::Assistant),
        role => {
            let roles = "system, developer, user, assistant, tool";
            let message = format!("the role `{role}` is not one of {roles}");
            Err(invalid("messages", message))
        }
    }
}

fn text(content: Content) -> String {
    match content {
        Content::Text(text) => text,
        Content::Parts(parts) => parts
            .into_iter()
            .map(|Part::Text { text }| text)
            .collect::<Vec<_>>()
            .join("\n"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn turns(messages: Value) -> Result<Vec<(Speaker, String)>, Invalid> {
        let body = json!({ "model": "m", "messages": messages });
        let request: ChatRequest = serde_json::from_value(body).unwrap();
        let Prompt::Chat(turns) = request.parts()?.0 else {
            panic!("it is a chat");
        };
        let turns = turns.into_iter().map(|turn| (turn.speaker, turn.text));
        Ok(turns.collect())
    }

    #[test]
    fn a_history_with_tools_becomes_turns_in_alternation() {
        let found = turns(json!([
            { "role": "developer", "content": "Be brief." },
            { "role": "user", "content": [{ "type": "text", "text": "a" }, { "type": "text", "text": "b" }] },
            { "role": "assistant", "content": null, "tool_calls": [{}] },
            { "role": "tool", "tool_call_id": "1", "content": "21 degrees" },
            { "role": "tool", "tool_call_id": "2", "content": "rain" },
            { "role": "assistant" },
            { "role": "user", "content": "" },
            { "role": "user", "content": "So?" },
        ]));
        let expected = [
            (Speaker::System, "Be brief."),
            (Speaker::User, "a\nb"),
            (Speaker::Assistant, ""),
            (Speaker::User, "21 degrees\n\nrain"),
            (Speaker::Assistant, ""),
            (Speaker::User, "So?"),
        ];
        let expected = expected.map(|(speaker, text)| (speaker, text.to_owned()));
        assert_eq!(found.unwrap(), expected);
    }

    #[test]
    fn no_messages_and_other_roles_are_refused() {
        for messages in [json!([]), json!([{ "role": "robot", "content": "Hi" }])] {
            assert_eq!(turns(messages).unwrap_err().param, "messages");
        }
        let picture =
            json!([{ "role": "user", "content": [{ "type": "image_url", "image_url": {} }] }]);
        let body = json!({ "model": "m", "messages": picture });
        let error = serde_json::from_value::<ChatRequest>(body).unwrap_err();
        assert!(error.to_string().contains("messages"), "{error}");
    }
}
