//! One file per message, with the message's name.

mod add_stake;
mod unbond;

pub use add_stake::add_stake;
pub use unbond::unbond;

use poq_proto::code;

use crate::address::Address;
use crate::error::{Result, ensure, reject};
use crate::execution::Execution;

fn checked(ctx: &Execution<'_>, operator: &str, amount: u64) -> Result<Address> {
    ensure!(
        amount > 0,
        code::INVALID_COINS,
        "the amount must be positive"
    );
    Address::parse(operator, &ctx.block.params.bech32_prefix)
}

fn no_role<T>() -> Result<T> {
    reject!(
        code::INVALID_REQUEST,
        "the message does not say which role's stake it moves"
    )
}
