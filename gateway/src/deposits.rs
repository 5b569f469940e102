//! Credits groups with the transfers to the gateway's account.

use std::sync::Arc;
use std::time::Duration;

use poq_worker::Health;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::chain::Chain;
use crate::store::{self, Store, deposits};

/// Pause between two looks for new blocks.
const PAUSE: Duration = Duration::from_secs(1);
/// Blocks by which a node may be behind what was read: another one may have been asked before.
const BEHIND: u64 = 10;

/// Why blocks are not read on.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error("the newest block is not known: {0}")]
    Height(poq_client::Error),
    #[error(
        "block {height} cannot be read: {source}; no deposit is credited until chain.node in config.toml is a node that \
         still has this block"
    )]
    Block {
        height: u64,
        source: poq_client::Error,
    },
    #[error(
        "the node is at height {height}, but deposits are read up to {followed}; wait until it has caught up, or \
         change chain.node in config.toml"
    )]
    Behind { height: u64, followed: u64 },
}

impl Error {
    /// Whether the chain cannot be reached. That matters once it lasts, which is told elsewhere.
    fn is_outage(&self) -> bool {
        let source = match self {
            Self::Height(source) | Self::Block { source, .. } => source,
            Self::Store(_) | Self::Behind { .. } => return false,
        };
        matches!(source, poq_client::Error::Unreachable { .. })
    }
}

/// The task that reads blocks, each exactly once.
pub(crate) struct Deposits {
    /// The chain.
    pub chain: Arc<dyn Chain>,
    /// The database.
    pub store: Arc<Store>,
    /// What is credited.
    pub denom: String,
    /// Told why it stops.
    pub health: Health,
}

impl Deposits {
    /// Works until `shutdown`.
    pub(crate) async fn run(self, shutdown: CancellationToken) {
        let mut last = None;
        while !shutdown.is_cancelled() {
            let reading = shutdown.run_until_cancelled(self.read_on());
            let failed = reading.await.and_then(Result::err);
            let problem = failed.filter(|error| !error.is_outage());
            let problem = problem.map(|error| error.to_string());
            if let Some(problem) = problem.as_ref().filter(|_| problem != last) {
                warn!("deposits are not read at the moment: {problem}");
            }
            self.health.set("deposits", problem.clone());
            last = problem;
            shutdown.run_until_cancelled(sleep(PAUSE)).await;
        }
    }

    /// Reads all blocks that are new. The first time, it begins with the next one.
    ///
    /// # Errors
    /// [`Error`]; then the next call goes on with the block that could not be read.
    pub(crate) async fn read_on(&self) -> Result<(), Error> {
        let newest = self.chain.height().await.map_err(Error::Height)?;
        let Some(followed) = self.store.read(deposits::followed)? else {
            let begin = move |db: &rusqlite::Connection| deposits::follow_from(db, newest);
            return Ok(self.store.write(begin).await?);
        };
        if newest.saturating_add(BEHIND) < followed {
            return Err(Error::Behind {
                height: newest,
                followed,
            });
        }
        for height in followed + 1..=newest {
            let found = self.chain.transfers(height, &self.denom).await;
            let transfers = found.map_err(|source| Error::Block { height, source })?;
            let count = transfers.len();
            let take = move |db: &rusqlite::Connection| deposits::take(db, height, &transfers);
            let unassigned = self.store.write(take).await?;
            if count > 0 {
                info!(height, transfers = count, "the account got transfers");
            }
            for deposit in unassigned {
                warn!(
                    amount = deposit.amount,
                    sender = deposit.sender,
                    memo = deposit.memo,
                    "the transfer {0} names no group; if it is for one: poq-gateway deposits assign {0} GROUP",
                    deposit.place
                );
            }
        }
        Ok(())
    }
}
