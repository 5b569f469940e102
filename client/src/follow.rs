//! Following the chain by height, across restarts and outages.

#[cfg(test)]
mod tests;
mod wake;

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::{Instant, timeout};
use tracing::{info, warn};

use crate::{Client, durable};

/// Longest pause between two attempts to reach the node.
const LONGEST_PAUSE: Duration = Duration::from_secs(15);

/// Reports new heights, each at least once.
///
/// The cursor, the last height that is done, is on disk with its chain id. Losing it only costs a
/// second look, because pending work is read from the chain's state. The chain is polled; a
/// WebSocket subscription only triggers the poll early. While the node is unreachable, the follower
/// retries with growing pauses.
pub struct Follower {
    client: Client,
    cursor: Cursor,
    poll_interval: Duration,
    /// The height that `next` returned last, and when.
    offered: Option<(u64, Instant)>,
    /// Whether the chain was found below the cursor, so that it is logged once.
    is_behind: bool,
    wake: Arc<Notify>,
    waker: Option<AbortHandle>,
}

impl Follower {
    /// Continues from the cursor in `cursor_path` if it belongs to the chain `chain_id`, else from
    /// height 0.
    pub fn open(
        client: Client,
        cursor_path: impl Into<PathBuf>,
        chain_id: &str,
        poll_interval: Duration,
    ) -> Self {
        Self {
            client,
            cursor: Cursor::load(cursor_path.into(), chain_id),
            poll_interval,
            offered: None,
            is_behind: false,
            wake: Arc::new(Notify::new()),
            waker: None,
        }
    }

    /// The last height that is done.
    pub fn cursor(&self) -> u64 {
        self.cursor.content.height
    }

    /// Waits until the application is above the cursor and returns its newest height; queries see
    /// that state or a newer one. A height that was returned but is not [`done`](Self::done) is
    /// returned again, after the poll interval or with the next block. Outages are waited out.
    /// Dropping the future stops the wait and loses nothing.
    pub async fn next(&mut self) -> u64 {
        self.waker.get_or_insert_with(|| {
            tokio::spawn(wake::on_blocks(self.client.clone(), self.wake.clone())).abort_handle()
        });
        let mut pause = self.poll_interval;
        let mut is_out = false;
        loop {
            match self.client.height().await {
                Ok(height) => {
                    metrics::gauge!("poq_chain_height").set(height as f64);
                    if is_out {
                        info!(height, "the node is reachable again");
                        is_out = false;
                    }
                    pause = self.poll_interval;
                    if self.is_due(height) {
                        self.offered = Some((height, Instant::now()));
                        return height;
                    }
                }
                Err(error) => {
                    metrics::counter!("poq_chain_errors_total").increment(1);
                    if !is_out {
                        warn!("cannot follow the chain, retrying: {error}");
                        is_out = true;
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            // Either is a reason to check again.
            let _ = timeout(pause, self.wake.notified()).await;
        }
    }

    /// Marks everything up to `height` as done: moves the cursor, on disk too if possible. A height
    /// below the cursor changes nothing.
    pub fn done(&mut self, height: u64) {
        self.cursor.advance(height);
    }

    fn is_due(&mut self, height: u64) -> bool {
        let is_behind = height < self.cursor.content.height;
        if is_behind && !self.is_behind {
            warn!(
                height,
                cursor = self.cursor.content.height,
                "the node is below the height that this program has already seen; waiting for it to catch \
                 up. If the chain was restarted from genesis under the same id, delete {} and restart",
                self.cursor.path.display()
            );
        }
        self.is_behind = is_behind;
        height > self.cursor.content.height
            && self
                .offered
                .is_none_or(|(offered, at)| height > offered || at.elapsed() >= self.poll_interval)
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        if let Some(waker) = &self.waker {
            waker.abort();
        }
    }
}

/// The height and the path of its file.
struct Cursor {
    path: PathBuf,
    content: CursorFile,
    /// Whether writing the file failed, so that it is logged once.
    is_stale: bool,
}

/// The content of the cursor's file.
#[derive(Serialize, Deserialize)]
struct CursorFile {
    /// Empty in files of versions that did not write it.
    #[serde(default)]
    chain_id: String,
    height: u64,
}

impl Cursor {
    fn load(path: PathBuf, chain_id: &str) -> Self {
        let height = match read(&path) {
            Ok(file) if file.chain_id == chain_id => file.height,
            Ok(file) => {
                let (path, of) = (path.display(), &file.chain_id);
                info!(
                    "{path} belongs to the chain `{of}`, not to `{chain_id}`; starting at height 0"
                );
                0
            }
            Err(error) if error.kind() == ErrorKind::NotFound => 0,
            Err(error) => {
                warn!(
                    "cannot use {}, starting at height 0: {error}",
                    path.display()
                );
                0
            }
        };
        let content = CursorFile {
            chain_id: chain_id.to_owned(),
            height,
        };
        Self {
            path,
            content,
            is_stale: false,
        }
    }

    fn advance(&mut self, height: u64) {
        if height <= self.content.height {
            return;
        }
        self.content.height = height;
        let written = serde_json::to_vec(&self.content)
            .map_err(|error| error.to_string())
            .and_then(|json| {
                durable::replace(&self.path, &json).map_err(|error| error.to_string())
            });
        match written {
            Ok(()) => self.is_stale = false,
            Err(error) if !self.is_stale => {
                warn!("continuing without a cursor on disk: {error}");
                self.is_stale = true;
            }
            Err(_) => {}
        }
    }
}

fn read(path: &Path) -> std::io::Result<CursorFile> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}
