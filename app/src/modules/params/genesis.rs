//! The parameters in a genesis.

use poq_proto::code;
use poq_proto::v1::Params;
use poq_store::State;

use super::{get, set, validate};
use crate::error::{Error, Result};

/// Checks and stores the parameters.
pub fn init(state: &mut State, params: Option<&Params>) -> Result<()> {
    let missing = || Error::rejected(code::INVALID_REQUEST, "app_state has no params");
    let params = params.ok_or_else(missing)?;
    validate(params)?;
    set(state, params)
}

/// The parameters in force.
pub fn export(state: &State) -> Result<Params> {
    get(state)
}
