//! What the state knows about the chain itself.

use crate::error::{Error, Result};
use crate::execution::BlockContext;
use crate::modules::params;
use crate::selection::next_beacon;
use crate::store::State;

/// The chain id, UTF-8.
const ID: &str = "chain/id";
/// The beacon of the last block, 32 bytes.
const BEACON: &str = "chain/beacon";

/// Writes the chain id and the first beacon.
pub fn begin(state: &mut State, chain_id: &str) -> Result<()> {
    state.put(ID, chain_id.as_bytes())?;
    Ok(state.put(BEACON, next_beacon(&[], chain_id.as_bytes()))?)
}

/// The beacon of the last block.
pub fn beacon(state: &State) -> Result<[u8; 32]> {
    state
        .get(BEACON)?
        .and_then(|bytes| bytes.try_into().ok())
        .ok_or_else(|| Error::internal("the state has no beacon"))
}

/// Mixes a block's hash into the beacon.
pub fn advance_beacon(state: &mut State, block_hash: &[u8]) -> Result<()> {
    let next = next_beacon(&beacon(state)?, block_hash);
    Ok(state.put(BEACON, next)?)
}

/// What messages of a block at `height` see.
pub fn context(state: &State, height: u64) -> Result<BlockContext> {
    let chain_id = state
        .get(ID)?
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| Error::internal("the state has no chain id"))?;
    Ok(BlockContext {
        chain_id,
        height,
        params: params::get(state)?,
        beacon: beacon(state)?,
    })
}
