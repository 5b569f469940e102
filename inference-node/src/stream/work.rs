//! What the stream API does with every block: it renews its copy of the chain's state, settles,
//! reveals, and forgets what is over.

use std::sync::Arc;

use poq_client::Follower;
use poq_worker::Health;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::chain::Chain;
use super::journal::Write;
use super::measure;
use super::orders::Desk;
use super::records::is_over;
use super::reveal::reveal;
use super::settle::settle;

/// The part of [`Health`] that says whether the sessions' records can be read.
const CHAIN: &str = "stream_chain";

/// The work of the blocks.
pub(super) struct Work {
    /// The sessions.
    pub(super) desk: Arc<Desk>,
    /// The chain.
    pub(super) chain: Arc<dyn Chain>,
    /// Bech32.
    pub(super) operator: String,
    /// Where problems are reported.
    pub(super) health: Health,
}

impl Work {
    /// Follows the chain in the background until the shutdown.
    pub(super) fn begin(
        self,
        mut follower: Follower,
        heights: watch::Sender<u64>,
        shutdown: CancellationToken,
    ) {
        let work = Arc::new(self);
        let (worker, mut seen) = (work.clone(), heights.subscribe());
        let following = async move {
            // Orders must not wait for the next block.
            work.renew().await;
            loop {
                let height = follower.next().await;
                let is_new = work.renew().await;
                heights.send_replace(height);
                if is_new {
                    follower.done(height);
                }
            }
        };
        let working = async move {
            while seen.changed().await.is_ok() {
                let height = *seen.borrow_and_update();
                worker.block(height).await;
            }
        };
        let work = async move {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => {}
                () = following => {}
                () = working => {}
            }
        };
        tokio::spawn(work);
    }

    /// Does what is due at `height`.
    pub(super) async fn block(&self, height: u64) {
        let params = match self.chain.params().await {
            Ok(params) => params,
            Err(error) => {
                return warn!(height, %error, "cannot read the parameters; trying again with the next block");
            }
        };
        let (desk, chain) = (&self.desk, self.chain.as_ref());
        tokio::join!(
            settle(desk, chain, &self.operator, height, &params),
            reveal(desk, chain, &self.operator, height, &params),
        );
        self.forget().await;
        // A journal that cannot be written is known before the next order.
        let _ = self.desk.journal.write(Write::Check).stored().await;
    }

    /// Renews the copy of the records. Returns whether that worked.
    pub(super) async fn renew(&self) -> bool {
        let desk = &self.desk;
        let kept: Vec<u64> = desk.all().iter().map(|session| session.record.id).collect();
        let problem = desk.records.renew(&kept).await.err().map(|error| {
            warn!(%error, "cannot read the sessions; trying again with the next block");
            format!("cannot read the sessions: {error}")
        });
        let is_new = problem.is_none();
        self.health.set(CHAIN, problem);
        measure::sessions(desk);
        is_new
    }

    /// Deletes the texts of sessions that are over.
    async fn forget(&self) {
        for session in self.desk.all() {
            let id = session.record.id;
            let record = self.desk.records.copy(id);
            if !record.is_some_and(|record| is_over(&record)) {
                continue;
            }
            match self.desk.journal.write(Write::Over(id)).stored().await {
                Ok(()) => {
                    self.desk.forget(id);
                    info!(session = id, "over");
                }
                Err(reason) => warn!(session = id, "{reason}"),
            }
        }
    }
}

#[cfg(test)]
mod tests;
