//! ECDSA over secp256k1 in the one form that the chain accepts: compressed keys of 33 bytes,
//! signatures of 64 bytes `r ‖ s` with a low `s`, so that only the signer can create a second valid
//! form.

use secp256k1::ecdsa::Signature;
use secp256k1::{Message, PublicKey};

/// Whether a key is a compressed point of the curve.
pub(crate) fn is_compressed_key(key: &[u8]) -> bool {
    key.len() == 33 && PublicKey::from_slice(key).is_ok()
}

/// Whether a signature of a digest is valid.
pub(crate) fn verify(key: &[u8; 33], signature: &[u8; 64], digest: [u8; 32]) -> bool {
    // libsecp256k1 itself refuses a high `s`.
    match (
        PublicKey::from_slice(key),
        Signature::from_compact(signature),
    ) {
        (Ok(key), Ok(signature)) => {
            secp256k1::ecdsa::verify(&signature, Message::from_digest(digest), &key).is_ok()
        }
        _ => false,
    }
}
