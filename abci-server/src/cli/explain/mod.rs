//! Explains a task in words: its history, its draws and the computation of each amount.

mod amounts;
mod audit;
mod history;
mod text;

use std::collections::BTreeSet;

use poq_app::modules::tasks::settlement;
use poq_client::Event;
use poq_proto::event;
use poq_proto::v1::{AuditResult, Params, Seat, Task, TaskStatus};
use serde::Serialize;

pub(super) use text::render;

/// The actor of events that the chain causes.
const CHAIN: &str = "chain";

/// The explanation of a task's record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Explanation {
    /// Status in one sentence.
    pub summary: String,
    /// Events, oldest first.
    pub history: Vec<Happening>,
    /// Draws, oldest first within a role.
    pub draws: Vec<Draw>,
    /// Amounts and their computation.
    pub amounts: Vec<Amount>,
    /// Stake that nodes lost in this task.
    pub slashed: Vec<Slash>,
    /// Parts that could not be explained, with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub notes: Vec<String>,
}

/// An event of a task.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Happening {
    /// Height of its block.
    pub height: u64,
    /// Actor: an account, or `chain`.
    pub who: String,
    /// Description, a few words.
    pub what: String,
}

impl Happening {
    fn new(height: u64, who: &str, what: impl Into<String>) -> Self {
        Self {
            height,
            who: who.to_owned(),
            what: what.into(),
        }
    }
}

/// A draw and the command that repeats it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Draw {
    /// `inference` or `evaluator`.
    pub role: &'static str,
    /// Number of the draw, from 0.
    pub attempt: u32,
    /// Height of the beacon.
    pub height: u64,
    /// The beacon, hex.
    pub beacon: String,
    /// Operators drawn.
    pub drawn: Vec<String>,
    /// Command that repeats the draw.
    pub check: String,
}

/// An amount and its computation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Amount {
    /// Receiving account, or the name of the amount.
    pub of: String,
    /// Base units, decimal.
    pub amount: String,
    /// Computation, in words.
    pub how: String,
}

/// Lost stake.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(super) struct Slash {
    /// Height of its block.
    pub height: u64,
    /// Operator.
    pub who: String,
    /// `inference` or `evaluator`.
    pub role: String,
    /// Base units, decimal.
    pub amount: String,
    /// Reason, in snake case.
    pub reason: String,
}

/// Explains a record. `params` are the parameters that settled it, if it is settled.
pub(super) fn explain(task: &Task, params: &Params) -> Explanation {
    let (amounts, mismatch) = amounts::amounts(task, params);
    let mut notes: Vec<String> = mismatch.into_iter().collect();
    if !task.record_sha256.is_empty() {
        notes.push(format!(
            "the record is compact: draws, scores and payouts are in the full one, which a state \
             soon after height {} has (--height) and whose SHA-256 is {}",
            task.updated_height,
            hex::encode(&task.record_sha256)
        ));
    }
    Explanation {
        summary: summary(task, &params.denom),
        history: history::history(task, &params.denom),
        draws: history::draws(task),
        amounts,
        slashed: Vec::new(),
        notes,
    }
}

/// The result of a task's audit, if it is over.
pub(super) fn audit_result(task: &Task) -> Option<&AuditResult> {
    task.audit.as_ref().and_then(|audit| audit.result.as_ref())
}

/// Heights at whose end nodes may have been slashed for the task.
pub(super) fn slash_heights(task: &Task) -> BTreeSet<u64> {
    let audited = audit_result(task).filter(|result| !result.penalties.is_empty());
    let mut heights = silence_heights(task);
    heights.extend(audited.map(|result| result.height));
    heights
}

fn silence_heights(task: &Task) -> BTreeSet<u64> {
    let missed = task.assignments.iter().map(|one| one.missed_height);
    let committees = task.committees.iter();
    let silent = committees.flat_map(|committee| {
        let is_silent = |seat: &Seat| seat.reveal.is_none();
        let has_silent = committee.seats.iter().any(is_silent);
        let failed = [committee.reveal_height, committee.failed_height];
        failed.into_iter().filter(move |_| has_silent)
    });
    let last = task.committees.last();
    let is_silent = last.is_some_and(|last| last.seats.iter().any(|seat| seat.reveal.is_none()));
    let settled = task.settlement.as_ref().map(|one| one.height);
    missed
        .chain(silent)
        .chain(settled.filter(|_| is_silent))
        .filter(|height| *height > 0)
        .collect()
}

/// The slashes for a task in the events of a block.
pub(super) fn slashes(task: u64, height: u64, events: &[Event]) -> Vec<Slash> {
    let id = task.to_string();
    events
        .iter()
        .filter(|event| event.kind == event::NODE_SLASHED)
        .filter(|event| event.get(event::TASK) == Some(&id))
        .map(|event| {
            let text = |key| event.get(key).unwrap_or_default().to_owned();
            Slash {
                height,
                who: text(event::NODE),
                role: text(event::ROLE),
                amount: text(event::AMOUNT),
                reason: text(event::REASON),
            }
        })
        .collect()
}

fn summary(task: &Task, denom: &str) -> String {
    let (id, height) = (task.id, task.updated_height);
    let quality = task.settlement.as_ref().map_or(0, |one| one.quality);
    match task.status() {
        TaskStatus::Submitted => format!("task {id} waits for the draw of an inference node"),
        TaskStatus::Assigned => format!(
            "task {id} waits for its answer, until the end of block {}",
            task.due_height
        ),
        TaskStatus::Answered => format!("task {id} waits for the draw of a committee"),
        TaskStatus::Committing => format!(
            "task {id} is answered; its committee commits to scores until the end of block {}",
            task.due_height
        ),
        TaskStatus::Revealing => format!(
            "task {id} is answered; its committee reveals its scores until the end of block {}",
            task.due_height
        ),
        TaskStatus::Settled if is_audited(task) => format!(
            "task {id} has quality {}, which is being audited; it is paid at the end of block {} \
             or soon after",
            fraction(quality),
            task.due_height
        ),
        TaskStatus::Settled => format!(
            "task {id} has quality {} and is paid at the end of block {}",
            fraction(quality),
            task.due_height
        ),
        TaskStatus::Final => format!(
            "task {id} was paid at height {height} by its quality {}{}",
            fraction(quality),
            task.leaf.map_or_else(String::new, |leaf| format!(
                ", which answer {} of session {} is paid by",
                leaf.number, leaf.session
            ))
        ),
        TaskStatus::Refunded => format!(
            "task {id} ended at height {height} without a quality, and {}{denom} of its escrow of \
             {}{denom} went back: {}{}",
            settlement::returned(task),
            task.escrow,
            history::refund_reason(task.refund_reason()),
            match task.cancellation_fee {
                0 => String::new(),
                fee => format!(" when a node worked on it already, for a fee of {fee}{denom}"),
            }
        ),
        TaskStatus::Unspecified => format!("task {id} has no known status"),
    }
}

fn is_audited(task: &Task) -> bool {
    task.audit.is_some() && audit_result(task).is_none()
}

/// Parts per million as a fraction of one.
fn fraction(ppm: u32) -> String {
    format!("{}.{:06}", ppm / 1_000_000, ppm % 1_000_000)
}

#[cfg(test)]
mod tests;
