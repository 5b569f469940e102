//! Writes the rows of committed versions in the background.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use super::batch::Batch;
use super::stage::StagedCommit;
use super::storage::Storage;
use crate::error::{Result, StoreError};

/// The last stale entry that was processed.
type Pruned = Option<Vec<u8>>;

/// Writes one version at a time.
#[derive(Default)]
pub(super) struct Writer {
    /// The version that is being written.
    running: Option<(u64, JoinHandle<Result<Pruned>>)>,
    pruned: Pruned,
    /// Why a version could not be written; nothing is written after it.
    failed: Option<(u64, String)>,
}

impl Writer {
    /// Starts writing a version; earlier versions must be finished.
    pub(super) fn begin(&mut self, storage: &Arc<Storage>, version: StagedCommit) {
        let (storage, height, pruned) = (storage.clone(), version.height(), self.pruned.take());
        let work = move || write(&storage, version, pruned);
        match Builder::new().name("store-writer".into()).spawn(work) {
            Ok(thread) => self.running = Some((height, thread)),
            Err(error) => self.failed = Some((height, error.to_string())),
        }
    }

    /// Waits until everything is written.
    ///
    /// # Errors
    /// [`StoreError::NotWritten`], also on every later call.
    pub(super) fn finish(&mut self) -> Result<()> {
        if let Some((height, thread)) = self.running.take() {
            match thread.join() {
                Ok(Ok(pruned)) => self.pruned = pruned,
                Ok(Err(error)) => self.failed = Some((height, error.to_string())),
                Err(_) => self.failed = Some((height, "the thread panicked".into())),
            }
        }
        match self.failed.clone() {
            Some((height, reason)) => Err(StoreError::NotWritten { height, reason }),
            None => Ok(()),
        }
    }
}

fn write(storage: &Storage, version: StagedCommit, pruned: Pruned) -> Result<Pruned> {
    let (height, writes) = (version.height(), version.writes.clone());
    let Batch { rows, pruned } = Batch::of(&storage.db, version, pruned)?;
    storage.db.write(rows)?;
    // In this order: a reader that finds no pending commit finds the rows.
    storage.cache(height, &writes.values);
    storage.set_pending(None);
    Ok(pruned)
}
