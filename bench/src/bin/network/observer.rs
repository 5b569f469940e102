//! Observes the blocks of a chain by querying one node, like a client.

use std::time::{Duration, Instant};

use poq_client::{Client, Event, TxHash};
use poq_proto::event;
use tokio::sync::watch;
use tokio::task::AbortHandle;
use tokio::time::sleep;

use crate::ledger::Ledger;

/// Pause between two queries; also the error of every latency.
const PAUSE: Duration = Duration::from_millis(20);

/// Polls for blocks until it is dropped.
pub(crate) struct Observer {
    heights: watch::Receiver<u64>,
    task: AbortHandle,
}

impl Observer {
    /// Records every block above `height` in the ledger; with `tasks`, also their tasks.
    pub(crate) fn start(client: Client, height: u64, ledger: Ledger, tasks: bool) -> Self {
        let (sender, heights) = watch::channel(height);
        let task = tokio::spawn(async move {
            let mut height = height;
            loop {
                match see(&client, height + 1, &ledger, tasks).await {
                    Ok(()) => {
                        height += 1;
                        // There may be no receiver.
                        let _ = sender.send(height);
                    }
                    // The block usually does not exist yet.
                    Err(_) => sleep(PAUSE).await,
                }
            }
        });
        Self {
            heights,
            task: task.abort_handle(),
        }
    }

    /// The newest height.
    pub(crate) fn heights(&self) -> watch::Receiver<u64> {
        self.heights.clone()
    }
}

impl Drop for Observer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn see(client: &Client, height: u64, ledger: &Ledger, tasks: bool) -> poq_client::Result<()> {
    let block = client.block(Some(height)).await?.block;
    // The results are available slightly later than the block itself.
    let outcome = match tasks {
        true => Some(client.block_results(Some(height)).await?),
        false => None,
    };
    let seen = Instant::now();
    let hashes: Vec<_> = block.data.iter().map(|tx| TxHash::of(tx)).collect();
    let due = ledger.block(seen, &hashes);
    if let Some(outcome) = outcome {
        for (due, events) in due.into_iter().zip(&outcome.tx_events) {
            if let Some(due) = due {
                for task in tasks_of(events, event::TASK_SUBMITTED) {
                    ledger.open(task, due);
                }
            }
        }
        let paid: Vec<_> = tasks_of(&outcome.events, event::TASK_FINAL).collect();
        let refunded: Vec<_> = tasks_of(&outcome.events, event::TASK_REFUNDED).collect();
        ledger.close(seen, &paid, &refunded);
    }
    Ok(())
}

fn tasks_of<'e>(events: &'e [Event], kind: &'e str) -> impl Iterator<Item = u64> + 'e {
    let events = events.iter().filter(move |event| event.kind == kind);
    events.filter_map(|event| event.get(event::TASK)?.parse().ok())
}
