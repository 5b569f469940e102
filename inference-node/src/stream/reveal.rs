//! Shows the chain the leaves that it has drawn.

use futures::future::join_all;
use poq_client::any;
use poq_proto::v1::{self, LeafItem, MsgRevealLeaves, Params, SessionSettlement, SessionStatus};
use poq_worker::batches;
use prost::Message;
use tracing::{error, info, warn};

use super::chain::{Batch, Chain};
use super::orders::Desk;
use super::session::Session;

/// Reveals what the records still list at `height`.
pub(super) async fn reveal(
    desk: &Desk,
    chain: &dyn Chain,
    operator: &str,
    height: u64,
    params: &Params,
) {
    let mut items = Vec::new();
    let mut due_height = u64::MAX;
    for record in desk.records.all() {
        let session = desk.find(record.id);
        if record.status() == SessionStatus::Revealing
            && record.due_height > height
            && let Some((session, settlement)) = session.zip(record.settlement.as_ref())
        {
            due_height = due_height.min(record.due_height);
            items.extend(drawn(desk, &session, settlement).await);
        }
    }
    let bytes = |item: &LeafItem| item.encoded_len();
    let batches = batches(items, params, bytes, |_| None);
    let sent = batches.into_iter().map(|items| {
        let message = any(&MsgRevealLeaves {
            operator: operator.to_owned(),
            items,
        });
        chain.hand_in(Batch::Reveal(message), due_height)
    });
    for outcome in join_all(sent).await {
        match outcome {
            Ok(results) => {
                for v1::SessionResult { session, code } in results {
                    match code {
                        0 => info!(session, "revealed a leaf"),
                        code => warn!(session, code, "the chain refused a leaf"),
                    }
                }
            }
            Err(error) => warn!(%error, "leaves were not revealed; they are sent again"),
        }
    }
}

/// The leaves of a session that the chain waits for.
async fn drawn(desk: &Desk, session: &Session, settlement: &SessionSettlement) -> Vec<LeafItem> {
    let id = session.record.id;
    let leaves = {
        let state = session.lock();
        let own = state.log.root(settlement.count);
        if own.as_ref().map(<[u8; 32]>::as_slice) != Some(settlement.root.as_slice()) {
            error!(session = id, "the chain has another log than the journal");
            return Vec::new();
        }
        let numbers = state.log.drawn(settlement);
        state.log.proofs(&numbers, settlement.count)
    };
    let mut items = Vec::with_capacity(leaves.len());
    for (leaf, path) in leaves {
        let number = leaf.number;
        match desk.journal.served(id, number).await {
            Ok(Some(served)) => items.push(LeafItem {
                session: id,
                leaf: Some((&leaf).into()),
                path: path.iter().map(|hash| hash.to_vec()).collect(),
                chat: Some(served.chat),
                answer: served.answer,
            }),
            Ok(None) => error!(session = id, number, "the journal has lost a drawn leaf"),
            Err(reason) => error!(session = id, number, "{reason}"),
        }
    }
    items
}
