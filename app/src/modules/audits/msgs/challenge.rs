//! `MsgChallenge`.

use poq_proto::v1::{Audit, AuditCause, MsgChallenge, MsgChallengeResponse, Task, TaskStatus};
use poq_proto::{code, event};

use crate::address::Address;
use crate::error::{Result, ensure, reject};
use crate::execution::Execution;
use crate::modules::audits::schedule::{self, of_cause};
use crate::modules::{bank, tasks};

/// The most waiting challenges, as a number of blocks full of audits: an audit that waits beyond
/// its window delays unbonding stakes and payouts.
const PENDING_BLOCKS: usize = 16;

/// `MsgChallenge`: forces the audit of a settled task before its payout. The deposit is held until
/// the result is known.
pub fn challenge(ctx: &mut Execution<'_>, message: MsgChallenge) -> Result<MsgChallengeResponse> {
    let params = &ctx.block.params;
    let challenger = Address::parse(&message.challenger, &params.bech32_prefix)?;
    let mut task = tasks::get(ctx.state, message.task_id)?;
    require_open(&task, ctx.block.height)?;
    ensure!(
        message.deposit >= params.min_challenge_deposit,
        code::DEPOSIT_TOO_SMALL,
        "a challenge needs a deposit of at least {}{2}, got {}{2}",
        params.min_challenge_deposit,
        message.deposit,
        params.denom
    );
    let most = PENDING_BLOCKS.saturating_mul(params.max_audits_per_block as usize);
    ensure!(
        of_cause(ctx.state, AuditCause::Challenged, None, most)?.len() < most,
        code::TOO_MANY_CHALLENGES,
        "{most} challenges are already waiting for their audits; try again in the next block"
    );
    bank::debit(
        ctx.state,
        &challenger,
        &params.denom,
        message.deposit.into(),
    )?;
    ctx.emit(
        event::TASK_CHALLENGED,
        &[
            (event::TASK, &task.id),
            (event::USER, &task.user),
            (event::CHALLENGER, &message.challenger),
            (event::AMOUNT, &message.deposit),
        ],
    );
    let audit = Audit {
        cause: AuditCause::Challenged.into(),
        challenger: message.challenger,
        deposit: message.deposit,
        ..Audit::default()
    };
    schedule::schedule(ctx, &mut task, audit)?;
    let due_height = task.audit.map_or(0, |audit| audit.due_height);
    Ok(MsgChallengeResponse { due_height })
}

/// Requires that the task is settled, its window is open, and no audit is scheduled or over.
fn require_open(task: &Task, now: u64) -> Result<()> {
    let id = task.id;
    let Some(settlement) = &task.settlement else {
        ensure!(
            task.status() != TaskStatus::Refunded,
            code::TASK_OVER,
            "task {id} was refunded: there is no quality to challenge"
        );
        reject!(
            code::WRONG_PHASE,
            "task {id} is {}: it can be challenged once it is settled",
            task.status().as_str_name()
        );
    };
    if let Some(audit) = &task.audit {
        let state = match &audit.result {
            Some(result) => format!("was audited at height {}", result.height),
            None => format!(
                "is already being audited, with a result at height {} or soon after",
                audit.due_height
            ),
        };
        reject!(
            code::ALREADY_AUDITED,
            "task {id} {state}; one audit checks all of its scores"
        );
    }
    ensure!(
        task.status() == TaskStatus::Settled && now <= settlement.final_height,
        code::CHALLENGE_TOO_LATE,
        "task {id} could be challenged until height {}, it is {now} now",
        settlement.final_height
    );
    Ok(())
}
