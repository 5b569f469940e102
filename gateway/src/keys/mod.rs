//! API keys: how they are made, what a request may use, and the credit that pays for it.

mod credit;
mod usage;

use rand::Rng;
use rand::distributions::Alphanumeric;
use rand::rngs::OsRng;
use sha2::{Digest, Sha256};

use crate::store::keys::Key;

pub(crate) use credit::{Account, Credits, Hold, NoHold, Short};
pub(crate) use usage::{Exceeded, Rate, Spent, Ticket, Usage};

/// What every key begins with.
const PREFIX: &str = "poq-";
/// Random characters of a key, each one of 62: as much as 32 random bytes.
const LETTERS: usize = 43;
/// Characters that are stored, to recognise a key by.
const SHOWN: usize = 8;

/// A new key, which is shown once.
pub(crate) struct Secret {
    /// The key.
    pub text: String,
    /// What is stored of it.
    pub digest: [u8; 32],
    /// Its first characters.
    pub prefix: String,
}

impl Secret {
    /// A key from the operating system's random generator.
    pub(crate) fn random() -> Self {
        let letters = OsRng.sample_iter(Alphanumeric).take(LETTERS);
        let text: String = PREFIX.chars().chain(letters.map(char::from)).collect();
        Self {
            digest: digest(&text),
            prefix: text.chars().take(SHOWN).collect(),
            text,
        }
    }
}

/// What a key is looked up by. The lookup's time tells only about digests, which nobody can choose.
pub(crate) fn digest(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

impl Key {
    /// Whether the key may be used at a time, seconds since 1970.
    pub(crate) fn is_valid(&self, now: u64) -> bool {
        self.revoked.is_none() && self.expires.is_none_or(|end| now < end)
    }

    /// Whether it may use a model.
    pub(crate) fn may_use(&self, model: &str) -> bool {
        let models = self.models.as_ref();
        models.is_none_or(|models| models.iter().any(|allowed| allowed == model))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_long_and_differ() {
        let (one, two) = (Secret::random(), Secret::random());
        assert_ne!(one.text, two.text);
        let letters = one.text.strip_prefix("poq-").unwrap();
        assert_eq!(letters.len(), 43);
        assert!(letters.chars().all(|letter| letter.is_ascii_alphanumeric()));
        assert_eq!(one.digest, digest(&one.text));
        assert_eq!(one.prefix, one.text[..8]);
    }

    #[test]
    fn a_key_ends_and_allows_what_it_names() {
        let key = Key::default();
        assert!(key.is_valid(100) && key.may_use("m"));
        let key = Key {
            expires: Some(100),
            models: Some(vec!["m".into()]),
            ..Key::default()
        };
        assert!(key.is_valid(99) && !key.is_valid(100));
        assert!(key.may_use("m") && !key.may_use("n"));
        let revoked = Key {
            revoked: Some(1),
            ..Key::default()
        };
        assert!(!revoked.is_valid(0));
    }
}
