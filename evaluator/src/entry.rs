//! The journal's record of a seat: the score and its salt.
//!
//! Losing an entry costs no stake: the salt is derived from the operator's key, and the score can
//! be computed again ([`Entry::opening`]).

use poq_proto::commitment;
use poq_worker::Seat;
use serde::{Deserialize, Serialize};

/// Domain separator of salts.
const SALT_DOMAIN: &[u8] = b"poq/salt/v1";
/// Largest difference between two computations of a score, in micro-logits: far more than other
/// threads, batches or processors cause.
const REACH: i32 = 20_000;

/// The evaluator's record of a seat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entry {
    /// The seat.
    #[serde(flatten)]
    pub seat: Seat,
    /// The task's chain.
    pub chain_id: String,
    /// Digest of prompt and answer, see [`pair_digest`].
    pub pair_sha256: String,
    /// In micro-logits.
    pub raw_score: i32,
    /// 32 unpredictable bytes, see [`Entry::new`].
    #[serde(with = "hex::serde")]
    pub salt: [u8; 32],
}

impl Entry {
    /// Creates an entry. Its salt is the same on every machine with the operator's key, with which
    /// `mac` is keyed ([`poq_client::Key::mac`]). The input is the domain, length and bytes of the
    /// chain's id, task, attempt (big-endian integers, the length a `u64`), and the digest of the
    /// pair, so that salts of an earlier network with the same id are of no use.
    pub(crate) fn new(
        mac: impl FnOnce(&[u8]) -> [u8; 32],
        seat: Seat,
        chain_id: &str,
        pair_sha256: String,
        raw_score: i32,
    ) -> Self {
        let message = [
            SALT_DOMAIN,
            &(chain_id.len() as u64).to_be_bytes(),
            chain_id.as_bytes(),
            &seat.task.to_be_bytes(),
            &seat.attempt.to_be_bytes(),
            pair_sha256.as_bytes(),
        ];
        Self {
            salt: mac(&message.concat()),
            seat,
            chain_id: chain_id.to_owned(),
            pair_sha256,
            raw_score,
        }
    }

    /// The commitment of the evaluator with this 20-byte account address.
    pub(crate) fn commitment(&self, evaluator: &[u8; 20]) -> [u8; 32] {
        commitment(
            &self.chain_id,
            self.seat.task,
            self.seat.attempt,
            evaluator,
            self.raw_score,
            &self.salt,
        )
    }

    /// The entry that opens this evaluator's commitment `committed`: this one, or one with a nearby
    /// score. Another machine, or another batch on this one, rounds differently.
    pub(crate) fn opening(self, committed: &[u8; 32], evaluator: &[u8; 20]) -> Option<Self> {
        let scores = (0..=REACH).flat_map(|distance| {
            let (up, down) = (
                self.raw_score.saturating_add(distance),
                self.raw_score.saturating_sub(distance),
            );
            [up, down]
        });
        let mut candidate = self.clone();
        for raw_score in scores {
            candidate.raw_score = raw_score;
            if candidate.commitment(evaluator) == *committed {
                return Some(candidate);
            }
        }
        None
    }
}

/// SHA-256 of the lengths and bytes of both texts: distinguishes this task from one with the same
/// number on a network that was restarted from genesis.
pub(crate) fn pair_digest(prompt: &str, answer: &str) -> String {
    let mut content = Vec::with_capacity(16 + prompt.len() + answer.len());
    for text in [prompt, answer] {
        content.extend((text.len() as u64).to_be_bytes());
        content.extend(text.as_bytes());
    }
    poq_client::digest::of_bytes(&content)
}

#[cfg(test)]
mod tests {
    use poq_client::Key;

    use super::*;

    const EVALUATOR: [u8; 20] = [9; 20];

    fn entry(secret: u8, task: u64, attempt: u32, chain_id: &str, answer: &str) -> Entry {
        let key = Key::from_bytes(&[secret; 32]).unwrap();
        let mac = |message: &[u8]| key.mac(message);
        let pair = pair_digest("p", answer);
        Entry::new(mac, Seat { task, attempt }, chain_id, pair, -5)
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
    fn a_salt_is_made_again_from_the_key_and_differs_in_everything_else() {
        let base = entry(7, 1, 0, "poq-1", "a");
        assert_eq!(base, entry(7, 1, 0, "poq-1", "a"));
        let others = [
            entry(8, 1, 0, "poq-1", "a"),
            entry(7, 2, 0, "poq-1", "a"),
            entry(7, 1, 1, "poq-1", "a"),
            entry(7, 1, 0, "poq-2", "a"),
            entry(7, 1, 0, "poq-1", "b"),
        ];
        assert!(others.iter().all(|other| other.salt != base.salt));
        let expected = commitment("poq-1", 1, 0, &EVALUATOR, -5, &base.salt);
        assert_eq!(base.commitment(&EVALUATOR), expected);
    }

    #[test]
    fn a_salt_is_what_the_documentation_says() {
        // hmac.new(bytes([7] * 32), b"poq/salt/v1" + (5).to_bytes(8) + b"poq-1" + (1).to_bytes(8)
        //     + (0).to_bytes(4) + pair.encode(), "sha256").hexdigest()
        let expected = "c6dcaf2b4c8d498fc6b522e92e5b0efe921aa45be1432238910d9ed08af268f3";
        assert_eq!(hex::encode(entry(7, 1, 0, "poq-1", "a").salt), expected);
    }

    #[test]
    fn a_score_that_was_rounded_otherwise_still_opens_the_commitment() {
        let committed = |score| {
            let mut entry = entry(7, 1, 0, "poq-1", "a");
            entry.raw_score = score;
            (entry.commitment(&EVALUATOR), entry)
        };
        for score in [-5, -4, -6, -5 + REACH, -5 - REACH] {
            let (commitment, expected) = committed(score);
            let opened = entry(7, 1, 0, "poq-1", "a").opening(&commitment, &EVALUATOR);
            assert_eq!(opened, Some(expected));
        }
        let (commitment, _) = committed(-6 - REACH);
        let opened = entry(7, 1, 0, "poq-1", "a").opening(&commitment, &EVALUATOR);
        assert_eq!(opened, None);
        // With another key.
        let other = entry(8, 1, 0, "poq-1", "a").commitment(&EVALUATOR);
        let opened = entry(7, 1, 0, "poq-1", "a").opening(&other, &EVALUATOR);
        assert_eq!(opened, None);
    }

    #[test]
    fn the_pair_digest_tells_where_the_prompt_ends() {
        assert_ne!(pair_digest("ab", "c"), pair_digest("a", "bc"));
    }
}
