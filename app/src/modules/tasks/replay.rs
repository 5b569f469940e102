//! Draws once more: who was drawn for a task, from whom, and whether the beacon says the same.
//!
//! A draw of height h needs nothing but the state of height h, because draws are the last thing
//! that happens in a block. So it can be repeated by anyone who has that state, or proofs of the
//! values that it reads.

use poq_proto::code;
use poq_proto::v1::{Role, Task};

use super::{draw, get};
use crate::chain;
use crate::error::{Result, ensure, reject};
use crate::execution::Execution;
use crate::modules::nodes;
use crate::store::State;

/// Candidates that are listed for one model at most.
const MAX_CANDIDATES: usize = 1_000;

/// A draw, as the chain recorded it and as it comes out when it is repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// Height of the block whose beacon drew.
    pub height: u64,
    /// The beacon of that height in the state.
    pub beacon: [u8; 32],
    /// The beacon that the record names.
    pub recorded_beacon: Vec<u8>,
    /// Among whom was drawn, one entry per evaluator model or for the language model.
    pub pools: Vec<Pool>,
    /// Who is in the record.
    pub recorded: Vec<Drawn>,
    /// Who is drawn when it is repeated.
    pub repeated: Vec<Drawn>,
}

/// The nodes that could be drawn for one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// Model or evaluator model.
    pub model: String,
    /// Weights of all of them together.
    pub total_weight: u128,
    /// In the order of their slots; the first 1,000.
    pub candidates: Vec<Candidate>,
}

/// A node that could be drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// Its operator.
    pub operator: String,
    /// min(stake, cap) × reputation.
    pub weight: u128,
    /// Whether it had no part in this draw: it missed the task before, asked or answered it.
    pub excluded: bool,
}

/// A node that was drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// Its operator.
    pub operator: String,
    /// The model that it was drawn for.
    pub model: String,
    /// Its weight in the aggregation; 0 for an inference node, which has none.
    pub weight: u64,
}

impl Replay {
    /// Whether the chain drew whom the beacon says.
    pub fn is_right(&self) -> bool {
        self.recorded_beacon == self.beacon && self.recorded == self.repeated
    }
}

/// Height of a draw of a task: `attempt` counts the draws of the role from 0.
///
/// # Errors
/// `NOT_FOUND` if there was no such draw, or if the record is compact.
pub fn draw_height(task: &Task, role: Role, attempt: u32) -> Result<u64> {
    let attempt = attempt as usize;
    let height = match role {
        Role::Inference => task.assignments.get(attempt).map(|draw| draw.height),
        Role::Evaluator => task.committees.get(attempt).map(|draw| draw.height),
        Role::Validator | Role::Unspecified => None,
    };
    match height {
        Some(height) => Ok(height),
        None if !task.record_sha256.is_empty() => reject!(
            code::NOT_FOUND,
            "the record of task {} is compact and no longer has its draws; ask for a height soon after {}",
            task.id,
            task.updated_height
        ),
        None => reject!(
            code::NOT_FOUND,
            "task {} had no draw {attempt} of an {} node",
            task.id,
            nodes::name(role)
        ),
    }
}

/// Repeats a draw of a task on the state of the height that it happened at.
///
/// # Errors
/// As [`draw_height`]; `INVALID_REQUEST` if the state is of another height.
pub fn replay(state: &mut State, id: u64, role: Role, attempt: u32) -> Result<Replay> {
    let block = chain::context(state, state.version())?;
    let mut task = get(state, id)?;
    let height = draw_height(&task, role, attempt)?;
    ensure!(
        height == block.height,
        code::INVALID_REQUEST,
        "draw {attempt} of task {id} happened at height {height}, not {}",
        block.height
    );
    let beacon = block.beacon;
    let x = Execution::new(state, &block);
    let (recorded_beacon, recorded) = recorded(&task, role, attempt);
    forget_draws_from(&mut task, role, attempt);
    let repeated = match role {
        Role::Inference => draw::inference_node(&x, &task)?
            .map(|assignment| Drawn {
                operator: assignment.operator,
                model: task.model.clone(),
                weight: 0,
            })
            .into_iter()
            .collect(),
        _ => seats(&draw::committee(&x, &task)?),
    };
    Ok(Replay {
        height,
        beacon,
        recorded_beacon,
        pools: pools(&x, &task, role)?,
        recorded,
        repeated,
    })
}

fn recorded(task: &Task, role: Role, attempt: u32) -> (Vec<u8>, Vec<Drawn>) {
    let attempt = attempt as usize;
    match role {
        Role::Inference => task.assignments.get(attempt).map(|assignment| {
            let drawn = Drawn {
                operator: assignment.operator.clone(),
                model: task.model.clone(),
                weight: 0,
            };
            (assignment.beacon.clone(), vec![drawn])
        }),
        _ => task
            .committees
            .get(attempt)
            .map(|committee| (committee.beacon.clone(), seats(committee))),
    }
    .unwrap_or_default()
}

fn seats(committee: &poq_proto::v1::Committee) -> Vec<Drawn> {
    committee
        .seats
        .iter()
        .map(|seat| Drawn {
            operator: seat.operator.clone(),
            model: seat.evaluator_model.clone(),
            weight: seat.weight,
        })
        .collect()
}

/// The record as the draw saw it.
fn forget_draws_from(task: &mut Task, role: Role, attempt: u32) {
    match role {
        Role::Inference => task.assignments.truncate(attempt as usize),
        _ => task.committees.truncate(attempt as usize),
    }
}

fn pools(x: &Execution<'_>, task: &Task, role: Role) -> Result<Vec<Pool>> {
    let (models, excluded) = match role {
        Role::Inference => (vec![task.model.clone()], draw::excluded_nodes(x, task)?),
        _ => {
            let ids = task.evaluator_models.iter().map(|entry| entry.id.clone());
            (ids.collect(), draw::excluded_evaluators(x, task)?)
        }
    };
    models
        .into_iter()
        .map(|model| {
            let candidates = nodes::candidates(x.state, role, &model, MAX_CANDIDATES)?;
            Ok(Pool {
                total_weight: nodes::total_weight(x.state, role, &model)?,
                candidates: candidates
                    .into_iter()
                    .map(|(node, weight)| Candidate {
                        excluded: excluded.contains(&node.slot),
                        operator: node.operator,
                        weight,
                    })
                    .collect(),
                model,
            })
        })
        .collect()
}
