//! The registries of language models and evaluator models.

mod keys;
pub mod msgs;
pub mod query;
mod validate;

use poq_proto::code;
use poq_proto::v1::{EvaluatorModel, Model};

use crate::error::{Error, Result, ensure};
use crate::store::State;

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

/// Registers or replaces a language model. Its evaluator models must be registered, and not
/// deprecated unless the entry before named them too.
pub fn set_model(state: &mut State, model: &Model) -> Result<()> {
    validate::model(model)?;
    let before: Option<Model> = state.get_message(keys::model(&model.id))?;
    let named: Vec<_> = before.map_or_else(Vec::new, |before| before.evaluator_models);
    for entry in &model.evaluator_models {
        let deprecated = evaluator_model(state, &entry.id)?.deprecated;
        ensure!(
            !deprecated || named.iter().any(|old| old.id == entry.id),
            code::MODEL_DEPRECATED,
            "evaluator model {} is deprecated: model {} cannot begin to use it",
            entry.id,
            model.id
        );
    }
    Ok(state.put_message(keys::model(&model.id), model)?)
}

/// Registers or replaces an evaluator model.
pub fn set_evaluator_model(state: &mut State, model: &EvaluatorModel) -> Result<()> {
    validate::evaluator_model(model)?;
    Ok(state.put_message(keys::evaluator_model(&model.id), model)?)
}

fn find<T>(stored: Option<T>, id: &str, code: code::Code) -> Result<T> {
    // An id with bytes that no key may have was never stored, and the store says so.
    stored.ok_or_else(|| Error::rejected(code, format!("no model {id:?} is registered")))
}

/// An id is 1 to 64 lower-case letters, digits, `-`, `.` and `_`.
pub fn validate_id(id: &str) -> Result<()> {
    let valid = (1..=64).contains(&id.len())
        && id.bytes().all(|byte| {
            byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-._".contains(&byte)
        });
    ensure!(valid, code::INVALID_REQUEST, "invalid model id {id:?}");
    Ok(())
}
