//! When and how a session is settled: once, with its newest voucher.

use poq_client::any;
use poq_proto::v1::{self, MsgSettleSessions, Params, SessionStatus, SettleItem};
use poq_worker::batches;
use prost::Message;
use tracing::{info, warn};

use super::chain::{Batch, Chain};
use super::orders::Desk;
use super::session::State;

/// Share of the escrow, in percent, from whose acknowledgement on a session is settled.
const USED: u128 = 80;
/// Blocks before the end of its ordering in which a session takes no more orders.
const LAST: u64 = 20;
/// Blocks to wait for acknowledgements once all answers have ended.
const GRACE: u64 = 10;
/// Blocks before the end of the time to settle in which nothing is waited for.
const MARGIN: u64 = 20;

/// Settles the sessions whose time has come at `height`.
pub(super) async fn settle(
    desk: &Desk,
    chain: &dyn Chain,
    operator: &str,
    height: u64,
    params: &Params,
) {
    let mut items = Vec::new();
    let mut due_height = u64::MAX;
    for record in desk.records.all() {
        let Some(session) = desk.find(record.id) else {
            continue;
        };
        let mut state = session.lock();
        if last_height(&record) > height
            && is_due(&record, &mut state, height)
            && let Some(item) = item(&state)
        {
            items.push(item);
            due_height = due_height.min(last_height(&record));
        }
    }
    let bytes = |item: &SettleItem| item.encoded_len();
    for items in batches(items, params, bytes, |_| None) {
        let sessions: Vec<u64> = items.iter().map(session_of).collect();
        let message = any(&MsgSettleSessions {
            operator: operator.to_owned(),
            items,
        });
        match chain.hand_in(Batch::Settle(message), due_height).await {
            Ok(results) => {
                for v1::SessionResult { session, code } in results {
                    match code {
                        0 => info!(session, "settled"),
                        code => warn!(session, code, "the chain refused a settlement"),
                    }
                }
            }
            Err(error) => warn!(?sessions, %error, "a settlement failed; it is tried again"),
        }
    }
}

fn session_of(item: &SettleItem) -> u64 {
    item.voucher.as_ref().map_or(0, |voucher| voucher.session)
}

/// Whether the session is to be settled now. From the moment on at which it is to be settled soon, it
/// takes no more orders.
fn is_due(record: &v1::Session, state: &mut State, height: u64) -> bool {
    let left = record.due_height.saturating_sub(height);
    let is_closing = match record.status() {
        SessionStatus::Open => false,
        SessionStatus::Closing => true,
        _ => return false,
    };
    let amount = state.log.amount(state.log.acknowledged());
    let is_used = u128::from(amount) * 100 >= u128::from(record.escrow) * USED;
    let is_last = left <= LAST.min(record.blocks / 10);
    let is_over = is_closing || is_used || is_last || state.log.is_full() || state.pay.is_too_low;
    if !is_over && state.ending.is_none() {
        return false;
    }
    let is_answering = state.log.open().next().is_some();
    let since = match state.ending {
        Some(since) if !is_answering => since,
        _ => height,
    };
    state.ending = Some(since);
    let window = record.due_height.saturating_sub(record.updated_height);
    let is_late = is_closing && left <= MARGIN.min(window / 4);
    let is_complete = !is_answering && state.log.acknowledged() == state.log.next();
    is_late || is_complete || (!is_answering && height >= since.saturating_add(GRACE))
}

/// The last height at which the session can be settled, as far as its record tells.
fn last_height(record: &v1::Session) -> u64 {
    match record.status() {
        // It closes then, and the time to settle begins.
        SessionStatus::Open => record.due_height.saturating_add(GRACE),
        _ => record.due_height,
    }
}

/// The newest voucher, and the ceilings of what was served and not acknowledged.
fn item(state: &State) -> Option<SettleItem> {
    let signed = state.newest?;
    let voucher = signed.voucher;
    let most = voucher.authorized.saturating_sub(voucher.amount);
    Some(SettleItem {
        unacknowledged: state.log.served_beyond(voucher.count).min(most),
        voucher: Some((&voucher).into()),
        signature: signed.signature.to_vec(),
    })
}

#[cfg(test)]
mod tests;
