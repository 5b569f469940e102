//! One request of a client, fitted to the session that answers it.

use std::str::FromStr;

use poq_proto::v1::{Chat, ChatRole, SessionRules, SessionScoring, Terms};
use sha2::{Digest, Sha256};

use crate::money::Ordered;
use crate::store::duplicates::Token;
use crate::store::orders::Asker;

/// Least `max_answer_bytes` that the chain takes.
pub(crate) const LEAST_ANSWER: u32 = 64;

/// Which answers of a session are scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Tier {
    /// A sample.
    Sampled,
    /// All.
    All,
}

impl Tier {
    /// The name in requests and in the store.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Sampled => "sampled",
            Self::All => "all",
        }
    }

    /// The chain's name.
    pub(crate) fn scoring(self) -> SessionScoring {
        match self {
            Self::Sampled => SessionScoring::Sampled,
            Self::All => SessionScoring::All,
        }
    }
}

impl FromStr for Tier {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "sampled" => Ok(Self::Sampled),
            "all" => Ok(Self::All),
            other => Err(format!("`{other}` is not one of sampled, all")),
        }
    }
}

/// A request.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    /// The chat; its `max_answer_bytes` is the most that the client wants.
    pub chat: Chat,
    /// Which sessions may answer it.
    pub tier: Tier,
    /// The most that it may cost, base units.
    pub max_price: Option<u64>,
    /// Whether the client reads the answer while it comes.
    pub is_stream: bool,
    /// Who asks.
    pub asker: Asker,
    /// What a repetition is recognised by.
    pub token: Option<Token>,
    /// Whether a client that leaves may come back for its answer.
    pub may_return: bool,
}

/// Why no answer to a chat can be ordered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Misfit {
    /// The prompt is too long.
    #[error("the messages have {bytes} bytes of text, but the model takes at most {most}")]
    Prompt {
        /// Bytes of the prompt.
        bytes: u64,
        /// The most that are taken.
        most: u64,
    },
    /// The price is too low even for a short answer.
    #[error("the shortest answer to it may cost {price}, but at most {most} is allowed")]
    Price {
        /// Price of the shortest answer that can be ordered, base units.
        price: u64,
        /// The most that is allowed, base units.
        most: u64,
    },
}

impl Ask {
    /// The chat as it is ordered in a session with these terms and rules: with the longest answer that
    /// client, chain and price allow.
    ///
    /// # Errors
    /// [`Misfit`].
    pub(crate) fn fitted(
        &self,
        terms: &Terms,
        rules: &SessionRules,
    ) -> Result<(Chat, Ordered), Misfit> {
        let bytes = self.chat.prompt_bytes();
        let most = u64::from(rules.max_prompt_bytes);
        let Some(prompt_bytes) = u32::try_from(bytes).ok().filter(|_| bytes <= most) else {
            return Err(Misfit::Prompt { bytes, most });
        };
        let most = self
            .max_price
            .unwrap_or(u64::MAX)
            .min(rules.max_order_price);
        let price = terms.price(bytes, LEAST_ANSWER.into());
        if price > most {
            return Err(Misfit::Price { price, most });
        }
        let left = most - terms.price(bytes, 0);
        let affordable = left.checked_div(terms.price_per_answer_byte);
        let affordable = affordable.and_then(|bytes| u32::try_from(bytes).ok());
        let max_answer_bytes = self
            .chat
            .max_answer_bytes
            .max(LEAST_ANSWER)
            .min(rules.max_answer_bytes)
            .min(affordable.unwrap_or(u32::MAX));
        let chat = Chat {
            max_answer_bytes,
            ..self.chat.clone()
        };
        let ordered = Ordered {
            request: chat.digest(),
            prompt_bytes,
            max_answer_bytes,
            min_quality: chat.min_quality,
            ceiling: terms.price(bytes, max_answer_bytes.into()),
        };
        Ok((chat, ordered))
    }

    /// The same for all turns of a conversation: a digest of its messages up to the user's first one.
    pub(crate) fn conversation(&self) -> [u8; 32] {
        let mut digest = Sha256::new();
        for message in &self.chat.messages {
            digest.update((message.text.len() as u64).to_be_bytes());
            digest.update(&message.text);
            if message.role() == ChatRole::User {
                break;
            }
        }
        digest.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use poq_proto::v1::ChatMessage;

    use super::*;

    fn ask(text: &str, max_answer_bytes: u32, max_price: Option<u64>) -> Ask {
        let message = |role: ChatRole, text: &str| ChatMessage {
            role: role.into(),
            text: text.into(),
        };
        Ask {
            chat: Chat {
                messages: vec![message(ChatRole::User, text)],
                max_answer_bytes,
                ..Chat::default()
            },
            tier: Tier::Sampled,
            max_price,
            is_stream: false,
            asker: Asker {
                key: 1,
                group: None,
                request_id: String::new(),
            },
            token: None,
            may_return: false,
        }
    }

    fn terms() -> Terms {
        Terms {
            base_price: 100,
            price_per_prompt_byte: 1,
            price_per_answer_byte: 10,
            ..Terms::default()
        }
    }

    fn rules() -> SessionRules {
        SessionRules {
            max_prompt_bytes: 50,
            max_answer_bytes: 1000,
            max_order_price: 5_000,
            ..SessionRules::default()
        }
    }

    #[test]
    fn the_longest_answer_is_what_client_chain_and_price_allow() {
        let bytes = |max_answer_bytes, max_price| {
            let ask = ask("0123456789", max_answer_bytes, max_price);
            let (chat, ordered) = ask.fitted(&terms(), &rules()).unwrap();
            assert_eq!(ordered.request, chat.digest());
            assert_eq!(ordered.ceiling, 110 + 10 * u64::from(chat.max_answer_bytes));
            assert!(ordered.ceiling <= max_price.unwrap_or(5_000));
            chat.max_answer_bytes
        };
        assert_eq!(bytes(200, None), 200);
        assert_eq!(bytes(1, None), LEAST_ANSWER);
        assert_eq!(bytes(u32::MAX, None), 489);
        assert_eq!(bytes(u32::MAX, Some(1_119)), 100);
        assert_eq!(bytes(u32::MAX, Some(750)), LEAST_ANSWER);
    }

    #[test]
    fn what_fits_nowhere_is_said() {
        let misfit = |text: &str, price| ask(text, 64, price).fitted(&terms(), &rules()).err();
        let prompt = Misfit::Prompt {
            bytes: 51,
            most: 50,
        };
        assert_eq!(misfit(&"a".repeat(51), None), Some(prompt));
        let price = Misfit::Price {
            price: 741,
            most: 740,
        };
        assert_eq!(misfit("a", Some(740)), Some(price));
        assert_eq!(misfit("a", Some(741)), None);
    }

    #[test]
    fn later_turns_belong_to_the_same_conversation() {
        let first = ask("Why?", 64, None);
        let mut later = first.clone();
        later
            .chat
            .messages
            .extend(ask("And then?", 64, None).chat.messages);
        assert_eq!(first.conversation(), later.conversation());
        assert_ne!(first.conversation(), ask("Who?", 64, None).conversation());
    }
}
