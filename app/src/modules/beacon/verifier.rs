use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use sha2::{Digest, Sha256};

use crate::vrf::{self, EXTENSION_BYTES, Input};

/// Heights that stay in memory: those of a block's own votes, and of the votes that its proposal
/// carries.
const HEIGHTS: u64 = 3;

/// The digest of the last valid extension of each key, by height.
type Valid = BTreeMap<u64, BTreeMap<Vec<u8>, [u8; 32]>>;

/// Verifies outputs and remembers the valid ones: a node gets each of them in a vote, in proposals
/// and in the block.
///
/// A result depends only on the key, the input and the extension: the memory stores a digest of all
/// three. So nodes with different memories agree.
#[derive(Debug, Default)]
pub struct Verifier {
    valid: Mutex<Valid>,
}

impl Verifier {
    /// [`vrf::verify`], with the memory.
    pub fn verify(&self, key: &[u8], input: &Input<'_>, extension: &[u8]) -> Option<[u8; 32]> {
        let bytes: &[u8; EXTENSION_BYTES] = extension.try_into().ok()?;
        let digest = digest(input, bytes);
        let known = self
            .valid()
            .get(&input.height)
            .and_then(|keys| keys.get(key))
            .is_some_and(|known| *known == digest);
        if known {
            return bytes.first_chunk().copied();
        }
        let output = vrf::verify(key, input, extension)?;
        let mut valid = self.valid();
        *valid = valid.split_off(&input.height.saturating_sub(HEIGHTS));
        valid
            .entry(input.height)
            .or_default()
            .insert(key.to_vec(), digest);
        Some(output)
    }

    fn valid(&self) -> MutexGuard<'_, Valid> {
        self.valid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The parts after the chain's id have fixed lengths, so no two cases have the same bytes.
fn digest(input: &Input<'_>, extension: &[u8; EXTENSION_BYTES]) -> [u8; 32] {
    Sha256::new()
        .chain_update(input.chain_id)
        .chain_update(input.height.to_be_bytes())
        .chain_update(input.previous)
        .chain_update(input.validator)
        .chain_update(extension)
        .finalize()
        .into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::vrf::Secret;

    #[test]
    fn what_is_remembered_changes_no_answer() {
        let (verifier, secret) = (Verifier::default(), Secret::from_seed(&[1; 32]).unwrap());
        let other = Secret::from_seed(&[2; 32]).unwrap();
        for height in 1..9 {
            let input = Input {
                chain_id: "poq-test-1",
                height,
                previous: [5; 32],
                validator: &[9; 20],
            };
            let extension = secret.extension(&input);
            let mut wrong = extension;
            wrong[40] ^= 1;
            for _ in 0..2 {
                let key = secret.public_key();
                let output = verifier.verify(&key, &input, &extension).unwrap();
                assert_eq!(output, extension[..32]);
                assert_eq!(verifier.verify(&key, &input, &wrong), None);
                assert_eq!(
                    verifier.verify(&other.public_key(), &input, &extension),
                    None
                );
                let later = Input {
                    previous: [6; 32],
                    ..input.clone()
                };
                assert_eq!(verifier.verify(&key, &later, &extension), None);
                let copied = Input {
                    validator: &[8; 20],
                    ..input.clone()
                };
                assert_eq!(verifier.verify(&key, &copied, &extension), None);
            }
        }
        assert!(verifier.valid().len() <= 4);
    }
}
