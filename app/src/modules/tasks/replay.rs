//! Replays a draw from the state and compares it with the record.
//!
//! A draw is the first step of its block. So it depends only on the state of the height before, the
//! beacon and the record. Anyone who has these, or proofs of the values that it reads, can repeat
//! it.

use poq_proto::code;
use poq_proto::v1::{Role, Task};
use poq_store::State;

use super::{draw, get};
use crate::chain;
use crate::error::{Result, ensure, reject};
use crate::execution::{BlockContext, Execution};
use crate::modules::nodes::{self, Work};

/// The most candidates that are listed per model.
pub const MAX_CANDIDATES: usize = 1_000;

/// A draw as the chain recorded it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// The task that drew.
    pub task: u64,
    /// The role that was drawn.
    pub role: Role,
    /// The number of the draw among the role's draws for the task, from 0.
    pub attempt: u32,
    /// The height of the block that drew.
    pub height: u64,
    /// The beacon of that height in the state.
    pub beacon: [u8; 32],
    /// The beacon that the record names.
    pub recorded_beacon: Vec<u8>,
    /// The nodes in the record.
    pub recorded: Vec<Drawn>,
}

/// A draw as recorded and as repeated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The recorded draw.
    pub record: Record,
    /// The candidates: one pool per evaluator model, or one for the language model.
    pub pools: Vec<Pool>,
    /// The nodes that the repeated draw selects.
    pub repeated: Vec<Drawn>,
}

/// The nodes that could be drawn for one model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pool {
    /// The id of the model or evaluator model.
    pub model: String,
    /// The sum of all weights.
    pub total_weight: u128,
    /// The candidates in slot order; the first 1,000.
    pub candidates: Vec<Candidate>,
}

/// A node that could be drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candidate {
    /// The node's operator.
    pub operator: String,
    /// min(stake, cap) × reputation.
    pub weight: u128,
    /// Whether the node was excluded from this draw: it missed the task before, or its account
    /// submitted or answered it or is paid for it.
    pub excluded: bool,
}

/// A node that was drawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drawn {
    /// The node's operator.
    pub operator: String,
    /// The model for which the node was drawn.
    pub model: String,
    /// The weight in the aggregation; 0 for an inference node.
    pub weight: u64,
}

impl Replay {
    /// Whether the recorded draw equals the repeated one.
    pub fn is_right(&self) -> bool {
        self.record.recorded_beacon == self.record.beacon && self.record.recorded == self.repeated
    }
}

/// The height of a draw of a task; `attempt` counts the draws of the role from 0.
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

/// Reads a draw's record from the state of its height.
///
/// # Errors
/// As [`draw_height`]; `INVALID_REQUEST` if the state is of another height.
pub fn record(state: &State, id: u64, role: Role, attempt: u32) -> Result<Record> {
    let task = get(state, id)?;
    let height = draw_height(&task, role, attempt)?;
    ensure!(
        height == state.version(),
        code::INVALID_REQUEST,
        "draw {attempt} of task {id} happened at height {height}, not {}",
        state.version()
    );
    let (recorded_beacon, recorded) = recorded(&task, role, attempt);
    Ok(Record {
        task: id,
        role,
        attempt,
        height,
        beacon: chain::beacon(state)?,
        recorded_beacon,
        recorded,
    })
}

/// Repeats a draw on the state of the height before it.
///
/// # Errors
/// `INVALID_REQUEST` if the state is of another height, and the errors of reading it.
pub fn replay(before: &mut State, record: Record) -> Result<Replay> {
    ensure!(
        record.height == before.version().saturating_add(1),
        code::INVALID_REQUEST,
        "the draw of height {} uses the state of the height before, not that of {}",
        record.height,
        before.version()
    );
    let block = BlockContext {
        beacon: record.beacon,
        ..chain::context(before, record.height)?
    };
    let task = get(before, record.task)?;
    let ctx = Execution::new(before, &block);
    let repeated = match record.role {
        Role::Inference => draw::inference_node(&ctx, &task)?
            .map(|assignment| Drawn {
                operator: assignment.operator,
                model: task.model.clone(),
                weight: 0,
            })
            .into_iter()
            .collect(),
        _ => draw::committee(&ctx, &task)?
            .as_ref()
            .map(seats)
            .unwrap_or_default(),
    };
    Ok(Replay {
        pools: pools(&ctx, &task, record.role)?,
        record,
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

fn pools(ctx: &Execution<'_>, task: &Task, role: Role) -> Result<Vec<Pool>> {
    let (models, excluded) = match role {
        Role::Inference => (vec![task.model.clone()], draw::excluded_nodes(ctx, task)?),
        _ => {
            let ids = task.evaluator_models.iter().map(|entry| entry.id.clone());
            (ids.collect(), draw::excluded_evaluators(ctx, task)?)
        }
    };
    models
        .into_iter()
        .map(|model| {
            let work = Work::Duties(role);
            let candidates = nodes::candidates(ctx.state, work, &model, MAX_CANDIDATES)?;
            Ok(Pool {
                total_weight: nodes::total_weight(ctx.state, work, &model)?,
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
