//! The application's part of `genesis.json`, `app_state`: a chain begins with it and is exported as
//! one (ADR 42).
//!
//! Each module reads and writes its own part in its `genesis.rs`, `init` and `export` side by side.

use poq_proto::code;
use poq_proto::v1::GenesisState;
use poq_store::State;

use crate::chain;
use crate::error::{Error, Result};
use crate::execution::Execution;
use crate::modules::validators::ValidatorPower;
use crate::modules::{audits, bank, beacon, models, nodes, params, sessions, tasks, validators};

/// The state of a chain as the genesis of another one.
#[derive(Debug)]
pub struct Exported {
    /// The application's part.
    pub app_state: GenesisState,
    /// Keys and powers of the validators, for CometBFT's part.
    pub validators: Vec<ValidatorPower>,
    /// First height whose votes have extensions, for CometBFT's part; 0 if there is none.
    pub vote_extensions_height: u64,
    /// What could not be carried over unchanged, and what was done with it.
    pub notes: Vec<String>,
}

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

/// Checks a genesis and writes it into an empty state, the lowest module first. The validators have
/// no power before [`validators::genesis::init_powers`].
pub fn init(state: &mut State, chain_id: &str, genesis: &GenesisState) -> Result<()> {
    params::genesis::init(state, genesis.params.as_ref())?;
    chain::begin(state, chain_id)?;
    let block = chain::context(state, 0)?;
    let mut ctx = Execution::new(state, &block);
    bank::genesis::init(&mut ctx, genesis)?;
    models::genesis::init(&mut ctx, genesis)?;
    nodes::genesis::init(&mut ctx, genesis)?;
    validators::genesis::init(&mut ctx, genesis)?;
    bank::genesis::check_size(&ctx)
}

/// Exports a state, the highest module first: each pays what a genesis cannot represent into
/// balances, which the bank exports last.
pub fn export(mut state: State) -> Result<Exported> {
    let block = chain::context(&state, state.version())?;
    let mut ctx = Execution::new(&mut state, &block);
    let (mut app_state, mut notes) = (GenesisState::default(), Vec::new());
    sessions::genesis::export(&mut ctx, &mut notes)?;
    audits::genesis::export(&mut ctx, &mut notes)?;
    tasks::genesis::export(&mut ctx, &mut notes)?;
    nodes::genesis::export(&mut ctx, &mut app_state, &mut notes)?;
    let powers = validators::genesis::export(&mut ctx, &mut app_state, &mut notes)?;
    let vote_extensions_height = beacon::genesis::export(&app_state, &mut notes);
    models::genesis::export(&ctx, &mut app_state)?;
    bank::genesis::export(&ctx, &mut app_state)?;
    app_state.params = Some(params::genesis::export(ctx.state)?);
    bank::genesis::check_supply(&ctx, &app_state)?;
    Ok(Exported {
        app_state,
        validators: powers,
        vote_extensions_height,
        notes,
    })
}
