//! Vote extensions in a genesis.

use poq_proto::v1::GenesisState;

use poq_store::State;

use crate::chain;
use crate::error::Result;
use crate::modules::validators;

/// Sets the first height with vote extensions from `genesis.json`; 0 means never. Every validator
/// needs a VRF key by then.
pub fn init(state: &mut State, height: u64) -> Result<()> {
    if height == 0 {
        return Ok(());
    }
    validators::require_vrf_keys(state, height)?;
    chain::set_vote_extensions_height(state, height)
}

/// The first height with vote extensions in a chain that begins with these validators.
pub fn export(genesis: &GenesisState, notes: &mut Vec<String>) -> u64 {
    let mut validators = genesis.validators.iter();
    if validators.any(|validator| validator.vrf_key.is_empty()) {
        notes.push("votes will carry no outputs: a validator has no VRF key".into());
        return 0;
    }
    1
}
