//! Balances in several denoms, and their supply.
//!
//! `supply = Σ balances + Σ escrow + Σ stake`. Burnt coins leave the supply and are counted, so
//! `supply + burnt` is what genesis created.

pub mod genesis;
mod keys;
mod metadata;
pub mod msgs;
pub mod query;

pub use metadata::{all as all_metadata, default_metadata, set as set_metadata};
use poq_proto::code;
use poq_store::State;

use crate::address::{Address, PROTOCOL_ACCOUNT};
use crate::error::{Error, Result, reject};
use crate::execution::Execution;
use crate::modules::auth;

/// Balance in base units.
pub fn balance(state: &State, address: &Address, denom: &str) -> Result<u128> {
    Ok(state.get_u128(keys::balance(address, denom))?.unwrap_or(0))
}

/// Every balance as address, denom and base units, in key order. Its cost grows with the number of
/// accounts: for tools, never in a block.
pub fn all_balances(state: &State) -> Result<Vec<(String, String, u128)>> {
    let balance = |(key, value): (Vec<u8>, Vec<u8>)| {
        let key = key.get(keys::BALANCES.len()..).unwrap_or_default();
        let (address, denom, amount) = parse_balance(key, &value)?;
        Ok((address.to_owned(), denom.to_owned(), amount))
    };
    let entries = state.scan(keys::BALANCES, None, usize::MAX)?;
    entries.into_iter().map(balance).collect()
}

/// The address, denom and amount of an entry; `key` comes without [`keys::BALANCES`].
fn parse_balance<'a>(key: &'a [u8], value: &[u8]) -> Result<(&'a str, &'a str, u128)> {
    let owner = std::str::from_utf8(key)
        .ok()
        .and_then(|key| key.split_once('/'));
    let amount = value.try_into().map(u128::from_be_bytes);
    match (owner, amount) {
        (Some((address, denom)), Ok(amount)) => Ok((address, denom, amount)),
        _ => Err(Error::broken("the entry of a balance is corrupt")),
    }
}

/// The supply of a denom, base units.
pub fn supply(state: &State, denom: &str) -> Result<u128> {
    Ok(state.get_u128(keys::supply(denom))?.unwrap_or(0))
}

/// Base units destroyed since genesis.
pub fn burnt(state: &State, denom: &str) -> Result<u128> {
    Ok(state.get_u128(keys::burnt(denom))?.unwrap_or(0))
}

/// Adds to a balance; the account is created if it does not exist.
pub fn credit(state: &mut State, address: &Address, denom: &str, amount: u128) -> Result<()> {
    auth::create_if_missing(state, address)?;
    let balance = balance(state, address, denom)?
        .checked_add(amount)
        .ok_or_else(|| Error::broken(format!("balance of {address} exceeds 128 bits")))?;
    set_balance(state, address, denom, balance)
}

/// Pays base units of the chain's denom to an account.
pub fn pay(ctx: &mut Execution<'_>, account: &str, amount: u64) -> Result<()> {
    let params = &ctx.block.params;
    let account = Address::parse(account, &params.bech32_prefix)?;
    credit(ctx.state, &account, &params.denom, amount.into())
}

/// Pays the account that collects the validators' income.
pub fn pay_protocol(ctx: &mut Execution<'_>, amount: u64) -> Result<()> {
    let protocol = Address::of_module(PROTOCOL_ACCOUNT, &ctx.block.params.bech32_prefix)?;
    pay(ctx, protocol.as_str(), amount)
}

/// Subtracts from a balance.
pub fn debit(state: &mut State, address: &Address, denom: &str, amount: u128) -> Result<()> {
    let available = balance(state, address, denom)?;
    let Some(rest) = available.checked_sub(amount) else {
        reject!(
            code::INSUFFICIENT_FUNDS,
            "spendable balance {available}{denom} of {address} is smaller than {amount}{denom}: insufficient funds"
        );
    };
    set_balance(state, address, denom, rest)
}

/// Moves coins between accounts.
pub fn transfer(
    state: &mut State,
    from: &Address,
    to: &Address,
    denom: &str,
    amount: u128,
) -> Result<()> {
    debit(state, from, denom, amount)?;
    credit(state, to, denom, amount)
}

/// Adds coins that a module holds to the supply; for genesis.
pub fn mint_held(state: &mut State, denom: &str, amount: u128) -> Result<()> {
    let Some(supply) = supply(state, denom)?.checked_add(amount) else {
        reject!(code::INVALID_COINS, "supply of {denom} exceeds 128 bits");
    };
    Ok(state.put_u128(keys::supply(denom), supply)?)
}

/// Burns coins that a module held.
pub fn burn_held(state: &mut State, denom: &str, amount: u128) -> Result<()> {
    let supply = supply(state, denom)?
        .checked_sub(amount)
        .ok_or_else(|| Error::broken(format!("burning more {denom} than exists")))?;
    let burnt = burnt(state, denom)?
        .checked_add(amount)
        .ok_or_else(|| Error::broken(format!("burnt {denom} exceeds 128 bits")))?;
    state.put_u128(keys::supply(denom), supply)?;
    state.put_u128(keys::burnt(denom), burnt)?;
    Ok(())
}

fn set_balance(state: &mut State, address: &Address, denom: &str, amount: u128) -> Result<()> {
    let key = keys::balance(address, denom);
    if amount == 0 {
        state.delete(key)?;
    } else {
        state.put_u128(key, amount)?;
    }
    Ok(())
}
