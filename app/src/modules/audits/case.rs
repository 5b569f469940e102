use std::collections::BTreeMap;

use poq_proto::v1::{EvaluatorModel, TaskStatus};

use super::keys;
use super::pool::{Auditor, LOOKAHEAD};
use crate::error::{Error, Result};
use crate::modules::{models, tasks};
use crate::store::State;

/// A scheduled audit with all that its reference scores depend on.
#[derive(Clone, Debug)]
pub struct Case {
    /// Height at whose end the result is used, at the earliest.
    pub due_height: u64,
    /// The audited task.
    pub task: u64,
    /// What the user asked.
    pub prompt: String,
    /// What the inference node answered.
    pub answer: String,
    /// The evaluator models of the committee, by id.
    pub models: BTreeMap<String, EvaluatorModel>,
}

impl Case {
    /// Reads what an audit needs from a state in which its task is settled.
    pub fn read(state: &State, due_height: u64, id: u64) -> Result<Self> {
        let task = tasks::get(state, id)?;
        let committee = task.committees.last();
        let (TaskStatus::Settled, Some(committee)) = (task.status(), committee) else {
            return Err(Error::internal(format!(
                "task {id} is to be audited and not settled"
            )));
        };
        let mut models = BTreeMap::new();
        for seat in committee.seats.iter().filter(|seat| seat.reveal.is_some()) {
            let model = models::evaluator_model(state, &seat.evaluator_model)?;
            models.insert(model.id.clone(), model);
        }
        let (prompt, answer) = tasks::texts(state, id)?;
        Ok(Self {
            due_height,
            task: id,
            prompt,
            answer,
            models,
        })
    }
}

/// Due height and task of scheduled audits, in the order in which their results are used, at most
/// `limit`.
pub fn pending(state: &State, limit: usize) -> Result<Vec<(u64, u64)>> {
    let entries = state.scan(keys::DUE, None, limit)?;
    entries
        .into_iter()
        .map(|(key, _)| tasks::parse_queued(keys::DUE, &key))
        .collect()
}

/// Lets the reference scores be computed that a committed state will need.
///
/// # Errors
/// If the store fails. A task that cannot be audited is left to the block that uses its audit.
pub fn follow(auditor: &Auditor, state: &State) -> Result<()> {
    let unknown = auditor.follow(&pending(state, LOOKAHEAD)?);
    let cases = unknown
        .into_iter()
        .filter_map(|(due_height, id)| match Case::read(state, due_height, id) {
            Err(Error::Rejected { .. }) => None,
            outcome => Some(outcome),
        })
        .collect::<Result<Vec<_>>>()?;
    auditor.begin(cases);
    Ok(())
}
