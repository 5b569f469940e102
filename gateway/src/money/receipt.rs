//! The check of a receipt against the text that came with it.

use poq_client::is_signature;
use poq_proto::Leaf;
use poq_proto::v1;
use sha2::{Digest, Sha256};

use super::Fault;

/// A receipt with its signature.
#[derive(Clone, Debug)]
pub(crate) struct Ending {
    /// The answer's leaf, without the total.
    pub leaf: Leaf,
    /// The node's signature, 64 bytes.
    pub signature: Vec<u8>,
}

/// Why a receipt proves nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unproven {
    /// It is not a leaf.
    #[error("the receipt has no valid form")]
    Form,
    /// The node's key did not sign it.
    #[error("the receipt is not signed by the session's node")]
    Signature,
    /// It contradicts the text.
    #[error(transparent)]
    Fault(#[from] Fault),
}

/// The receipt in a frame, if the node's key signed it for this text.
///
/// # Errors
/// [`Unproven`].
pub(crate) fn verify(
    (leaf, signature): (&v1::Leaf, &str),
    text: &str,
    (chain_id, session, node_key): (&str, u64, &[u8]),
) -> Result<Ending, Unproven> {
    let leaf = Leaf::try_from(leaf).map_err(|_| Unproven::Form)?.receipt();
    let signature = hex::decode(signature).map_err(|_| Unproven::Form)?;
    let digest = leaf.receipt_digest(chain_id, session);
    if !is_signature(node_key, &digest, &signature) {
        return Err(Unproven::Signature);
    }
    // What was not served has zeros in the place of a digest, whatever came before its node failed.
    let (digest, bytes) = match leaf.finish {
        v1::Finish::Void => ([0; 32], 0),
        _ => (Sha256::digest(text).into(), text.len()),
    };
    if leaf.answer != digest || usize::try_from(leaf.answer_bytes) != Ok(bytes) {
        return Err(Fault::Answer(leaf.number).into());
    }
    Ok(Ending { leaf, signature })
}
