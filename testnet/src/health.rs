//! Waits until a network is ready for questions.

use std::time::Duration;

use poq_client::Client;
use tokio::time::{Instant, sleep};

use crate::{Error, Network, Result};

/// Height from which a validator counts as healthy: by then it has seen the others' votes.
pub(crate) const HEALTHY_HEIGHT: u64 = 2;
/// Pause between two checks.
const PAUSE: Duration = Duration::from_millis(200);

impl Network {
    /// Waits until every running validator has blocks and every running worker follows the chain.
    /// `progress` receives the number of healthy processes and the names of the others.
    pub async fn wait_healthy(
        &mut self,
        timeout: Duration,
        mut progress: impl FnMut(usize, &[String]),
    ) -> Result<()> {
        let started = Instant::now();
        loop {
            self.check()?;
            let waiting = self.unhealthy().await?;
            progress(self.processes().count() - waiting.len(), &waiting);
            if waiting.is_empty() {
                return Ok(());
            }
            if started.elapsed() > timeout {
                return Err(Error::Timeout {
                    what: format!("{} not healthy", waiting.join(", ")),
                    timeout,
                    logs: self.logs(),
                });
            }
            sleep(PAUSE).await;
        }
    }

    /// Waits until the validator at this position has the block at `height`.
    pub async fn wait_height(
        &mut self,
        validator: usize,
        height: u64,
        timeout: Duration,
    ) -> Result<()> {
        let client = self.client(validator)?;
        let started = Instant::now();
        while latest_height(&client)
            .await
            .is_none_or(|latest| latest < height)
        {
            self.check()?;
            if started.elapsed() > timeout {
                return Err(Error::Timeout {
                    what: format!("node{} has no block {height}", validator + 1),
                    timeout,
                    logs: self.logs(),
                });
            }
            sleep(PAUSE).await;
        }
        Ok(())
    }

    /// Names of the running processes that are not healthy.
    async fn unhealthy(&self) -> Result<Vec<String>> {
        let all = self.status().await?.into_iter();
        let waiting = all.filter(|status| status.pid.is_some() && !status.healthy);
        Ok(waiting.map(|status| status.name).collect())
    }
}

/// The newest height of a node; `None` if it is unreachable.
async fn latest_height(client: &Client) -> Option<u64> {
    client
        .status()
        .await
        .ok()
        .map(|status| status.latest_height)
}
