//! The application's part of genesis.json, typed and validated.

use std::collections::BTreeSet;

use poq_proto::code;
use poq_proto::v1::{GenesisAccount, GenesisState, Params};
use poq_store::State;

use crate::address::Address;
use crate::chain;
use crate::coin;
use crate::error::{Error, Result, ensure};
use crate::execution::{BlockContext, Execution};
use crate::modules::{bank, models, nodes, params, validators};

/// A genesis with default parameters and nothing else.
pub fn default_genesis() -> GenesisState {
    let params = params::default_params();
    GenesisState {
        denom_metadata: vec![bank::default_metadata(&params.denom)],
        params: Some(params),
        ..GenesisState::default()
    }
}

/// Reads `app_state`, proto3 JSON with snake_case names; unknown fields are refused.
pub fn parse(json: &[u8]) -> Result<GenesisState> {
    serde_json::from_slice(json).map_err(|error| {
        Error::rejected(
            code::INVALID_REQUEST,
            format!("app_state of genesis.json does not parse: {error}"),
        )
    })
}

/// Checks a genesis and writes it into an empty state.
pub fn apply(state: &mut State, chain_id: &str, genesis: GenesisState) -> Result<()> {
    let Some(genesis_params) = genesis.params.clone() else {
        return Err(Error::rejected(
            code::INVALID_REQUEST,
            "app_state has no params",
        ));
    };
    params::validate(&genesis_params)?;
    params::set(state, &genesis_params)?;
    chain::begin(state, chain_id)?;
    apply_accounts(state, &genesis_params, &genesis.accounts)?;
    for metadata in &genesis.denom_metadata {
        bank::set_metadata(state, metadata)?;
    }
    apply_models(state, &genesis)?;
    let denom = genesis_params.denom.clone();
    apply_operators(state, chain_id, genesis_params, genesis)?;
    // Prices, stakes and slashes have 64 bits, and so have their sums, as they are parts of the supply.
    let supply = bank::supply(state, &denom)?;
    ensure!(
        supply <= u64::MAX.into(),
        code::INVALID_COINS,
        "genesis has {supply}{denom}, more than 2^64 - 1: take a larger unit for {denom}"
    );
    Ok(())
}

fn apply_accounts(state: &mut State, params: &Params, accounts: &[GenesisAccount]) -> Result<()> {
    let mut seen = BTreeSet::new();
    for account in accounts {
        let address = Address::parse(&account.address, &params.bech32_prefix)?;
        ensure!(
            seen.insert(address.clone()),
            code::INVALID_REQUEST,
            "genesis has account {address} twice"
        );
        let mut denoms = BTreeSet::new();
        for balance in &account.coins {
            coin::validate_denom(&balance.denom)?;
            ensure!(
                denoms.insert(&balance.denom),
                code::INVALID_COINS,
                "genesis account {address} has {} twice",
                balance.denom
            );
            let amount = coin::parse_amount(&balance.amount)?;
            bank::mint_held(state, &balance.denom, amount)?;
            bank::credit(state, &address, &balance.denom, amount)?;
        }
    }
    Ok(())
}

fn apply_models(state: &mut State, genesis: &GenesisState) -> Result<()> {
    let mut seen = BTreeSet::new();
    for model in &genesis.evaluator_models {
        ensure!(
            seen.insert(&model.id),
            code::INVALID_REQUEST,
            "genesis has evaluator model {} twice",
            model.id
        );
        models::set_evaluator_model(state, model, 0)?;
    }
    seen.clear();
    for model in &genesis.models {
        ensure!(
            seen.insert(&model.id),
            code::INVALID_REQUEST,
            "genesis has model {} twice",
            model.id
        );
        models::set_model(state, model, 0, 0)?;
    }
    Ok(())
}

/// Nodes and validators; the validators have no power yet, see `validators::begin`.
fn apply_operators(
    state: &mut State,
    chain_id: &str,
    params: Params,
    genesis: GenesisState,
) -> Result<()> {
    let block = BlockContext {
        chain_id: chain_id.to_owned(),
        height: 0,
        params,
        beacon: chain::beacon(state)?,
    };
    let denom = &block.params.denom;
    let mut ctx = Execution::new(state, &block);
    for node in genesis.nodes {
        bank::mint_held(ctx.state, denom, node.stake.into())?;
        nodes::register(&mut ctx, node)?;
    }
    for validator in genesis.validators {
        bank::mint_held(ctx.state, denom, validator.stake.into())?;
        validators::register(&mut ctx, validator)?;
    }
    Ok(())
}
