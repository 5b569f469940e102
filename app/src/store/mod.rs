//! The application's state: an authenticated, versioned key-value store.
//!
//! Keys are readable text (1 to 512 bytes of printable ASCII without blanks, such as
//! `bank/balance/poq1…/upoq`), values are non-empty bytes. Every committed block makes a version,
//! whose number is the block's height; version 0 is the empty state. The root of a Jellyfish
//! Merkle tree over the values is the application hash, and any key has an ICS-23 proof of its
//! value, or of its absence, under it. Payloads are versioned likewise, but are not in the tree.
//!
//! One way through: [`Store::snapshot`] → [`State`] (execution) → [`State::into_changes`] →
//! [`Store::prepare`] (computes the root, writes nothing) → [`Store::commit`] (one atomic, synced
//! batch). Nothing here depends on time, on the machine, or on the order within a block.
//!
//! | column family | key | value |
//! | --- | --- | --- |
//! | `tree` | version ‖ number of nibbles ‖ nibbles | node of the tree (Borsh) |
//! | `current` | key | version ‖ bytes: the newest value and the version that wrote it |
//! | `values`, `payloads` | key ‖ 0x00 ‖ (u64::MAX − version) | 0x01 ‖ bytes, or 0x00: deleted |
//! | `preimages` | SHA-256 of a key | key |
//! | `stale` | version ‖ kind ‖ row | length ‖ row, …: these rows are obsolete since the version |
//! | `meta` | `format`, `head` | format of the database; height, initial height, oldest version, hash |
//!
//! Nodes written lately, and newest values written or read lately, are in memory, too (`recent`).
//!
//! Integers are big-endian. Because rows are versioned, a reader of version V sees an immutable
//! state while the next version is written, without locks.

mod changes;
mod current;
mod db;
mod error;
mod given;
mod history;
mod key;
mod merge;
mod prepare;
mod prune;
mod recent;
mod snapshot;
mod state;
#[cfg(test)]
mod tests;
mod tree;
mod typed;

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

pub use changes::Changes;
pub use error::{Result, StoreError};
pub use given::Given;
pub use key::MAX_LEN as MAX_KEY_LEN;
pub use prepare::Prepared;
pub use snapshot::{Entry, Snapshot};
pub use state::State;

use db::Database;
use prepare::Block;

/// The newest version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// Its height; 0 before the first commit.
    pub height: u64,
    /// The root of its tree.
    pub app_hash: [u8; 32],
    /// The height of the first version; 0 before the first commit.
    pub initial_height: u64,
}

/// The store. Cheap to clone; one process at a time has it open.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    db: Database,
    /// How many versions stay readable; 0: all.
    keep_versions: u64,
    head: RwLock<Head>,
    /// The newest version; already while it is written.
    newest: AtomicU64,
    /// The oldest version that can be read, apart from the empty version 0.
    oldest: AtomicU64,
    /// How far the pruning is; held while a version is written.
    pruned: Mutex<Option<Vec<u8>>>,
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
        let db = Database::open(path.as_ref())?;
        let (head, oldest) = match db.head()? {
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
            db,
            keep_versions,
            head: RwLock::new(head),
            newest: AtomicU64::new(head.height),
            oldest: AtomicU64::new(oldest),
            pruned: Mutex::new(None),
        };
        Ok(Self {
            inner: Arc::new(inner),
        })
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
        let base = self.head().height;
        let mut block = Block::new(&self.inner.db, base, base + 1, changes.len());
        block.write(changes.clone())?;
        Ok(block.update_tree()?.root)
    }

    /// Computes the version `height` from `changes` on top of the newest one. Writes nothing.
    ///
    /// The first version may have any height from 1.
    ///
    /// # Errors
    /// [`StoreError::Height`] if `height` is not the next one.
    pub fn prepare(&self, changes: Changes, height: u64) -> Result<Prepared> {
        let head = self.head();
        let latest = head.height;
        if height == 0 || (latest != 0 && height != latest + 1) {
            return Err(StoreError::Height { height, latest });
        }
        let initial_height = if latest == 0 {
            height
        } else {
            head.initial_height
        };
        let oldest = self.oldest_after(initial_height, height);

        let mut block = Block::new(&self.inner.db, latest, height, changes.len());
        let pruned = block.prune(oldest, changes.len(), self.writing().as_deref())?;
        block.write(changes)?;
        let update = block.update_tree()?;
        let head = Head {
            height,
            app_hash: update.root,
            initial_height,
        };
        block.write_tree(update)?;
        let (batch, written) = block.finish(&head.encode(oldest))?;
        Ok(Prepared {
            base: latest,
            head,
            oldest,
            pruned,
            batch,
            written,
        })
    }

    /// Makes a prepared version the newest one: all of it or, after a crash, nothing.
    ///
    /// # Errors
    /// [`StoreError::Superseded`] if another version was committed since it was prepared.
    pub fn commit(&self, prepared: Prepared) -> Result<Head> {
        let Prepared {
            base,
            head,
            oldest,
            pruned,
            batch,
            written,
        } = prepared;
        let mut writing = self.writing();
        let latest = self.head().height;
        if base != latest {
            return Err(StoreError::Superseded {
                height: head.height,
                base,
                latest,
            });
        }
        // Announced first: see `Snapshot::is_newest` and `Snapshot::checked`.
        self.inner.newest.store(head.height, Ordering::Release);
        self.inner.oldest.store(oldest, Ordering::Release);
        self.inner.db.write(batch)?;
        self.inner.db.recent().update(written);
        *writing = pruned;
        *self
            .inner
            .head
            .write()
            .unwrap_or_else(PoisonError::into_inner) = head;
        Ok(head)
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

    fn writing(&self) -> MutexGuard<'_, Option<Vec<u8>>> {
        self.inner
            .pruned
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Head {
    /// `height ‖ initial height ‖ oldest version ‖ hash`, big-endian.
    fn encode(&self, oldest: u64) -> Vec<u8> {
        let numbers = [self.height, self.initial_height, oldest].map(u64::to_be_bytes);
        [numbers.as_flattened(), &self.app_hash].concat()
    }

    fn decode(bytes: &[u8]) -> Option<(Self, u64)> {
        let (height, rest) = bytes.split_first_chunk()?;
        let (initial_height, rest) = rest.split_first_chunk()?;
        let (oldest, hash) = rest.split_first_chunk()?;
        let head = Self {
            height: u64::from_be_bytes(*height),
            app_hash: hash.try_into().ok()?,
            initial_height: u64::from_be_bytes(*initial_height),
        };
        Some((head, u64::from_be_bytes(*oldest)))
    }
}
