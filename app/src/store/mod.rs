//! The application's state: an authenticated, versioned key-value store.
//!
//! Keys are readable text (1 to 512 bytes of printable ASCII without blanks, such as
//! `bank/balance/poq1…/upoq`), values are non-empty bytes. Every committed block makes a version,
//! whose number is the block's height; version 0 is the empty state. The root of a Jellyfish
//! Merkle tree over the values is the application hash, and any key has an ICS-23 proof of its
//! value, or of its absence, under it. Payloads are versioned likewise, but are not in the tree.
//!
//! One way through: [`Store::snapshot`] → [`State`] (execution) → [`State::into_changes`] →
//! [`Store::prepare`] (computes the root, writes nothing) → [`Store::commit`] (puts the changes on
//! the disk; the rows that they make follow in one atomic batch, by a thread behind the commit).
//! Nothing here depends on time, on the machine, or on the order within a block.
//!
//! | column family | key | value |
//! | --- | --- | --- |
//! | `tree` | version ‖ number of nibbles ‖ nibbles | node of the tree (Borsh) |
//! | `current` | key | version ‖ bytes: the newest value and the version that wrote it |
//! | `values`, `payloads` | key ‖ 0x00 ‖ (u64::MAX − version) | 0x01 ‖ bytes, or 0x00: deleted |
//! | `preimages` | SHA-256 of a key | key |
//! | `stale` | version ‖ kind ‖ row | length ‖ row, …: these rows are obsolete since the version |
//! | `meta` | `format` | format of the database |
//! | `meta` | `head` | height, initial height, oldest version, hash: the version whose rows are written |
//! | `meta` | `redo` | height, hash, changes (Borsh): the version that was committed last |
//!
//! Nodes written lately, and newest values written or read lately, are in memory, too (`recent`).
//!
//! Integers are big-endian. Because rows are versioned, a reader of version V sees an immutable
//! state while the next version is written, without locks.

#![allow(
    clippy::arithmetic_side_effects,
    clippy::cast_possible_truncation,
    clippy::indexing_slicing,
    reason = "lengths of what is in memory, heights, and positions in nodes of 16 children; overflow panics in every profile"
)]

mod batch;
mod changes;
mod current;
mod db;
mod entry;
mod error;
mod given;
mod head;
mod history;
mod key;
mod merge;
mod prepare;
mod prune;
mod recent;
mod redo;
mod snapshot;
mod state;
mod storage;
#[cfg(test)]
mod tests;
mod tree;
mod typed;
mod working;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

pub use changes::Changes;
pub use entry::Entry;
pub use error::{Result, StoreError};
pub use given::Given;
pub use head::Head;
pub use prepare::Prepared;
pub use snapshot::Snapshot;
pub use state::State;

use storage::{Storage, Unwritten};
use writer::Writer;

/// Longest key in bytes.
pub const MAX_KEY_LEN: usize = 512;

/// The store. Cheap to clone; one process at a time has it open.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    storage: Arc<Storage>,
    /// How many versions stay readable; 0: all.
    keep_versions: u64,
    head: RwLock<Head>,
    /// The newest version; already while it is written.
    newest: AtomicU64,
    /// The oldest version that can be read, apart from the empty version 0.
    oldest: AtomicU64,
    writer: Mutex<Writer>,
}

impl Store {
    /// Opens the database in the folder `path`, or makes it.
    ///
    /// The newest `keep_versions` versions stay readable, all if 0. With readers beside the writer
    /// use 2 at least.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Damaged`], [`StoreError::Format`],
    /// [`StoreError::Open`].
    pub fn open(path: impl AsRef<Path>, keep_versions: u64) -> Result<Self> {
        let storage = Arc::new(Storage::open(path.as_ref())?);
        let (head, oldest) = match storage.db.head()? {
            Some(bytes) => Head::decode(&bytes)
                .ok_or_else(|| StoreError::corrupt(b"head", "not the head of a chain"))?,
            None => (
                Head {
                    height: 0,
                    app_hash: tree::EMPTY_ROOT,
                    initial_height: 0,
                },
                0,
            ),
        };
        let inner = Inner {
            storage,
            keep_versions,
            head: RwLock::new(head),
            newest: AtomicU64::new(head.height),
            oldest: AtomicU64::new(oldest),
            writer: Mutex::default(),
        };
        let store = Self {
            inner: Arc::new(inner),
        };
        store.redo()?;
        Ok(store)
    }

    /// Commits the version again whose rows were not all written when the process ended.
    fn redo(&self) -> Result<()> {
        let Some(bytes) = self.inner.storage.db.redo()? else {
            return Ok(());
        };
        let redo = redo::decode(&bytes)?;
        if redo.height <= self.head().height {
            return Ok(());
        }
        let prepared = self.prepare(redo.changes, redo.height)?;
        if prepared.app_hash() != redo.app_hash {
            let reason = "the block that was committed last does not give its app hash";
            return Err(StoreError::corrupt(b"redo", reason));
        }
        self.commit(prepared).map(drop)
    }

    /// The newest version.
    pub fn head(&self) -> Head {
        *self
            .inner
            .head
            .read()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// The newest version, to read.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(self.inner.clone(), self.head().height)
    }

    /// An older version, to read.
    ///
    /// # Errors
    /// [`StoreError::Pruned`], [`StoreError::Future`].
    pub fn snapshot_at(&self, version: u64) -> Result<Snapshot> {
        let latest = self.head().height;
        if version > latest {
            return Err(StoreError::Future { version, latest });
        }
        let snapshot = Snapshot::new(self.inner.clone(), version);
        snapshot.checked(Ok(()))?;
        Ok(snapshot)
    }

    /// The root of the tree with `changes` on top of the newest version. Writes nothing.
    pub fn root_after(&self, changes: &Changes) -> Result<[u8; 32]> {
        self.flush()?;
        let (storage, base) = (&self.inner.storage, self.head().height);
        let overwrites = prepare::overwrites(storage, base, &changes.values, None)?;
        Ok(prepare::update_tree(storage, base, base + 1, &overwrites)?.root)
    }

    /// Computes the version `height` from `changes` on top of the newest one. Writes nothing.
    ///
    /// The first version may have any height from 1.
    ///
    /// # Errors
    /// [`StoreError::Height`] if `height` is not the next one.
    pub fn prepare(&self, mut changes: Changes, height: u64) -> Result<Prepared> {
        self.flush()?;
        let before = self.head();
        let latest = before.height;
        if height == 0 || (latest != 0 && height != latest + 1) {
            return Err(StoreError::Height { height, latest });
        }
        let initial_height = if latest == 0 {
            height
        } else {
            before.initial_height
        };
        let storage = &self.inner.storage;
        let replaced = changes.replaced.take();
        let overwrites = prepare::overwrites(storage, latest, &changes.values, replaced)?;
        let tree = prepare::update_tree(storage, latest, height, &overwrites)?;
        Ok(Prepared {
            base: latest,
            head: Head {
                height,
                app_hash: tree.root,
                initial_height,
            },
            oldest: self.oldest_after(initial_height, height),
            overwrites: prepare::leave_out_unchanged(&mut changes.values, overwrites),
            changes: Arc::new(changes),
            tree,
        })
    }

    /// Makes a prepared version the newest one: all of it or, after a crash, nothing.
    ///
    /// It is on the disk when this returns. Its rows are written thereafter; [`flush`](Self::flush)
    /// waits for them.
    ///
    /// # Errors
    /// [`StoreError::Superseded`] if another version was committed since it was prepared.
    pub fn commit(&self, prepared: Prepared) -> Result<Head> {
        let Inner {
            storage, writer, ..
        } = &*self.inner;
        let mut writer = lock(writer);
        let (base, head, latest) = (prepared.base, prepared.head, self.head().height);
        if base != latest {
            return Err(StoreError::Superseded {
                height: head.height,
                base,
                latest,
            });
        }
        writer.finish()?;
        storage
            .db
            .write_redo(&redo::encode(&head, &prepared.changes)?)?;
        // Announced first: see `Snapshot::is_newest` and `Snapshot::checked`.
        self.inner.newest.store(head.height, Ordering::Release);
        self.inner.oldest.store(prepared.oldest, Ordering::Release);
        storage.set_unwritten(Some(Unwritten {
            version: head.height,
            changes: prepared.changes.clone(),
        }));
        *self
            .inner
            .head
            .write()
            .unwrap_or_else(PoisonError::into_inner) = head;
        writer.begin(storage, prepared);
        Ok(head)
    }

    /// Waits until the rows of all committed versions are written.
    ///
    /// # Errors
    /// [`StoreError::NotWritten`].
    pub fn flush(&self) -> Result<()> {
        self.inner.finish_writing()
    }

    /// The oldest version to read once `height` is the newest. It never goes back, as what was
    /// removed does not come back when more versions are to be kept.
    fn oldest_after(&self, initial_height: u64, height: u64) -> u64 {
        let keep = match self.inner.keep_versions {
            0 => u64::MAX,
            keep => keep,
        };
        let oldest = self.inner.oldest.load(Ordering::Acquire);
        (height.saturating_sub(keep) + 1)
            .max(initial_height)
            .max(oldest)
    }
}

impl Inner {
    fn finish_writing(&self) -> Result<()> {
        lock(&self.writer).finish()
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The database closes with the last that has it, which must not be the writer.
        if let Err(error) = self.finish_writing() {
            tracing::error!(%error, "the state database is closed");
        }
    }
}

fn lock(writer: &Mutex<Writer>) -> MutexGuard<'_, Writer> {
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}
