//! The state's entries about the chain itself.

use poq_store::State;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::execution::BlockContext;
use crate::modules::params;

/// The chain id, UTF-8.
const ID: &str = "chain/id";
/// The beacon of the last block, 32 bytes.
const BEACON: &str = "chain/beacon";
/// The beacon of the block before, 32 bytes: the last block's votes were computed from it.
const PREVIOUS_BEACON: &str = "chain/previous-beacon";
/// Hash of the last block without VRF outputs.
const BLOCK_HASH: &str = "chain/block-hash";
/// First height whose votes have extensions, `u64`, absent if there is none.
const VOTE_EXTENSIONS: &str = "chain/vote-extensions-height";

/// Writes the chain id and the first beacon.
pub(crate) fn begin(state: &mut State, chain_id: &str) -> Result<()> {
    let first = beacon_after_hash(&[], chain_id.as_bytes());
    state.put(ID, chain_id.as_bytes())?;
    state.put(PREVIOUS_BEACON, first)?;
    Ok(state.put(BEACON, first)?)
}

/// The chain's id.
pub(crate) fn id(state: &State) -> Result<String> {
    state
        .get(ID)?
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| Error::broken("the state has no chain id"))
}

/// The beacon of the last block.
pub(crate) fn beacon(state: &State) -> Result<[u8; 32]> {
    beacon_at(state, BEACON)
}

/// The beacon of the block before the last one; at genesis the first beacon.
pub(crate) fn previous_beacon(state: &State) -> Result<[u8; 32]> {
    beacon_at(state, PREVIOUS_BEACON)
}

fn beacon_at(state: &State, key: &str) -> Result<[u8; 32]> {
    state
        .get(key)?
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| Error::broken(format!("the state has no {key}")))
}

/// Sets the beacon of a new block.
pub(crate) fn advance_beacon(state: &mut State, next: [u8; 32]) -> Result<()> {
    state.put(PREVIOUS_BEACON, beacon(state)?)?;
    Ok(state.put(BEACON, next)?)
}

/// Advances the beacon without VRF outputs: by the hash of the block before. The hash of this block
/// is unknown while it is prepared, and a proposal must be judged by the beacon that it was
/// prepared with.
pub(crate) fn advance_beacon_by_hash(state: &mut State, hash: &[u8]) -> Result<()> {
    let before = state.get(BLOCK_HASH)?.unwrap_or_default();
    let next = beacon_after_hash(&beacon(state)?, &before);
    // A proposer does not know the hash of its block, and nothing in the block depends on it.
    if !hash.is_empty() {
        state.put(BLOCK_HASH, hash)?;
    }
    advance_beacon(state, next)
}

/// The beacon after a block without VRF outputs: `SHA-256("poq/beacon/v1" ‖ previous beacon ‖ block
/// hash)`.
pub fn beacon_after_hash(previous: &[u8], block_hash: &[u8]) -> [u8; 32] {
    Sha256::new()
        .chain_update("poq/beacon/v1")
        .chain_update(previous)
        .chain_update(block_hash)
        .finalize()
        .into()
}

/// First height whose votes have extensions; 0 if there is none.
pub(crate) fn vote_extensions_height(state: &State) -> Result<u64> {
    Ok(state.get_u64(VOTE_EXTENSIONS)?.unwrap_or(0))
}

/// Sets the first height whose votes have extensions. It can be set once.
pub(crate) fn set_vote_extensions_height(state: &mut State, height: u64) -> Result<()> {
    Ok(state.put_u64(VOTE_EXTENSIONS, height)?)
}

/// The context of a block at `height`, as its messages see it.
pub(crate) fn context(state: &State, height: u64) -> Result<BlockContext> {
    Ok(BlockContext {
        chain_id: id(state)?,
        height,
        params: params::get(state)?,
        beacon: beacon(state)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn beacons_and_keys_should_not_change() {
        insta::assert_snapshot!(hex::encode(beacon_after_hash(&[1; 32], &[2; 32])), @"c871fed622ba03e5c85c90aff8ee731ec6c34e799892430b06b9cdeea0f299aa");
        let keys = [ID, BEACON, PREVIOUS_BEACON, BLOCK_HASH, VOTE_EXTENSIONS].join(" ");
        insta::assert_snapshot!(keys, @"chain/id chain/beacon chain/previous-beacon chain/block-hash chain/vote-extensions-height");
    }
}
