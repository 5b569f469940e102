//! The randomness of draws (protocol section 6): see the README beside this file.

pub mod genesis;
pub mod msgs;
mod outputs;
pub mod query;
mod verifier;
mod vote;

pub use crate::chain::beacon_after_hash;
pub use crate::vrf::{
    EXTENSION_BYTES, Input, KEY_BYTES, KeyError, Secret, Secrets, check_key, verify,
};
pub use outputs::{Accepted, Carried, LastCommit, encode, is_vote_outputs, parse};
pub use verifier::Verifier;
pub use vote::{ExtendedVote, OwnValidator};

pub(crate) use outputs::{accept, propose};
pub(crate) use vote::{check_own_key, extension, verify_extension};

use poq_store::State;
use sha2::{Digest, Sha256};

use crate::chain;
use crate::error::Result;

/// Domain separator of beacons from VRF outputs.
pub const OUTPUTS_DOMAIN: &str = "poq/beacon/v2";

/// The beacon from VRF outputs: `SHA-256("poq/beacon/v2" ‖ previous beacon ‖ outputs)`. Each output
/// has 32 bytes; they are in ascending order of validator addresses.
pub fn beacon_after_outputs(previous: &[u8; 32], outputs: &[[u8; 32]]) -> [u8; 32] {
    let mut hash = Sha256::new()
        .chain_update(OUTPUTS_DOMAIN)
        .chain_update(previous);
    for output in outputs {
        hash.update(output);
    }
    hash.finalize().into()
}

/// Whether votes for the block at a height have VRF outputs.
fn has_extensions(state: &State, height: u64) -> Result<bool> {
    let first = chain::vote_extensions_height(state)?;
    Ok(first != 0 && height >= first)
}

/// Whether the block at a height carries the VRF outputs of the votes for the block before.
pub fn carries_outputs(state: &State, height: u64) -> Result<bool> {
    has_extensions(state, height.saturating_sub(1))
}
