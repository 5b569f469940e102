//! The registries of language models and evaluator models.

pub mod genesis;
mod keys;
pub mod msgs;
pub mod query;
mod validate;

use poq_proto::code;
use poq_proto::v1::{EvaluatorModel, Model};
use poq_store::State;

use crate::error::{Error, Result, ensure};

/// The language model, or a rejection that names it.
pub fn model(state: &State, id: &str) -> Result<Model> {
    find(state.get_message(keys::model(id))?, id, code::UNKNOWN_MODEL)
}

/// The evaluator model, or a rejection that names it.
pub fn evaluator_model(state: &State, id: &str) -> Result<EvaluatorModel> {
    find(
        state.get_message(keys::evaluator_model(id))?,
        id,
        code::UNKNOWN_EVALUATOR_MODEL,
    )
}

/// Every language model in ascending order of ids. For tools, never in a block.
pub fn all_models(state: &State) -> Result<Vec<Model>> {
    let models = state.scan_messages(keys::MODELS, None, usize::MAX)?;
    Ok(models.into_iter().map(|(_, model)| model).collect())
}

/// Every evaluator model in ascending order of ids. For tools, never in a block.
pub fn all_evaluator_models(state: &State) -> Result<Vec<EvaluatorModel>> {
    let models = state.scan_messages(keys::EVALUATOR_MODELS, None, usize::MAX)?;
    Ok(models.into_iter().map(|(_, model)| model).collect())
}

/// Registers or replaces a language model at a height. Evaluator models that the entry did not name
/// before must be registered for long enough and not deprecated.
pub fn set_model(
    state: &mut State,
    model: &Model,
    height: u64,
    activation_delay: u64,
) -> Result<()> {
    validate::model(model)?;
    let before: Option<Model> = state.get_message(keys::model(&model.id))?;
    let named: Vec<_> = before.map_or_else(Vec::new, |before| before.evaluator_models);
    for entry in &model.evaluator_models {
        let evaluator = evaluator_model(state, &entry.id)?;
        if named.iter().any(|old| old.id == entry.id) {
            continue;
        }
        ensure!(
            !evaluator.deprecated,
            code::MODEL_DEPRECATED,
            "evaluator model {} is deprecated: model {} cannot begin to use it",
            entry.id,
            model.id
        );
        let usable = match evaluator.registered_height {
            0 => 0,
            registered => registered.saturating_add(activation_delay),
        };
        ensure!(
            height >= usable,
            code::INVALID_REQUEST,
            "evaluator model {} can be named from height {usable} on, so that every node has the \
             time to get its files; it is {height} now",
            entry.id
        );
    }
    Ok(state.put_message(keys::model(&model.id), model)?)
}

/// Registers or replaces an evaluator model. The fields that decide a raw score cannot change:
/// audits recompute scores that were given before the replacement.
pub fn set_evaluator_model(state: &mut State, model: &EvaluatorModel, height: u64) -> Result<()> {
    validate::evaluator_model(model)?;
    let before: Option<EvaluatorModel> = state.get_message(keys::evaluator_model(&model.id))?;
    ensure!(
        before
            .as_ref()
            .is_none_or(|before| scores_alike(before, model)),
        code::INVALID_REQUEST,
        "evaluator model {}: kind, digests, max_tokens, max_windows and caps_junk cannot change; \
         register what scores differently under another id",
        model.id
    );
    let registered_height = before.map_or(height, |before| before.registered_height);
    let model = EvaluatorModel {
        registered_height,
        ..model.clone()
    };
    Ok(state.put_message(keys::evaluator_model(&model.id), &model)?)
}

/// Whether two entries describe the same function from texts to raw scores.
fn scores_alike(one: &EvaluatorModel, other: &EvaluatorModel) -> bool {
    let function = |model: &EvaluatorModel| EvaluatorModel {
        deprecated: false,
        calibration: Vec::new(),
        audit_tolerance: 0,
        registered_height: 0,
        licence: String::new(),
        ..model.clone()
    };
    function(one) == function(other)
}

fn find<T>(stored: Option<T>, id: &str, code: code::Code) -> Result<T> {
    // An id with bytes that are invalid in a key was never stored; the store returns nothing for
    // it.
    stored.ok_or_else(|| Error::rejected(code, format!("no model {id:?} is registered")))
}

/// Checks an id: 1 to 64 lower-case letters, digits, `-`, `.` and `_`.
pub fn validate_id(id: &str) -> Result<()> {
    let valid = (1..=64).contains(&id.len())
        && id.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte)
        });
    ensure!(valid, code::INVALID_REQUEST, "invalid model id {id:?}");
    Ok(())
}
