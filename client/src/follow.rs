//! Following the chain by height, across restarts and outages.

use std::path::PathBuf;
use std::time::Duration;

use crate::{Client, Result};

/// Tells when there are new blocks, each height at least once.
///
/// The cursor, the last height that is done with, is on disk. The chain is polled; a WebSocket
/// subscription only wakes the poll early. When the node is out of reach the follower keeps
/// trying with growing pauses.
pub struct Follower {
    client: Client,
    cursor_path: PathBuf,
    poll_interval: Duration,
    cursor: u64,
}

impl Follower {
    /// Continues at the cursor in `cursor_path`, or at height 0 if there is no such file.
    pub fn open(
        client: Client,
        cursor_path: impl Into<PathBuf>,
        poll_interval: Duration,
    ) -> Result<Self> {
        let _ = (client, cursor_path.into(), poll_interval);
        todo!()
    }

    /// The last height that is done with.
    pub fn cursor(&self) -> u64 {
        self.cursor
    }

    /// Waits until the chain is above the cursor and returns its newest height. A height that was
    /// returned and not [`done`](Self::done) is returned again, after `poll_interval` or with the
    /// next block. Outages are waited out; cancel by dropping the future.
    pub async fn next(&mut self) -> u64 {
        todo!()
    }

    /// Everything up to `height` is done with: moves the cursor, on disk first. A lower height
    /// than the cursor changes nothing.
    pub fn done(&mut self, height: u64) -> Result<()> {
        let _ = height;
        todo!()
    }
}
