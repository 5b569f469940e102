//! Chats of sessions: their digest, their size, and the text that evaluators judge an answer by.

use prost::Message;
use sha2::{Digest, Sha256};

use crate::v1::{Chat, ChatMessage, ChatRole};

/// The most messages of a chat.
pub const MAX_CHAT_MESSAGES: usize = 256;
/// The most stop texts of a chat.
pub const MAX_STOP_TEXTS: usize = 4;
/// The longest stop text, bytes.
pub const MAX_STOP_BYTES: usize = 64;

impl Chat {
    /// SHA-256 of the canonical encoding: what a voucher orders.
    pub fn digest(&self) -> [u8; 32] {
        Sha256::digest(self.encode_to_vec()).into()
    }

    /// Bytes of the texts of all messages, which the price depends on.
    pub fn prompt_bytes(&self) -> u64 {
        let bytes = self
            .messages
            .iter()
            .map(|message| message.text.len() as u64);
        bytes.fold(0, u64::saturating_add)
    }

    /// The prompt that evaluators judge the answer by: the last user message, then the others from the
    /// newest to the oldest, system messages last, joined by two line breaks. A judge reads the first
    /// tokens of a long prompt, so what the answer is about comes first.
    pub fn scoring_text(&self) -> String {
        let question = self
            .messages
            .iter()
            .rposition(|message| message.role() == ChatRole::User);
        let rest = || {
            let numbered = self.messages.iter().enumerate().rev();
            numbered
                .filter(|(number, _)| Some(*number) != question)
                .map(|(_, message)| message)
        };
        let is_system = |message: &&ChatMessage| message.role() == ChatRole::System;
        let texts: Vec<_> = question
            .and_then(|number| self.messages.get(number))
            .into_iter()
            .chain(rest().filter(|message| !is_system(message)))
            .chain(rest().filter(is_system))
            .map(|message| message.text.as_str())
            .collect();
        texts.join("\n\n")
    }

    /// Why the chat has not the form of one, whatever the limits of chain and model are.
    pub fn fault(&self) -> Option<String> {
        let Self { messages, stop, .. } = self;
        if !(1..=MAX_CHAT_MESSAGES).contains(&messages.len()) {
            return Some(format!(
                "a chat has 1 to {MAX_CHAT_MESSAGES} messages, got {}",
                messages.len()
            ));
        }
        for (number, message) in messages.iter().enumerate() {
            if message.role() == ChatRole::Unspecified {
                return Some(format!("message {number} has no known role"));
            }
            if message.text.is_empty() {
                return Some(format!("message {number} is empty"));
            }
        }
        let is_question = |message: &ChatMessage| {
            message.role() == ChatRole::User && !message.text.trim().is_empty()
        };
        if !messages.iter().any(is_question) {
            return Some(
                "a chat needs a message of the user that is not only white space".to_owned(),
            );
        }
        let is_stop = |text: &String| (1..=MAX_STOP_BYTES).contains(&text.len());
        if stop.len() > MAX_STOP_TEXTS || !stop.iter().all(is_stop) {
            return Some(format!(
                "a chat has at most {MAX_STOP_TEXTS} stop texts of 1 to {MAX_STOP_BYTES} bytes"
            ));
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chat(messages: &[(ChatRole, &str)]) -> Chat {
        let message = |(role, text): &(ChatRole, &str)| ChatMessage {
            role: (*role).into(),
            text: (*text).into(),
        };
        Chat {
            messages: messages.iter().map(message).collect(),
            ..Chat::default()
        }
    }

    const SYSTEM: ChatRole = ChatRole::System;
    const USER: ChatRole = ChatRole::User;
    const ASSISTANT: ChatRole = ChatRole::Assistant;

    #[test]
    fn the_question_comes_first_and_the_system_last() {
        let one = chat(&[(USER, "Why?")]);
        assert_eq!(one.scoring_text(), "Why?");
        let turns = chat(&[
            (SYSTEM, "s1"),
            (USER, "u1"),
            (ASSISTANT, "a1"),
            (SYSTEM, "s2"),
            (USER, "u2"),
        ]);
        assert_eq!(turns.scoring_text(), "u2\n\na1\n\nu1\n\ns2\n\ns1");
        let prefilled = chat(&[(USER, "u1"), (ASSISTANT, "a1")]);
        assert_eq!(prefilled.scoring_text(), "u1\n\na1");
        assert_eq!(turns.prompt_bytes(), 10);
        assert_eq!(chat(&[]).scoring_text(), "");
    }

    #[test]
    fn chats_of_another_form_are_refused() {
        let refused = |chat: Chat, reason: &str| {
            let fault = chat.fault().unwrap_or_default();
            assert!(fault.contains(reason), "{fault:?} is not about {reason:?}");
        };
        assert_eq!(chat(&[(SYSTEM, "s"), (USER, "u")]).fault(), None);
        refused(chat(&[]), "1 to 256 messages");
        refused(chat(&vec![(USER, "u"); 257]), "1 to 256 messages");
        refused(
            chat(&[(USER, "u"), (ChatRole::Unspecified, "x")]),
            "message 1 has no known role",
        );
        refused(chat(&[(USER, "u"), (ASSISTANT, "")]), "message 1 is empty");
        refused(chat(&[(SYSTEM, "s")]), "needs a message of the user");
        refused(chat(&[(USER, " \n")]), "white space");
        for stop in [
            vec![String::new()],
            vec!["s".repeat(65)],
            vec!["s".into(); 5],
        ] {
            refused(
                Chat {
                    stop,
                    ..chat(&[(USER, "u")])
                },
                "stop texts",
            );
        }
    }

    #[test]
    fn the_digest_binds_what_is_asked() {
        let base = chat(&[(USER, "Why?")]);
        let others = [
            chat(&[(SYSTEM, "Why?")]),
            chat(&[(USER, "Why")]),
            Chat {
                seed: 1,
                ..base.clone()
            },
            Chat {
                model: "m".into(),
                ..base.clone()
            },
            Chat {
                max_answer_bytes: 1,
                ..base.clone()
            },
            Chat {
                min_quality: 1,
                ..base.clone()
            },
            Chat {
                stop: vec!["x".into()],
                ..base.clone()
            },
        ];
        assert!(others.iter().all(|other| other.digest() != base.digest()));
    }
}
