//! Validators in a genesis: `app_state` has owners and stakes, CometBFT's part has powers.

use poq_proto::code;
use poq_proto::v1::{GenesisState, GenesisValidator, Validator};
use poq_store::State;

use super::active::MAX_ACTIVE;
use super::power::{assign, check_set};
use super::{ValidatorPower, all, consensus_address, find_by_address, keys, put, register};
use crate::error::{Result, ensure, reject};
use crate::execution::Execution;
use crate::modules::bank;

/// Registers the validators and mints their stakes. They have no power before [`init_powers`].
pub fn init(ctx: &mut Execution<'_>, genesis: &GenesisState) -> Result<()> {
    for validator in &genesis.validators {
        bank::mint_held(ctx.state, &ctx.block.params.denom, validator.stake.into())?;
        register(ctx, validator.clone())?;
    }
    Ok(())
}

/// Gives the validators of genesis the powers that CometBFT starts with. Both sides must have the
/// same keys.
pub fn init_powers(state: &mut State, powers: &[ValidatorPower]) -> Result<()> {
    ensure!(
        !powers.is_empty(),
        code::INVALID_REQUEST,
        "genesis.json has no validators; the chain could not make a block"
    );
    for entry in powers {
        let key = hex::encode(&entry.public_key);
        let Some(mut validator) = find_by_address(state, &consensus_address(&entry.public_key))?
        else {
            reject!(
                code::INVALID_REQUEST,
                "the validator with key {key} in genesis.json has no owner; add it to \
                 app_state.validators"
            );
        };
        ensure!(
            validator.power == 0 && entry.power > 0,
            code::INVALID_REQUEST,
            "the validator with key {key} is in genesis.json twice, or without power"
        );
        check_set(state, &validator.operator, entry.power)?;
        assign(state, &mut validator, entry.power)?;
        put(state, &validator)?;
    }
    let owners = state.scan_messages::<Validator>(keys::VALIDATORS, None, MAX_ACTIVE + 1)?;
    for (_, owner) in owners {
        ensure!(
            owner.power > 0,
            code::INVALID_REQUEST,
            "{} in app_state.validators owns the key {}, which is not a validator of genesis.json",
            owner.operator,
            hex::encode(&owner.public_key)
        );
    }
    Ok(())
}

/// Exports the validators with power and returns their powers. Unbonding stake, and the stake of a
/// validator without power, goes to the operator's balance.
pub fn export(
    ctx: &mut Execution<'_>,
    genesis: &mut GenesisState,
    notes: &mut Vec<String>,
) -> Result<Vec<ValidatorPower>> {
    let mut powers = Vec::new();
    for validator in all(ctx.state)? {
        let operator = &validator.operator;
        bank::genesis::give_back(ctx, operator, &validator.unbonding, notes)?;
        if validator.power == 0 {
            bank::pay(ctx, operator, validator.stake)?;
            notes.push(format!(
                "validator {operator} has no power and is not registered; its stake is in its \
                 balance"
            ));
            continue;
        }
        powers.push(ValidatorPower {
            public_key: validator.public_key.clone(),
            power: validator.power,
        });
        genesis.validators.push(carry_over(validator));
    }
    Ok(powers)
}

/// Exports the newest VRF key: the new chain begins long after the old key was replaced.
fn carry_over(validator: Validator) -> GenesisValidator {
    GenesisValidator {
        vrf_key: match validator.next_vrf_key.is_empty() {
            true => validator.vrf_key,
            false => validator.next_vrf_key,
        },
        operator: validator.operator,
        payout: validator.payout,
        public_key: validator.public_key,
        stake: validator.stake,
    }
}
