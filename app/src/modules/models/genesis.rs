//! The registries of models in a genesis.

use std::collections::BTreeSet;

use poq_proto::code;
use poq_proto::v1::GenesisState;

use super::{all_evaluator_models, all_models, set_evaluator_model, set_model};
use crate::error::{Result, ensure};
use crate::execution::Execution;

/// Registers the evaluator models, then the language models that name them.
pub fn init(ctx: &mut Execution<'_>, genesis: &GenesisState) -> Result<()> {
    let mut seen = BTreeSet::new();
    for model in &genesis.evaluator_models {
        ensure!(
            seen.insert(&model.id),
            code::INVALID_REQUEST,
            "genesis has evaluator model {} twice",
            model.id
        );
        set_evaluator_model(ctx.state, model, 0)?;
    }
    seen.clear();
    for model in &genesis.models {
        ensure!(
            seen.insert(&model.id),
            code::INVALID_REQUEST,
            "genesis has model {} twice",
            model.id
        );
        set_model(ctx.state, model, 0, 0)?;
    }
    Ok(())
}

/// Exports both registries unchanged.
pub fn export(ctx: &Execution<'_>, genesis: &mut GenesisState) -> Result<()> {
    genesis.models = all_models(ctx.state)?;
    genesis.evaluator_models = all_evaluator_models(ctx.state)?;
    Ok(())
}
