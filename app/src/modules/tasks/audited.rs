//! The effects of an audit on a settled task.

use poq_proto::v1::{Committee, Task};
use poq_store::State;
use sha2::{Digest, Sha256};

use super::settlement::{Bill, split};
use super::{get, keys, leave_queue, put, reschedule};
use crate::error::{Error, Result};
use crate::execution::Execution;

/// Removes a settled task from the queue of due heights, so that it is not paid before its audit is
/// over, and stores it.
pub fn hold(ctx: &mut Execution<'_>, task: &mut Task, audit_height: u64) -> Result<()> {
    leave_queue(ctx, task)?;
    task.due_height = final_height(task).max(audit_height);
    put(ctx.state, task)
}

/// Puts a task back into the queue and stores it. It is paid at the end of this block or of its
/// audit window, whichever comes last.
pub fn resume(ctx: &mut Execution<'_>, task: &mut Task) -> Result<()> {
    let due_height = final_height(task).max(ctx.block.height);
    reschedule(ctx, task, due_height)?;
    put(ctx.state, task)
}

fn final_height(task: &Task) -> u64 {
    let settlement = task.settlement.as_ref();
    settlement.map_or(0, |settlement| settlement.final_height)
}

/// Splits the escrow again, by another quality and for the seats of `paid` that have a reveal. The
/// payout accounts stay the same.
pub fn settle_again(
    ctx: &Execution<'_>,
    task: &mut Task,
    paid: &Committee,
    quality: u32,
) -> Result<()> {
    let amounts = split(&Bill::of(&ctx.block.params, task, paid, quality))?;
    let Some(settlement) = &mut task.settlement else {
        return Err(Error::broken(format!("task {} is not settled", task.id)));
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

/// The prompt and the answer of an open task. They are not in the authenticated tree, so only the
/// digests in the record tell whether they are right.
///
/// # Errors
/// [`Error::Audit`] if one is missing or damaged. That is a fault of this node's disk, and a node
/// that continued with it would fork.
pub fn texts(state: &State, id: u64) -> Result<(String, String)> {
    let task = get(state, id)?;
    let answer = task.answer.unwrap_or_default();
    let text = |key: String, sha256: &[u8]| {
        let fault = |what| Error::Audit {
            task: id,
            reason: format!(
                "{key} is {what} in this node's store; give the node the data of another one"
            ),
        };
        let bytes = state.payload(&key)?.ok_or_else(|| fault("missing"))?;
        if Sha256::digest(&bytes).as_slice() != sha256 {
            return Err(fault("damaged"));
        }
        String::from_utf8(bytes).map_err(|_| fault("damaged"))
    };
    let prompt = text(keys::prompt(id), &task.prompt_sha256)?;
    Ok((prompt, text(keys::answer(id), &answer.sha256)?))
}

#[cfg(test)]
mod tests {
    use poq_proto::v1::Answer;
    use poq_store::ReadSet;

    use super::*;

    #[test]
    fn a_damaged_text_stops_the_node() {
        let digest = |text: &str| Sha256::digest(text).to_vec();
        let mut state = State::of(ReadSet::new(0));
        let task = Task {
            id: 7,
            prompt_sha256: digest("Why?"),
            answer: Some(Answer {
                sha256: digest("Because."),
                ..Answer::default()
            }),
            ..Task::default()
        };
        put(&mut state, &task).unwrap();
        state.put_payload(keys::prompt(7), "Why?").unwrap();
        state.put_payload(keys::answer(7), "Because.").unwrap();
        assert_eq!(
            texts(&state, 7).unwrap(),
            ("Why?".into(), "Because.".into())
        );
        state.put_payload(keys::answer(7), "Because,").unwrap();
        let error = texts(&state, 7).unwrap_err();
        assert!(matches!(&error, Error::Audit { task: 7, reason } if reason.contains("damaged")));
        state.delete_payload(keys::answer(7)).unwrap();
        let error = texts(&state, 7).unwrap_err();
        assert!(matches!(&error, Error::Audit { task: 7, reason } if reason.contains("missing")));
    }
}
