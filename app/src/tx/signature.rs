//! The signatures of transactions, and the memory of the valid ones.

use std::sync::{Mutex, MutexGuard, PoisonError};

use indexmap::IndexMap;
use sha2::{Digest as _, Sha256};

use crate::ecdsa::verify;

/// Signatures in one generation of the memory: those of several full blocks. Two generations take
/// about 10 MiB.
const GENERATION: usize = 1 << 15;

/// The digest of a key, a signature and the signed document.
pub(super) type Digest = [u8; 32];

/// Verifies signatures and remembers the valid ones, so that a transaction that this node checked
/// for its mempool costs little in the proposal and in the block.
///
/// A result depends only on the key, the signature and the document: the memory stores a digest of
/// all three. So nodes with different memories agree.
#[derive(Debug, Default)]
pub struct Verifier {
    valid: Mutex<Generations>,
}

impl Verifier {
    /// Whether `signature` is valid for `key` over `document`.
    pub fn verify(&self, key: &[u8], signature: &[u8], document: &[u8]) -> bool {
        self.verify_recalled(key, signature, document, None)
    }

    /// [`verify`](Self::verify); `recalled` is the result of [`recall`](Self::recall), if it was
    /// called.
    pub(super) fn verify_recalled(
        &self,
        key: &[u8],
        signature: &[u8],
        document: &[u8],
        recalled: Option<Digest>,
    ) -> bool {
        let message: [u8; 32] = Sha256::digest(document).into();
        // The lengths are fixed, so no other three parts have this digest.
        let (Ok(key), Ok(signature)) = (key.try_into(), signature.try_into()) else {
            return false;
        };
        let digest = digest(key, signature, &message);
        if recalled == Some(digest) || self.valid().get(signature) == Some(digest) {
            return true;
        }
        let valid = verify(key, signature, message);
        if valid {
            self.valid().insert(*signature, digest);
        }
        valid
    }

    /// The digest for which `signature` was recently found valid.
    pub(super) fn recall(&self, signature: &[u8]) -> Option<Digest> {
        self.valid().get(signature.try_into().ok()?)
    }

    fn valid(&self) -> MutexGuard<'_, Generations> {
        self.valid.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn digest(key: &[u8; 33], signature: &[u8; 64], message: &[u8; 32]) -> [u8; 32] {
    Sha256::new()
        .chain_update(key)
        .chain_update(signature)
        .chain_update(message)
        .finalize()
        .into()
}

/// The signatures that were inserted last, between one and two generations, with the digests for
/// which they were found valid.
#[derive(Debug, Default)]
struct Generations {
    young: IndexMap<[u8; 64], Digest>,
    old: IndexMap<[u8; 64], Digest>,
}

impl Generations {
    fn get(&self, signature: &[u8; 64]) -> Option<Digest> {
        let found = self.young.get(signature);
        found.or_else(|| self.old.get(signature)).copied()
    }

    fn insert(&mut self, signature: [u8; 64], digest: Digest) {
        if self.young.len() >= GENERATION {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(signature, digest);
    }
}

#[cfg(test)]
mod tests {
    use k256::ecdsa::signature::Signer;
    use k256::ecdsa::signature::hazmat::PrehashVerifier;
    use k256::ecdsa::{SigningKey, VerifyingKey};
    use k256::elliptic_curve::PrimeField;
    use proptest::prelude::*;

    use super::*;
    use crate::ecdsa::is_compressed_key;

    /// The order of the curve's group.
    const ORDER: &str = "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141";

    /// The same rules, implemented with another library.
    fn verify_with_k256(key: &[u8], signature: &[u8], message: &[u8; 32]) -> bool {
        // `k256` also accepts compact keys, tag 5; the Cosmos SDK does not.
        let key = Some(key)
            .filter(|key| matches!(key.first(), Some(2 | 3)))
            .and_then(|key| VerifyingKey::from_sec1_bytes(key).ok());
        k256::ecdsa::Signature::from_slice(signature)
            .ok()
            .filter(|signature| signature.normalize_s().is_none())
            .zip(key)
            .is_some_and(|(signature, key)| key.verify_prehash(message, &signature).is_ok())
    }

    fn key(seed: [u8; 32]) -> Option<SigningKey> {
        SigningKey::from_slice(&seed).ok()
    }

    fn compressed(key: &SigningKey) -> [u8; 33] {
        let point = key.verifying_key().to_encoded_point(true);
        point.as_bytes().try_into().unwrap()
    }

    fn order_plus(difference: i8) -> [u8; 32] {
        let mut bytes: [u8; 32] = hex::decode(ORDER).unwrap().try_into().unwrap();
        bytes[31] = bytes[31].wrapping_add_signed(difference);
        bytes
    }

    /// Signature scalars for which libraries could differ.
    fn numbers() -> impl Strategy<Value = [u8; 32]> {
        let half = |add: u8| {
            let mut bytes: [u8; 32] =
                hex::decode("7fffffffffffffffffffffffffffffff5d576e7357a4501ddfe92f46681b20a0")
                    .unwrap()
                    .try_into()
                    .unwrap();
            bytes[31] += add;
            bytes
        };
        let mut one = [0; 32];
        one[31] = 1;
        prop_oneof![
            any::<[u8; 32]>(),
            Just([0; 32]),
            Just([255; 32]),
            Just(one),
            Just(half(0)),
            Just(half(1)),
            (-2i8..=2).prop_map(order_plus),
        ]
    }

    #[test]
    fn only_the_low_form_of_a_signature_is_valid() {
        let key = key([3; 32]).unwrap();
        let document = b"document";
        let signature: k256::ecdsa::Signature = key.sign(document);
        let low = signature.normalize_s().unwrap_or(signature);
        let (r, s) = low.split_scalars();
        let high = k256::ecdsa::Signature::from_scalars(r.to_repr(), (-*s).to_repr()).unwrap();

        let verifier = Verifier::default();
        let verify = |signature: &[u8]| verifier.verify(&compressed(&key), signature, document);
        assert!(verify(&low.to_bytes()));
        assert!(!verify(&high.to_bytes()));
        assert!(verify(&low.to_bytes()));
        assert!(!verify(&low.to_bytes()[..63]));
        assert!(!verify(&[]));
    }

    #[test]
    fn keys_of_other_forms_are_refused() {
        let key = key([3; 32]).unwrap();
        let compressed = compressed(&key);
        assert!(is_compressed_key(&compressed));
        let plain = key.verifying_key().to_encoded_point(false);
        assert!(!is_compressed_key(plain.as_bytes()));
        for tag in (0..=255).filter(|tag| ![2, 3].contains(tag)) {
            let mut other = compressed;
            other[0] = tag;
            assert!(!is_compressed_key(&other), "tag {tag}");
        }
        assert!(!is_compressed_key(&compressed[..32]));
        assert!(!is_compressed_key(&[]));
    }

    /// A full memory forgets old signatures and keeps working.
    #[test]
    fn the_memory_is_bounded() {
        let mut generations = Generations::default();
        let signature = |number: usize| {
            let mut signature = [0; 64];
            signature[..8].copy_from_slice(&number.to_be_bytes());
            signature
        };
        for number in 0..3 * GENERATION {
            generations.insert(signature(number), [1; 32]);
            assert_eq!(generations.get(&signature(number)), Some([1; 32]));
            assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
        }
        assert_eq!(generations.get(&signature(0)), None);
        assert_eq!(generations.get(&signature(2 * GENERATION)), Some([1; 32]));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// A verifier with memory, one without, and the other library agree on every change.
        #[test]
        fn memory_and_library_do_not_matter(
            seed in any::<[u8; 32]>(),
            document in prop::collection::vec(any::<u8>(), 0..40),
            part in 0usize..4,
            flip in any::<(prop::sample::Index, u8)>(),
            number in numbers(),
        ) {
            let Some(signer) = key(seed) else { return Ok(()) };
            let signature: k256::ecdsa::Signature = signer.sign(&document);
            let signature = signature.normalize_s().unwrap_or(signature);
            let mut parts = [compressed(&signer).to_vec(), signature.to_bytes().to_vec(), document];
            let signature_before = parts[1].clone();
            let memory = Verifier::default();
            prop_assert!(memory.verify(&parts[0], &parts[1], &parts[2]));

            match part {
                3 if flip.1 < 128 => parts[1][..32].copy_from_slice(&number),
                3 => parts[1][32..].copy_from_slice(&number),
                part if !parts[part].is_empty() => {
                    let index = flip.0.index(parts[part].len());
                    parts[part][index] ^= flip.1;
                }
                _ => {}
            }
            let [key, signature, document] = &parts;
            let message = Sha256::digest(document).into();
            let expected = verify_with_k256(key, signature, &message);
            for recalled in [None, memory.recall(signature), memory.recall(&signature_before)] {
                let valid = memory.verify_recalled(key, signature, document, recalled);
                prop_assert_eq!(valid, expected);
            }
            prop_assert_eq!(Verifier::default().verify(key, signature, document), expected);
            prop_assert_eq!(is_compressed_key(key), matches!(key[0], 2 | 3) && VerifyingKey::from_sec1_bytes(key).is_ok());
        }

        #[test]
        fn the_libraries_agree_on_any_numbers(
            seed in any::<[u8; 32]>(),
            (r, s) in (numbers(), numbers()),
            message in any::<[u8; 32]>(),
        ) {
            let Some(signer) = key(seed) else { return Ok(()) };
            let key = compressed(&signer);
            let signature: [u8; 64] = [r, s].as_flattened().try_into().unwrap();
            prop_assert_eq!(
                verify(&key, &signature, message),
                verify_with_k256(&key, &signature, &message)
            );
        }
    }
}
