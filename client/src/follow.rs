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

/// Tells when there are new blocks, each height at least once.
///
/// The cursor, the last height that is done with, is on disk with its chain, as a help: what there
/// is to do is read from the chain's state, so that a lost cursor costs a second look. The chain is polled; a WebSocket
/// subscription only wakes the poll early. When the node is out of reach the follower keeps
/// trying with growing pauses.
pub struct Follower {
    client: Client,
    cursor: Cursor,
    poll_interval: Duration,
    /// What `next` returned last, and when.
    offered: Option<(u64, Instant)>,
    /// Whether the chain was found below the cursor, to say so once.
    is_behind: bool,
    wake: Arc<Notify>,
    waker: Option<AbortHandle>,
}

impl Follower {
    /// Continues at the cursor in `cursor_path` if it is of the chain `chain_id`, else at height 0.
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

    /// The last height that is done with.
    pub fn cursor(&self) -> u64 {
        self.cursor.content.height
    }

    /// Waits until the application is above the cursor and returns its newest height: queries
    /// see that state at least. A height that was returned and not [`done`](Self::done) is
    /// returned again, after the poll interval or with the next block. Outages are waited out;
    /// stop by dropping the future, which loses nothing.
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
                        info!(height, "the node answers again");
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
                        warn!("cannot follow the chain, trying again until it works: {error}");
                        is_out = true;
                    }
                    pause = (pause * 2).min(LONGEST_PAUSE);
                }
            }
            // Either is a reason to look again.
            let _ = timeout(pause, self.wake.notified()).await;
        }
    }

    /// Everything up to `height` is done with: moves the cursor, on disk too if that works. A lower
    /// height than the cursor changes nothing.
    pub fn done(&mut self, height: u64) {
        self.cursor.advance(height);
    }

    fn is_due(&mut self, height: u64) -> bool {
        let is_behind = height < self.cursor.content.height;
        if is_behind && !self.is_behind {
            warn!(
                height,
                cursor = self.cursor.content.height,
                "the node is below the height that this program has seen; waiting for it to catch \
                 up. If the chain was started anew under the same id, delete {} and start again",
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

/// The height, and its file.
struct Cursor {
    path: PathBuf,
    content: CursorFile,
    /// Whether the file could not be written, to say so once.
    is_stale: bool,
}

/// The cursor's file.
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
                info!("{path} is of the chain `{of}`, not of `{chain_id}`; starting at height 0");
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
                warn!("going on without a cursor on disk: {error}");
                self.is_stale = true;
            }
            Err(_) => {}
        }
    }
}

fn read(path: &Path) -> std::io::Result<CursorFile> {
    Ok(serde_json::from_slice(&fs::read(path)?)?)
}
