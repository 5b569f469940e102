//! Chats of orders: what the chain, the model and this node take, and the request to the model.

use poq_client::session::{Refusal, RefusalCode};
use poq_proto::PPM;
use poq_proto::v1::{self, ChatRole, Session};

use super::log::Asked;
use super::refusals::refusal;
use crate::generator::{self, Message, Prompt, Recommended, Request, Speaker};

/// The fewest bytes that an order must allow for its answer.
const LEAST_ANSWER_BYTES: u32 = 64;

/// What this node takes, besides the rules of the chain.
#[derive(Clone, Debug)]
pub(super) struct Limits {
    /// Id of the model.
    pub model: String,
    /// Longest prompt that the model reads, in bytes.
    pub max_prompt_bytes: u32,
    /// Most tokens of an answer.
    pub max_tokens: usize,
    /// Highest quality that an order may demand, ppm.
    pub max_min_quality: u32,
}

/// What the chat asks for, if the session and this node take it.
///
/// # Errors
/// [`RefusalCode::Chat`], [`RefusalCode::Quality`].
pub(super) fn check(chat: &v1::Chat, session: &Session, limits: &Limits) -> Result<Asked, Refusal> {
    let rules = session.rules.unwrap_or_default();
    let terms = session.terms.unwrap_or_default();
    let wrong = |message: String| refusal(RefusalCode::Chat, message);
    if let Some(fault) = chat.fault() {
        return Err(wrong(fault));
    }
    if chat.model != session.model || chat.model != limits.model {
        let (asked, model) = (&chat.model, &session.model);
        return Err(wrong(format!(
            "the session is about `{model}`, not `{asked}`"
        )));
    }
    let most = rules.max_prompt_bytes.min(limits.max_prompt_bytes);
    let bytes = u32::try_from(chat.prompt_bytes()).unwrap_or(u32::MAX);
    if bytes > most {
        return Err(wrong(format!(
            "the prompt has {bytes} bytes, and the model reads at most {most}: shorten it"
        )));
    }
    let answers = LEAST_ANSWER_BYTES..=rules.max_answer_bytes;
    if !answers.contains(&chat.max_answer_bytes) {
        let (least, most) = answers.into_inner();
        return Err(wrong(format!(
            "max_answer_bytes must be in {least}..={most}"
        )));
    }
    chat.sampling
        .unwrap_or_default()
        .validate()
        .map_err(wrong)?;
    if chat.min_quality > terms.quality_target {
        let most = terms.quality_target;
        return Err(wrong(format!("min_quality must be at most {most}")));
    }
    if chat.min_quality > limits.max_min_quality {
        let most = limits.max_min_quality;
        let message = format!("this node promises a quality of at most {most}");
        return Err(refusal(RefusalCode::Quality, message));
    }
    Ok(Asked {
        request: chat.digest(),
        prompt_bytes: bytes,
        max_answer_bytes: chat.max_answer_bytes,
        min_quality: chat.min_quality,
    })
}

/// The request to the model for a chat that was checked.
pub(super) fn request(chat: &v1::Chat, max_tokens: usize, recommended: Recommended) -> Request {
    let sampling = chat.sampling.unwrap_or_default();
    let share = |ppm: u32| f64::from(ppm) / PPM as f64;
    let given = |ppm: u32| (ppm > 0).then(|| share(ppm));
    let asked = generator::Asked {
        temperature: sampling.temperature.map(share),
        top_p: given(sampling.top_p),
        repetition_penalty: given(sampling.repetition_penalty),
    };
    Request {
        prompt: Prompt::Chat(turns(&chat.messages)),
        sampling: recommended.complete(asked, chat.seed),
        max_tokens: match sampling.max_tokens {
            0 => max_tokens,
            asked => max_tokens.min(asked as usize),
        },
        max_bytes: chat.max_answer_bytes as usize,
        stop: chat.stop.clone(),
    }
}

/// The messages, with neighbours of one speaker joined: many chat templates require alternating roles.
fn turns(messages: &[v1::ChatMessage]) -> Vec<Message> {
    let mut turns: Vec<Message> = Vec::with_capacity(messages.len());
    for message in messages {
        let speaker = match message.role() {
            ChatRole::System => Speaker::System,
            ChatRole::Assistant => Speaker::Assistant,
            ChatRole::User | ChatRole::Unspecified => Speaker::User,
        };
        match turns.last_mut() {
            Some(turn) if turn.speaker == speaker => {
                turn.text.push_str("\n\n");
                turn.text.push_str(&message.text);
            }
            _ => turns.push(Message {
                speaker,
                text: message.text.clone(),
            }),
        }
    }
    turns
}

#[cfg(test)]
mod tests {
    use poq_proto::v1::{ChatMessage, Sampling, SessionRules, Terms};

    use super::*;

    fn message(role: ChatRole, text: &str) -> ChatMessage {
        ChatMessage {
            role: role.into(),
            text: text.into(),
        }
    }

    fn chat() -> v1::Chat {
        v1::Chat {
            model: "m".into(),
            messages: vec![message(ChatRole::User, "Why?")],
            max_answer_bytes: 100,
            min_quality: 500_000,
            ..v1::Chat::default()
        }
    }

    fn session() -> Session {
        Session {
            model: "m".into(),
            terms: Some(Terms {
                quality_target: 800_000,
                ..Terms::default()
            }),
            rules: Some(SessionRules {
                max_prompt_bytes: 10,
                max_answer_bytes: 1_000,
                ..SessionRules::default()
            }),
            ..Session::default()
        }
    }

    fn limits() -> Limits {
        Limits {
            model: "m".into(),
            max_prompt_bytes: 8,
            max_tokens: 50,
            max_min_quality: 600_000,
        }
    }

    #[test]
    fn a_chat_within_all_limits_is_taken() {
        let expected = Asked {
            request: chat().digest(),
            prompt_bytes: 4,
            max_answer_bytes: 100,
            min_quality: 500_000,
        };
        assert_eq!(check(&chat(), &session(), &limits()).unwrap(), expected);
    }

    #[test]
    fn what_breaks_a_limit_is_refused_with_its_name() {
        let sampled = |sampling| v1::Chat {
            sampling: Some(sampling),
            ..chat()
        };
        let sampling = Sampling::default();
        for (chat, reason) in [
            (v1::Chat::default(), "1 to 256 messages"),
            (
                v1::Chat {
                    model: "other".into(),
                    ..chat()
                },
                "`other`",
            ),
            (
                v1::Chat {
                    messages: vec![message(ChatRole::User, "123456789")],
                    ..chat()
                },
                "at most 8",
            ),
            (
                v1::Chat {
                    max_answer_bytes: 63,
                    ..chat()
                },
                "max_answer_bytes",
            ),
            (
                v1::Chat {
                    max_answer_bytes: 1_001,
                    ..chat()
                },
                "max_answer_bytes",
            ),
            (
                v1::Chat {
                    min_quality: 800_001,
                    ..chat()
                },
                "min_quality",
            ),
            (
                sampled(Sampling {
                    temperature: Some(2_000_001),
                    ..sampling
                }),
                "temperature",
            ),
        ] {
            let refusal = check(&chat, &session(), &limits()).unwrap_err();
            assert_eq!(refusal.code, RefusalCode::Chat, "{reason}");
            assert!(refusal.message.contains(reason), "{}", refusal.message);
        }
        let demanding = v1::Chat {
            min_quality: 700_000,
            ..chat()
        };
        let refusal = check(&demanding, &session(), &limits()).unwrap_err();
        assert_eq!(refusal.code, RefusalCode::Quality);
    }

    #[test]
    fn roles_sampling_and_limits_reach_the_model() {
        let chat = v1::Chat {
            messages: vec![
                message(ChatRole::System, "s"),
                message(ChatRole::User, "u1"),
                message(ChatRole::User, "u2"),
                message(ChatRole::Assistant, "a"),
            ],
            sampling: Some(Sampling {
                temperature: Some(500_000),
                top_p: 900_000,
                max_tokens: 9,
                ..Sampling::default()
            }),
            seed: 7,
            stop: vec!["END".into()],
            ..chat()
        };
        let found = request(&chat, 50, Recommended::default());
        let Prompt::Chat(turns) = found.prompt else {
            panic!("it is a chat");
        };
        let turns: Vec<_> = turns
            .iter()
            .map(|turn| (turn.speaker, turn.text.as_str()))
            .collect();
        let expected = [
            (Speaker::System, "s"),
            (Speaker::User, "u1\n\nu2"),
            (Speaker::Assistant, "a"),
        ];
        assert_eq!(turns, expected);
        let sampling = found.sampling;
        assert_eq!(
            (
                sampling.temperature,
                sampling.top_p,
                sampling.repetition_penalty,
                sampling.seed
            ),
            (0.5, 0.9, 1.0, 7)
        );
        assert_eq!((found.max_tokens, found.max_bytes), (9, 100));
        assert_eq!(found.stop, ["END"]);
        let open = v1::Chat {
            sampling: None,
            ..chat
        };
        assert_eq!(request(&open, 50, Recommended::default()).max_tokens, 50);
    }
}
