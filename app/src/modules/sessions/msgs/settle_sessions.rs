//! `MsgSettleSessions`.

use poq_proto::v1::{
    MsgSettleSessions, MsgSettleSessionsResponse, Role, Session, SessionScoring, SessionSettlement,
    SessionStatus, SettleItem,
};
use poq_proto::{Voucher, code, event};

use crate::ecdsa;
use crate::error::{Error, Result, ensure};
use crate::execution::Execution;
use crate::modules::nodes::SessionEnd;
use crate::modules::sessions::lifecycle::end;
use crate::modules::sessions::{
    await_draw, get, leave_queue, put, require_node, require_phase, run_batch,
};
use crate::modules::{bank, nodes};

/// `MsgSettleSessions`: the nodes of sessions put the logs' roots and amounts on chain.
pub fn settle_sessions(
    ctx: &mut Execution<'_>,
    message: MsgSettleSessions,
) -> Result<MsgSettleSessionsResponse> {
    let operator = message.operator;
    let session = |item: &SettleItem| item.voucher.as_ref().map_or(0, |voucher| voucher.session);
    let items = message.items.into_iter().map(|item| (session(&item), item));
    let results = run_batch(ctx, items.collect(), |ctx, id, item| {
        settle_session(ctx, &operator, id, &item)
    })?;
    Ok(MsgSettleSessionsResponse { results })
}

fn settle_session(
    ctx: &mut Execution<'_>,
    operator: &str,
    id: u64,
    item: &SettleItem,
) -> Result<()> {
    let mut session = get(ctx.state, id)?;
    require_node(&session, operator)?;
    require_phase(&session, &[SessionStatus::Open, SessionStatus::Closing])?;
    let voucher = signed_voucher(ctx, &session, item)?;
    check_amounts(&session, &voucher, item.unacknowledged)?;
    // At most the escrow, which was just checked.
    let spent = voucher.amount.saturating_add(item.unacknowledged);
    let rest = session.escrow.saturating_sub(spent);
    bank::burn_held(
        ctx.state,
        &ctx.block.params.denom,
        item.unacknowledged.into(),
    )?;
    bank::pay(ctx, &session.user, rest)?;
    session.settlement = Some(SessionSettlement {
        count: voucher.count,
        root: voucher.root.to_vec(),
        amount: voucher.amount,
        unacknowledged: item.unacknowledged,
        height: ctx.block.height,
        payout: nodes::payout_account(ctx.state, Role::Inference, operator)?,
        ..SessionSettlement::default()
    });
    ctx.emit(
        event::SESSION_SETTLED,
        &[
            (event::SESSION, &id),
            (event::USER, &session.user),
            (event::NODE, &operator),
            (event::AMOUNT, &voucher.amount),
        ],
    );
    if voucher.amount == 0 {
        leave_queue(ctx, &session)?;
        nodes::end_session(ctx, operator, SessionEnd::Silent)?;
        end(ctx, &mut session, SessionStatus::Final)?;
    } else {
        await_draw(ctx, &mut session, SessionStatus::Drawing)?;
    }
    put(ctx.state, &session)
}

fn signed_voucher(ctx: &Execution<'_>, session: &Session, item: &SettleItem) -> Result<Voucher> {
    let invalid = |reason: String| {
        let log = format!("the voucher of session {}: {reason}", session.id);
        Error::rejected(code::INVALID_VOUCHER, log)
    };
    let message = item.voucher.as_ref();
    let message = message.ok_or_else(|| invalid("there is none".into()))?;
    let voucher = Voucher::try_from(message).map_err(|error| invalid(error.to_string()))?;
    let key: Option<&[u8; 33]> = session.session_key.as_slice().try_into().ok();
    let signature: Option<&[u8; 64]> = item.signature.as_slice().try_into().ok();
    let digest = voucher.digest(&ctx.block.chain_id);
    let is_signed = key
        .zip(signature)
        .is_some_and(|(key, signature)| ecdsa::verify(key, signature, digest));
    match is_signed {
        true => Ok(voucher),
        false => Err(invalid("its signature is not the session key's".into())),
    }
}

fn check_amounts(session: &Session, voucher: &Voucher, unacknowledged: u64) -> Result<()> {
    let Session { id, escrow, .. } = session;
    let open = voucher.authorized.checked_sub(voucher.amount);
    ensure!(
        open.is_some_and(|open| unacknowledged <= open),
        code::SETTLEMENT_TOO_HIGH,
        "the voucher of session {id} authorizes {}, not the amount {} and {unacknowledged} more",
        voucher.authorized,
        voucher.amount
    );
    let spent = voucher.amount.checked_add(unacknowledged);
    ensure!(
        spent.is_some_and(|spent| spent <= *escrow),
        code::SETTLEMENT_TOO_HIGH,
        "session {id} holds {escrow}, less than the amount {} and {unacknowledged} more",
        voucher.amount
    );
    let most = session.rules.unwrap_or_default().max_all_leaves;
    ensure!(
        session.scoring() != SessionScoring::All || voucher.count <= most.into(),
        code::SETTLEMENT_TOO_HIGH,
        "session {id} scores all of its answers, so it has at most {most}, not {}",
        voucher.count
    );
    Ok(())
}
