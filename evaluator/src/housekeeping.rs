//! Removes the journal's entries of seats that no phase can ask for any more, beside the duties.

use std::collections::BTreeSet;
use std::sync::Arc;

use poq_client::Client;
use poq_proto::v1::TaskStatus;
use tracing::{info, warn};

use crate::journal::{Journal, Seat};

/// Most questions to the node in one round.
const QUESTIONS: usize = 200;

/// Asks the node about the oldest entries that are not `open`. What fails is left for next time.
pub async fn prune(client: Client, journal: Arc<Journal>, open: BTreeSet<Seat>) {
    let seats = match journal.keys() {
        Ok(seats) => seats,
        Err(error) => return warn!(%error, "cannot prune the journal"),
    };
    let mut removed = 0_usize;
    for seat in seats
        .into_iter()
        .filter(|seat| !open.contains(seat))
        .take(QUESTIONS)
    {
        match is_over(&client, seat).await {
            Ok(true) => {}
            Ok(false) => continue,
            Err(error) => return warn!(%error, "cannot prune the journal"),
        }
        match journal.remove(seat) {
            Ok(()) => removed += 1,
            Err(error) => return warn!(%error, "cannot prune the journal"),
        }
    }
    if removed > 0 {
        info!(removed, "pruned the journal");
    }
}

async fn is_over(client: &Client, seat: Seat) -> poq_client::Result<bool> {
    let task = match client.task(seat.task).await {
        Err(error) if error.is_not_found() => return Ok(true),
        task => task?,
    };
    let in_committee = matches!(
        task.status(),
        TaskStatus::Committing | TaskStatus::Revealing
    );
    let current = task.committees.len() == seat.attempt as usize + 1;
    Ok(!(in_committee && current))
}
