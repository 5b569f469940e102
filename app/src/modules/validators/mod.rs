//! Validators: owners of consensus keys, their power and stake. See the README beside this file.

mod active;
mod evidence;
mod fees;
pub mod genesis;
mod keys;
pub mod msgs;
mod power;
pub mod query;
mod registration;
mod stake;
mod vrf;

pub use active::POWER_DELAY;
pub use evidence::punish;
pub use fees::{Vote, distribute_fees};
pub use power::{ValidatorPower, take_updates};
pub use registration::register;
pub use stake::{add_stake, release, unbond};
pub use vrf::{VRF_KEY_DELAY, effective_vrf_key, require_vrf_keys};

use poq_proto::code;
use poq_proto::v1::Validator;
use poq_store::State;
use sha2::{Digest, Sha256};

use crate::error::{Error, Result, ensure, reject};

/// CometBFT's address of a consensus key: the first 20 bytes of its SHA-256.
pub fn consensus_address(public_key: &[u8]) -> [u8; 20] {
    let mut address = [0; 20];
    address.copy_from_slice(Sha256::digest(public_key).split_at(20).0);
    address
}

/// The validator, if the operator is registered.
pub fn find(state: &State, operator: &str) -> Result<Option<Validator>> {
    Ok(state.get_message(keys::validator(operator))?)
}

/// Every validator, by operator. For tools, never in a block.
pub fn all(state: &State) -> Result<Vec<Validator>> {
    let validators = state.scan_messages(keys::VALIDATORS, None, usize::MAX)?;
    Ok(validators
        .into_iter()
        .map(|(_, validator)| validator)
        .collect())
}

/// The validator, or a rejection that says what to do.
pub fn get(state: &State, operator: &str) -> Result<Validator> {
    match find(state, operator)? {
        Some(validator) => Ok(validator),
        None => reject!(
            code::NOT_REGISTERED,
            "{operator} is not registered as validator; register it first"
        ),
    }
}

/// The validator whose key has this consensus address, if there is one.
pub fn find_by_address(state: &State, address: &[u8]) -> Result<Option<Validator>> {
    let Some(operator) = state.get(keys::address(address))? else {
        return Ok(None);
    };
    let operator = String::from_utf8(operator)
        .map_err(|_| Error::broken("the operator of a consensus address is corrupt"))?;
    get(state, &operator).map(Some)
}

/// Refuses a tombstoned validator, which double-signed.
fn refuse_tombstoned(validator: &Validator) -> Result<()> {
    ensure!(
        !validator.tombstoned,
        code::TOMBSTONED,
        "validator {} signed two blocks at one height and is permanently excluded",
        validator.operator
    );
    Ok(())
}

/// Stores the validator, or deletes it if it has left. A tombstoned one stays, so that its key
/// cannot be registered again.
fn put(state: &mut State, validator: &Validator) -> Result<()> {
    let empty = validator.stake == 0 && validator.unbonding.is_empty();
    if empty && validator.power == 0 && !validator.tombstoned {
        state.delete(keys::validator(&validator.operator))?;
        let address = consensus_address(&validator.public_key);
        return Ok(state.delete(keys::address(&address))?);
    }
    Ok(state.put_message(keys::validator(&validator.operator), validator)?)
}
