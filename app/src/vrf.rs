//! The verifiable random function that a validator computes from its secret and everyone can check:
//! Ristretto with Schnorr proofs, from the crate `schnorrkel`.

use std::fmt;

use rand_core::{CryptoRng, RngCore};
use schnorrkel::context::{SigningTranscript, attach_rng};
use schnorrkel::vrf::{VRFPreOut, VRFProof};
use schnorrkel::{ExpansionMode, Keypair, MiniSecretKey, PublicKey, signing_context};
use thiserror::Error;

/// Bytes of a public key, of a seed and of an output.
pub const KEY_BYTES: usize = 32;
/// Bytes of a vote extension: the output and its proof.
pub const EXTENSION_BYTES: usize = OUTPUT_BYTES + PROOF_BYTES;
/// Bytes of an output, a compressed point.
const OUTPUT_BYTES: usize = 32;
const PROOF_BYTES: usize = 64;
/// Separates hashing to the curve from every other use of a key.
const INPUT_DOMAIN: &[u8] = b"poq/vrf/v1";
/// Separates the proof's challenge from every other use of a key.
const PROOF_DOMAIN: &[u8] = b"poq/vrf-proof/v1";

/// The input of a validator's VRF output.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Input<'a> {
    /// The chain's id.
    pub chain_id: &'a str,
    /// Height of the block that the precommit is for.
    pub height: u64,
    /// The beacon of the block before.
    pub previous: [u8; 32],
    /// Consensus address of the validator, 20 bytes: a validator that registers another one's key
    /// cannot use that one's outputs.
    pub validator: &'a [u8],
}

impl Input<'_> {
    /// `chain id ‖ height, big-endian ‖ previous beacon ‖ address`. The parts after the id have
    /// fixed lengths, so no two inputs have the same bytes.
    fn transcript(&self) -> impl SigningTranscript + use<> {
        let mut message = Vec::with_capacity(self.chain_id.len().saturating_add(60));
        message.extend_from_slice(self.chain_id.as_bytes());
        message.extend_from_slice(&self.height.to_be_bytes());
        message.extend_from_slice(&self.previous);
        message.extend_from_slice(self.validator);
        signing_context(INPUT_DOMAIN).bytes(&message)
    }
}

fn proof_transcript() -> impl SigningTranscript {
    signing_context(PROOF_DOMAIN).bytes(&[])
}

/// Why a public key cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum KeyError {
    /// The key has another length.
    #[error("a VRF key has {KEY_BYTES} bytes, got {0}")]
    Length(usize),
    /// Not a point, not the canonical encoding of one, or the neutral point, whose outputs anyone
    /// knows.
    #[error("{} is not the canonical encoding of a Ristretto point other than the neutral one", hex::encode(.0))]
    Point(Vec<u8>),
}

/// Checks the form of a public key.
///
/// # Errors
/// [`KeyError`] for anything but the canonical encoding of a point that is not neutral.
pub fn check_key(bytes: &[u8]) -> Result<(), KeyError> {
    public_key(bytes).map(|_| ())
}

fn public_key(bytes: &[u8]) -> Result<PublicKey, KeyError> {
    if bytes.len() != KEY_BYTES {
        return Err(KeyError::Length(bytes.len()));
    }
    let malformed = || KeyError::Point(bytes.to_vec());
    if bytes == [0; KEY_BYTES] {
        return Err(malformed());
    }
    PublicKey::from_bytes(bytes).map_err(|_| malformed())
}

/// The output of `key` for `input`, if the vote extension proves it. There is one output per key
/// and input, however many proofs there may be.
pub fn verify(key: &[u8], input: &Input<'_>, extension: &[u8]) -> Option<[u8; OUTPUT_BYTES]> {
    let key = public_key(key).ok()?;
    let extension: &[u8; EXTENSION_BYTES] = extension.try_into().ok()?;
    let (output, proof) = extension.split_at(OUTPUT_BYTES);
    let output = VRFPreOut::from_bytes(output).ok()?;
    let proof = VRFProof::from_bytes(proof).ok()?;
    key.vrf_verify_extra(input.transcript(), &output, &proof, proof_transcript())
        .ok()
        .map(|_| output.to_bytes())
}

/// A validator's secret key; it is wiped on drop.
pub struct Secret(Keypair);

impl Secret {
    /// The secret from a seed of 32 random bytes; none for another length.
    pub fn from_seed(seed: &[u8]) -> Option<Self> {
        let seed = MiniSecretKey::from_bytes(seed).ok()?;
        Some(Self(seed.expand_to_keypair(ExpansionMode::Uniform)))
    }

    /// The public key, which the validator registers.
    pub fn public_key(&self) -> [u8; KEY_BYTES] {
        self.0.public.to_bytes()
    }

    /// The vote extension for an input. It is deterministic.
    pub fn extension(&self, input: &Input<'_>) -> [u8; EXTENSION_BYTES] {
        let proof_transcript = attach_rng(proof_transcript(), NoEntropy);
        let (output, proof, _) = self.0.vrf_sign_extra(input.transcript(), proof_transcript);
        let mut extension = [0; EXTENSION_BYTES];
        extension[..OUTPUT_BYTES].copy_from_slice(output.as_output_bytes());
        extension[OUTPUT_BYTES..].copy_from_slice(&proof.to_bytes());
        extension
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({})", hex::encode(self.public_key()))
    }
}

/// The secrets of a node: one, or two while its key changes.
#[derive(Debug, Default)]
pub struct Secrets(Vec<Secret>);

impl Secrets {
    /// The secrets of a node.
    pub fn new(secrets: Vec<Secret>) -> Self {
        Self(secrets)
    }

    /// The secret with this public key.
    pub fn find(&self, public_key: &[u8]) -> Option<&Secret> {
        self.0
            .iter()
            .find(|secret| secret.public_key() == public_key)
    }

    /// Whether the node has no secret.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// The nonce of a proof depends only on the secret key and the input, as in RFC 6979: the
/// application needs no random numbers, and bad ones cannot reveal the key.
struct NoEntropy;

impl RngCore for NoEntropy {
    fn next_u32(&mut self) -> u32 {
        0
    }

    fn next_u64(&mut self) -> u64 {
        0
    }

    fn fill_bytes(&mut self, bytes: &mut [u8]) {
        bytes.fill(0);
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), rand_core::Error> {
        bytes.fill(0);
        Ok(())
    }
}

impl CryptoRng for NoEntropy {}

#[cfg(test)]
mod tests {
    use super::*;

    const INPUT: Input<'static> = Input {
        chain_id: "poq-test-1",
        height: 7,
        previous: [3; 32],
        validator: &[9; 20],
    };

    fn secret(byte: u8) -> Secret {
        Secret::from_seed(&[byte; 32]).unwrap()
    }

    #[test]
    fn an_extension_is_valid_for_its_key_and_input_only() {
        let extension = secret(1).extension(&INPUT);
        let key = secret(1).public_key();
        assert_eq!(
            verify(&key, &INPUT, &extension)
                .as_ref()
                .map(|output| &output[..]),
            Some(&extension[..32])
        );
        assert_eq!(verify(&secret(2).public_key(), &INPUT, &extension), None);
        for other in [
            Input {
                chain_id: "poq-test-2",
                ..INPUT
            },
            Input { height: 8, ..INPUT },
            Input {
                previous: [4; 32],
                ..INPUT
            },
            Input {
                validator: &[8; 20],
                ..INPUT
            },
        ] {
            assert_eq!(verify(&key, &other, &extension), None, "{other:?}");
        }
    }

    #[test]
    fn an_input_gives_the_same_extension_again_and_others_give_others() {
        let extension = secret(1).extension(&INPUT);
        assert_eq!(secret(1).extension(&INPUT), extension);
        let next = Input { height: 8, ..INPUT };
        assert_ne!(secret(1).extension(&next)[..32], extension[..32]);
        assert_ne!(secret(2).extension(&INPUT)[..32], extension[..32]);
    }

    #[test]
    fn malformed_extensions_are_refused() {
        let good = secret(1).extension(&INPUT);
        let key = secret(1).public_key();
        for length in [0, 1, 32, 95, 97, 33 << 10, 1 << 20] {
            let mut bytes = good.to_vec();
            bytes.resize(length, 0);
            assert_eq!(verify(&key, &INPUT, &bytes), None, "{length} bytes");
        }
        for position in 0..EXTENSION_BYTES {
            for bit in [1, 128] {
                let mut bytes = good;
                bytes[position] ^= bit;
                assert_eq!(verify(&key, &INPUT, &bytes), None, "byte {position}");
            }
        }
        for bytes in [[0; EXTENSION_BYTES], [255; EXTENSION_BYTES]] {
            assert_eq!(verify(&key, &INPUT, &bytes), None);
        }
        // A scalar plus the order of the group is the same number: only one form is valid.
        let order = hex::decode("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
        let mut carry = 0u16;
        let mut bytes = good;
        for (byte, add) in bytes[64..].iter_mut().zip(order.unwrap()) {
            let sum = u16::from(*byte) + u16::from(add) + carry;
            (*byte, carry) = (sum as u8, sum >> 8);
        }
        assert_eq!(verify(&key, &INPUT, &bytes), None);
    }

    #[test]
    fn malformed_keys_are_refused() {
        assert_eq!(check_key(&secret(1).public_key()), Ok(()));
        assert_eq!(check_key(&[1; 31]), Err(KeyError::Length(31)));
        assert_eq!(check_key(&[]), Err(KeyError::Length(0)));
        // The neutral point; a negative field element; one that is not below the prime.
        let mut negative = [0; 32];
        negative[0] = 1;
        for bytes in [[0; 32], negative, [255; 32]] {
            assert_eq!(check_key(&bytes), Err(KeyError::Point(bytes.to_vec())));
            assert_eq!(verify(&bytes, &INPUT, &secret(1).extension(&INPUT)), None);
        }
        assert!(Secret::from_seed(&[1; 31]).is_none());
    }

    #[test]
    fn outputs_should_not_change() {
        insta::assert_snapshot!(hex::encode(secret(1).public_key()), @"88b226498ee1f7d4fa5dae4dacd4f4bc2b5fdb5438cea23ae8fca638af264648");
        insta::assert_snapshot!(hex::encode(secret(1).extension(&INPUT)), @"50be40e1bdca7f5a06a5b096348c7b61bbcd9b85f48eca8e69b974a95a39bb10aed27c0469d87e638451aa5c12dde265f4cf2505eeedfe99bbf031dd7e73c1094fd77558f7d5b34e168bd9baa88d86ae4922c7cb4db4246bfe84c7a90f3df90e");
    }
}
