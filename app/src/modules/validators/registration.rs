//! The registration of validators.

use poq_proto::v1::{GenesisValidator, Validator};
use poq_proto::{code, event};

use super::vrf::require_well_formed;
use super::{consensus_address, find, find_by_address, keys, put};
use crate::address::Address;
use crate::error::{Result, ensure};
use crate::execution::Execution;

/// Length of an Ed25519 key, bytes.
const KEY_BYTES: usize = 32;

/// Registers a validator whose stake exists already; genesis calls this directly.
pub fn register(ctx: &mut Execution<'_>, request: GenesisValidator) -> Result<()> {
    let prefix = &ctx.block.params.bech32_prefix;
    let operator = Address::parse(&request.operator, prefix)?.to_string();
    let payout = match request.payout.as_str() {
        "" => operator.clone(),
        payout => Address::parse(payout, prefix)?.to_string(),
    };
    let key = &request.public_key;
    ensure!(
        key.len() == KEY_BYTES,
        code::INVALID_PUBKEY,
        "a consensus key is an Ed25519 key of {KEY_BYTES} bytes, got {}",
        key.len()
    );
    ensure!(
        find(ctx.state, &operator)?.is_none(),
        code::ALREADY_REGISTERED,
        "{operator} is already registered as validator"
    );
    if !request.vrf_key.is_empty() {
        require_well_formed(&request.vrf_key)?;
    }
    let address = consensus_address(key);
    ensure!(
        find_by_address(ctx.state, &address)?.is_none(),
        code::KEY_TAKEN,
        "the consensus key {} belongs to another validator",
        hex::encode(key)
    );
    let minimum = ctx.block.params.min_validator_stake;
    ensure!(
        request.stake >= minimum,
        code::STAKE_TOO_LOW,
        "stake {} is below the minimum {minimum}",
        request.stake
    );
    ctx.state
        .put(keys::address(&address), operator.as_bytes())?;
    let validator = Validator {
        operator,
        payout,
        public_key: request.public_key,
        stake: request.stake,
        registered_height: ctx.block.height,
        vrf_key: request.vrf_key,
        ..Validator::default()
    };
    put(ctx.state, &validator)?;
    ctx.emit(
        event::VALIDATOR_REGISTERED,
        &[
            (event::NODE, &validator.operator),
            (event::STAKE, &validator.stake),
        ],
    );
    Ok(())
}
