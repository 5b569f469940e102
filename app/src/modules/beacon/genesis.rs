//! What genesis.json says of vote extensions.

use poq_store::State;

use crate::chain;
use crate::error::Result;
use crate::modules::validators;

/// Takes over the height from genesis.json; 0 means never. Every validator needs a key then.
pub fn begin(state: &mut State, height: u64) -> Result<()> {
    if height == 0 {
        return Ok(());
    }
    validators::require_vrf_keys(state, height)?;
    chain::set_vote_extensions_height(state, height)
}
