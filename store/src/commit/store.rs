//! The store: its versions, and how the next one is committed.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use super::stage::{self, StagedCommit};
use super::storage::{PendingCommit, Storage};
use super::write_set::{RedoRecord, WriteSet};
use super::writer::Writer;
use crate::error::{Result, StoreError};
use crate::rows::Head;
use crate::tree;

/// The store. It is cheap to clone; only one process can have it open.
#[derive(Clone)]
pub struct Store {
    inner: Arc<Inner>,
}

struct Inner {
    storage: Arc<Storage>,
    /// The number of versions that stay readable; 0: all.
    keep_versions: u64,
    head: RwLock<Head>,
    /// The newest version, announced before its rows are written.
    newest: AtomicU64,
    /// The oldest version that can be read, apart from the empty version 0.
    oldest: AtomicU64,
    writer: Mutex<Writer>,
}

impl Store {
    /// Opens or creates the database in the folder `path`.
    ///
    /// The newest `keep_versions` versions stay readable, all if 0. With concurrent readers use at
    /// least 2.
    ///
    /// # Errors
    /// [`StoreError::Locked`], [`StoreError::Damaged`], [`StoreError::Format`],
    /// [`StoreError::Open`].
    pub fn open(path: impl AsRef<Path>, keep_versions: u64) -> Result<Self> {
        let storage = Arc::new(Storage::open(path.as_ref())?);
        let empty = Head {
            height: 0,
            app_hash: tree::EMPTY_ROOT,
            initial_height: 0,
        };
        let (head, oldest) = storage.db.head()?.unwrap_or((empty, 0));
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

    /// Commits the last version again if the process ended before all its rows were written.
    fn redo(&self) -> Result<()> {
        let Some(bytes) = self.inner.storage.db.redo()? else {
            return Ok(());
        };
        let record = RedoRecord::decode(&bytes)?;
        if record.height <= self.head().height {
            return Ok(());
        }
        let staged = self.stage(record.writes, record.height)?;
        if staged.app_hash() != record.app_hash {
            let reason = "the writes of the last commit do not result in its app hash";
            return Err(StoreError::corrupt(b"redo", reason));
        }
        self.commit(staged).map(drop)
    }

    /// The newest version.
    pub fn head(&self) -> Head {
        let head = &self.inner.head;
        *head.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// The root of the tree with `writes` on top of the newest version. Writes nothing.
    pub fn root_after(&self, writes: &WriteSet) -> Result<[u8; 32]> {
        self.flush()?;
        let (storage, base) = (&self.inner.storage, self.head().height);
        let overwrites = stage::overwrites(storage, &writes.values)?;
        Ok(stage::update_tree(storage, base, base + 1, &overwrites)?.root)
    }

    /// Computes the version `height` from `writes` on top of the newest one. Writes nothing.
    ///
    /// The first version may have any height from 1.
    ///
    /// # Errors
    /// [`StoreError::Height`] if `height` is not the next one.
    pub fn stage(&self, mut writes: WriteSet, height: u64) -> Result<StagedCommit> {
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
        let overwrites = stage::overwrites(storage, &writes.values)?;
        let tree = stage::update_tree(storage, latest, height, &overwrites)?;
        Ok(StagedCommit {
            base: latest,
            head: Head {
                height,
                app_hash: tree.root,
                initial_height,
            },
            oldest: self.oldest_after(initial_height, height),
            overwrites: stage::drop_unchanged(&mut writes.values, overwrites),
            writes: Arc::new(writes),
            tree,
        })
    }

    /// Makes a staged version the newest one: all of it or, after a crash, nothing.
    ///
    /// It is durable when this returns. Its rows are written in the background;
    /// [`flush`](Self::flush) waits for them.
    ///
    /// # Errors
    /// [`StoreError::Superseded`] if another version was committed since it was staged.
    pub fn commit(&self, staged: StagedCommit) -> Result<Head> {
        let Inner {
            storage, writer, ..
        } = &*self.inner;
        let mut writer = lock(writer);
        let (base, head, latest) = (staged.base, staged.head, self.head().height);
        if base != latest {
            return Err(StoreError::Superseded {
                height: head.height,
                base,
                latest,
            });
        }
        writer.finish()?;
        let record = RedoRecord::encode(&head, &staged.writes)?;
        storage.db.write_redo(&record)?;
        // Announced first: see `Snapshot::is_newest` and `Snapshot::checked`.
        self.inner.newest.store(head.height, Ordering::Release);
        self.inner.oldest.store(staged.oldest, Ordering::Release);
        storage.set_pending(Some(PendingCommit {
            version: head.height,
            writes: staged.writes.clone(),
        }));
        storage.set_top(staged.tree.top.clone());
        let newest = &self.inner.head;
        *newest.write().unwrap_or_else(PoisonError::into_inner) = head;
        writer.begin(storage, staged);
        Ok(head)
    }

    /// Waits until the rows of all committed versions are written.
    ///
    /// # Errors
    /// [`StoreError::NotWritten`].
    pub fn flush(&self) -> Result<()> {
        lock(&self.inner.writer).finish()
    }

    /// The oldest version that can be read once `height` is the newest. It never decreases: removed
    /// versions do not come back when more are to be kept.
    fn oldest_after(&self, initial_height: u64, height: u64) -> u64 {
        let keep = match self.inner.keep_versions {
            0 => u64::MAX,
            keep => keep,
        };
        (height.saturating_sub(keep) + 1)
            .max(initial_height)
            .max(self.oldest())
    }

    /// The version whose rows are in the database or about to be written.
    pub(crate) fn newest(&self) -> u64 {
        self.inner.newest.load(Ordering::Acquire)
    }

    /// The oldest version that can be read.
    pub(crate) fn oldest(&self) -> u64 {
        self.inner.oldest.load(Ordering::Acquire)
    }

    pub(crate) fn storage(&self) -> &Storage {
        &self.inner.storage
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        // The last handle closes the database; it must not be the writer thread.
        if let Err(error) = lock(&self.writer).finish() {
            tracing::error!(%error, "the state database is closed");
        }
    }
}

fn lock(writer: &Mutex<Writer>) -> MutexGuard<'_, Writer> {
    writer.lock().unwrap_or_else(PoisonError::into_inner)
}
