//! Scores and salts on disk, before the chain hears of them: a crash between a commitment and its
//! reveal loses no stake. See [`poq_client::journal`].

use poq_client::journal;
use poq_proto::commitment;
use rand::RngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};

pub use poq_client::journal::{Error, Key as Seat};

/// The entries on disk.
pub type Journal = journal::Journal<Entry>;

/// What the evaluator must not forget about a seat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The seat.
    #[serde(flatten)]
    pub seat: Seat,
    /// The task's chain.
    pub chain_id: String,
    /// Of prompt and answer, see [`pair_digest`].
    pub pair_sha256: String,
    /// Micro-logits.
    pub raw_score: i32,
    /// 32 random bytes.
    #[serde(with = "hex::serde")]
    pub salt: [u8; 32],
}

impl Entry {
    /// An entry with a new random salt.
    pub fn new(seat: Seat, chain_id: &str, pair_sha256: String, raw_score: i32) -> Self {
        let mut salt = [0; 32];
        OsRng.fill_bytes(&mut salt);
        Self {
            seat,
            chain_id: chain_id.to_owned(),
            pair_sha256,
            raw_score,
            salt,
        }
    }

    /// The commitment of the evaluator with this 20-byte account address.
    pub fn commitment(&self, evaluator: &[u8; 20]) -> [u8; 32] {
        commitment(
            &self.chain_id,
            self.seat.task,
            self.seat.attempt,
            evaluator,
            self.raw_score,
            &self.salt,
        )
    }
}

/// SHA-256 of the lengths and bytes of both texts: tells an entry of this task from one of a
/// task with the same number on a network that was started anew.
pub fn pair_digest(prompt: &str, answer: &str) -> String {
    let mut content = Vec::with_capacity(16 + prompt.len() + answer.len());
    for text in [prompt, answer] {
        content.extend((text.len() as u64).to_be_bytes());
        content.extend(text.as_bytes());
    }
    crate::digest::of_bytes(&content)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry() -> Entry {
        let seat = Seat {
            task: 1,
            attempt: 0,
        };
        Entry::new(seat, "poq-local-1", pair_digest("p", "a"), -5)
    }

    #[test]
    fn the_form_on_disk_does_not_change() {
        let json = format!(
            r#"{{"task_id":1,"attempt":0,"chain_id":"c","pair_sha256":"d","raw_score":-5,"salt":"{}"}}"#,
            "07".repeat(32)
        );
        let entry: Entry = serde_json::from_str(&json).unwrap();
        assert_eq!((entry.seat.task, entry.salt), (1, [7; 32]));
        assert_eq!(serde_json::to_string(&entry).unwrap(), json);
    }

    #[test]
    fn salts_differ_and_the_commitment_opens() {
        let (one, two) = (entry(), entry());
        assert_ne!(one.salt, two.salt);
        let expected = commitment("poq-local-1", 1, 0, &[9; 20], -5, &one.salt);
        assert_eq!(one.commitment(&[9; 20]), expected);
    }

    #[test]
    fn the_pair_digest_tells_where_the_prompt_ends() {
        assert_ne!(pair_digest("ab", "c"), pair_digest("a", "bc"));
    }
}
