use std::collections::BTreeMap;

use poq_proto::v1::{EvaluatorModel, TaskStatus};
use poq_store::State;

use crate::error::{Error, Result};
use crate::modules::{models, tasks};

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
