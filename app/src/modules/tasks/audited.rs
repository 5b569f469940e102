//! What audits do to a settled task.

use poq_proto::code;
use poq_proto::v1::{Committee, Task};

use super::settlement::{Bill, split};
use super::{keys, put, reschedule};
use crate::error::{Error, Result, reject};
use crate::execution::Execution;
use crate::store::State;

/// Takes a settled task out of the queue of due heights, so that nothing is paid before its audit
/// is over, and stores it.
pub fn hold(x: &mut Execution<'_>, task: &mut Task, audit_height: u64) -> Result<()> {
    x.state.delete(keys::due(task.due_height, task.id))?;
    task.due_height = final_height(task).max(audit_height);
    put(x.state, task)
}

/// Puts a task back into the queue and stores it: it is paid at the end of this block or of its
/// audit window, whichever comes last.
pub fn resume(x: &mut Execution<'_>, task: &mut Task) -> Result<()> {
    let due_height = final_height(task).max(x.block.height);
    reschedule(x, task, due_height)?;
    put(x.state, task)
}

fn final_height(task: &Task) -> u64 {
    let settlement = task.settlement.as_ref();
    settlement.map_or(0, |settlement| settlement.final_height)
}

/// Splits the escrow once more, by another quality and for the seats of `paid` that have a reveal.
/// The accounts that are paid stay.
pub fn settle_again(
    x: &Execution<'_>,
    task: &mut Task,
    paid: &Committee,
    quality: u32,
) -> Result<()> {
    let amounts = split(&Bill::of(&x.block.params, task, paid, quality))?;
    let Some(settlement) = &mut task.settlement else {
        reject!(code::INTERNAL, "task {} is not settled", task.id);
    };
    settlement.quality = quality;
    settlement.price = amounts.price;
    if let Some(payout) = &mut settlement.inference {
        payout.amount = amounts.inference;
    }
    for (payout, amount) in settlement.evaluators.iter_mut().zip(amounts.evaluators) {
        payout.amount = amount;
    }
    settlement.protocol = amounts.protocol;
    settlement.refund = amounts.refund;
    Ok(())
}

/// Prompt and answer of a task that is not over.
pub fn texts(state: &State, id: u64) -> Result<(String, String)> {
    let text = |key: String| {
        let bytes = state.payload(&key)?;
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        text.ok_or_else(|| Error::internal(format!("the payload {key} is missing")))
    };
    Ok((text(keys::prompt(id))?, text(keys::answer(id))?))
}
