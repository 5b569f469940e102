//! The database and the memory in front of it, shared by readers, the committer and the writer
//! thread.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use super::row_cache::RowCache;
use super::write_set::{WriteSet, Writes};
use crate::error::Result;
use crate::rows::current::{self, CurrentRow};
use crate::rows::{Database, key};
use crate::tree::TreeTop;

pub(crate) struct Storage {
    pub db: Database,
    rows: RowCache,
    pending: RwLock<Option<PendingCommit>>,
    /// The top of the newest tree.
    top: RwLock<TreeTop>,
}

/// A committed version whose rows are not in the database yet.
pub(crate) struct PendingCommit {
    pub version: u64,
    pub writes: Arc<WriteSet>,
}

impl Storage {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            db: Database::open(path)?,
            rows: RowCache::new(),
            pending: RwLock::default(),
            top: RwLock::default(),
        })
    }

    /// The newest value of `key` in the database; none for bytes that are not a valid key.
    pub(crate) fn value(&self, key: &[u8]) -> Result<Option<CurrentRow>> {
        if !key::is_valid(key) {
            return Ok(None);
        }
        self.rows.get(key, || current::find(&self.db, key))
    }

    /// Caches the values that `version` wrote.
    pub(crate) fn cache(&self, version: u64, values: &Writes) {
        for (key, value) in values {
            let row = CurrentRow::new(version, value.as_deref());
            self.rows.insert(key.clone(), row);
        }
    }

    /// The top of the newest tree.
    pub(crate) fn top(&self) -> TreeTop {
        self.top
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn set_top(&self, top: TreeTop) {
        *self.top.write().unwrap_or_else(PoisonError::into_inner) = top;
    }

    /// The writes of `version`, if its rows are not written yet.
    pub(crate) fn pending(&self, version: u64) -> Option<Arc<WriteSet>> {
        let pending = self.pending.read().unwrap_or_else(PoisonError::into_inner);
        let of_version = pending.as_ref().filter(|commit| commit.version == version);
        of_version.map(|commit| commit.writes.clone())
    }

    pub(crate) fn set_pending(&self, pending: Option<PendingCommit>) {
        *self.pending.write().unwrap_or_else(PoisonError::into_inner) = pending;
    }
}
