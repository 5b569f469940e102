//! The distribution of fees to validators (protocol section 2).

use poq_proto::event;

use super::{find_by_address, put};
use crate::address::{Address, PROTOCOL_ACCOUNT};
use crate::arithmetic::portion;
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::modules::bank;

/// A validator's signature for the last block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Vote {
    /// Consensus address, 20 bytes.
    pub address: Vec<u8>,
    /// The voting power at that block.
    pub power: u64,
}

/// Distributes the collected fees and protocol shares by power among the validators that signed the
/// last block, each share rounded down. The rest waits for the next block.
pub fn distribute_fees(ctx: &mut Execution<'_>, votes: &[Vote]) -> Result<()> {
    let (prefix, denom) = (&ctx.block.params.bech32_prefix, &ctx.block.params.denom);
    let protocol = Address::of_module(PROTOCOL_ACCOUNT, prefix)?;
    let pool = bank::balance(ctx.state, &protocol, denom)?;
    let total = votes
        .iter()
        .try_fold(0u64, |total, vote| total.checked_add(vote.power))
        .ok_or_else(|| Error::broken("the votes' powers exceed 64 bits"))?;
    for vote in votes {
        let amount = portion(pool, vote.power, total);
        if amount > 0 {
            pay(ctx, &protocol, &vote.address, amount)?;
        }
    }
    Ok(())
}

fn pay(ctx: &mut Execution<'_>, protocol: &Address, address: &[u8], amount: u128) -> Result<()> {
    let Some(mut validator) = find_by_address(ctx.state, address)? else {
        return Ok(());
    };
    if validator.tombstoned {
        return Ok(());
    }
    let (prefix, denom) = (&ctx.block.params.bech32_prefix, &ctx.block.params.denom);
    let payout = Address::parse(&validator.payout, prefix)?;
    bank::transfer(ctx.state, protocol, &payout, denom, amount)?;
    let earned = u64::try_from(amount).unwrap_or(u64::MAX);
    validator.earned = validator.earned.saturating_add(earned);
    put(ctx.state, &validator)?;
    ctx.emit(
        event::VALIDATOR_PAID,
        &[
            (event::NODE, &validator.operator),
            (event::PAYOUT, &payout),
            (event::AMOUNT, &amount),
        ],
    );
    Ok(())
}
