//! Balances and denoms in a genesis.

use std::collections::{BTreeMap, BTreeSet};

use poq_proto::code;
use poq_proto::v1::{GenesisAccount, GenesisCoin, GenesisState, Unbonding};
use poq_store::State;

use super::{all_balances, all_metadata, credit, keys, mint_held, pay, set_metadata, supply};
use crate::address::Address;
use crate::coin::{parse_amount, validate_denom};
use crate::error::{Error, Result, ensure};
use crate::execution::Execution;

/// Creates the accounts with their coins, and stores the denoms' metadata.
pub fn init(ctx: &mut Execution<'_>, genesis: &GenesisState) -> Result<()> {
    let mut seen = BTreeSet::new();
    for account in &genesis.accounts {
        let address = Address::parse(&account.address, &ctx.block.params.bech32_prefix)?;
        ensure!(
            seen.insert(address.clone()),
            code::INVALID_REQUEST,
            "genesis has account {address} twice"
        );
        init_coins(ctx.state, &address, &account.coins)?;
    }
    for metadata in &genesis.denom_metadata {
        set_metadata(ctx.state, metadata)?;
    }
    Ok(())
}

fn init_coins(state: &mut State, address: &Address, coins: &[GenesisCoin]) -> Result<()> {
    let mut denoms = BTreeSet::new();
    for coin in coins {
        validate_denom(&coin.denom)?;
        ensure!(
            denoms.insert(&coin.denom),
            code::INVALID_COINS,
            "genesis account {address} has {} twice",
            coin.denom
        );
        let amount = parse_amount(&coin.amount)?;
        mint_held(state, &coin.denom, amount)?;
        credit(state, address, &coin.denom, amount)?;
    }
    Ok(())
}

/// Refuses a supply of the chain's denom above 64 bits: prices, stakes, slashes and their sums are
/// parts of it.
pub fn check_size(ctx: &Execution<'_>) -> Result<()> {
    let denom = &ctx.block.params.denom;
    let supply = supply(ctx.state, denom)?;
    ensure!(
        supply <= u64::MAX.into(),
        code::INVALID_COINS,
        "genesis has {supply}{denom}, more than 2^64 - 1: take a larger unit for {denom}"
    );
    Ok(())
}

/// Exports the balances, into which the other modules have already paid, and the denoms' metadata.
pub fn export(ctx: &Execution<'_>, genesis: &mut GenesisState) -> Result<()> {
    for (address, denom, amount) in all_balances(ctx.state)? {
        let coin = GenesisCoin {
            denom,
            amount: amount.to_string(),
        };
        match genesis.accounts.last_mut() {
            Some(account) if account.address == address => account.coins.push(coin),
            _ => genesis.accounts.push(GenesisAccount {
                address,
                coins: vec![coin],
            }),
        }
    }
    genesis.denom_metadata = all_metadata(ctx.state)?;
    Ok(())
}

/// Pays unbonding stake to the operator's balance: a genesis has no queue of releases.
pub fn give_back(
    ctx: &mut Execution<'_>,
    operator: &str,
    parts: &[Unbonding],
    notes: &mut Vec<String>,
) -> Result<()> {
    for Unbonding { amount, .. } in parts {
        pay(ctx, operator, *amount)?;
        let denom = &ctx.block.params.denom;
        notes.push(format!(
            "{amount}{denom} of unbonding stake of {operator} are in its balance"
        ));
    }
    Ok(())
}

/// Checks that a genesis has exactly the supply of the exported state.
pub fn check_supply(ctx: &Execution<'_>, genesis: &GenesisState) -> Result<()> {
    let mut sums: BTreeMap<&str, u128> = BTreeMap::new();
    let mut add = |denom, amount| {
        let sum = sums.entry(denom).or_default();
        *sum = sum
            .checked_add(amount)
            .ok_or_else(|| Error::broken(format!("the sum of {denom} exceeds 128 bits")))?;
        Ok::<_, Error>(())
    };
    for coin in genesis.accounts.iter().flat_map(|account| &account.coins) {
        add(&coin.denom, parse_amount(&coin.amount)?)?;
    }
    let nodes = genesis.nodes.iter().map(|node| node.stake);
    let validators = genesis.validators.iter().map(|validator| validator.stake);
    for stake in nodes.chain(validators) {
        add(&ctx.block.params.denom, stake.into())?;
    }
    for (key, _) in ctx.state.scan(keys::SUPPLIES, None, usize::MAX)? {
        let denom = key.get(keys::SUPPLIES.len()..).unwrap_or_default();
        let denom = String::from_utf8_lossy(denom);
        let supply = supply(ctx.state, &denom)?;
        let sum = sums.get(denom.as_ref()).copied().unwrap_or(0);
        if sum != supply {
            return Err(Error::broken(format!(
                "the genesis would have {sum}{denom}, but the supply is {supply}{denom}; please \
                 report it"
            )));
        }
    }
    Ok(())
}
