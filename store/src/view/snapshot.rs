use std::sync::Arc;

use super::merge::MergeIter;
use crate::commit::{Store, WriteSet};
use crate::error::{Result, StoreError, readable};
use crate::rows::current::{CurrentRow, CurrentScan};
use crate::rows::db::{self, Database};
use crate::rows::history::{self, HistoryRow, HistoryScan};
use crate::rows::{Entries, Entry, KeyRange};
use crate::tree;

/// An immutable view of one version. It is cheap to clone, and readers never wait for the writer.
///
/// A snapshot does not hold back pruning: once its version is pruned, it answers
/// [`StoreError::Pruned`], never a wrong value.
#[derive(Clone)]
pub struct Snapshot {
    store: Store,
    version: u64,
}

impl Store {
    /// The newest version.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot {
            store: self.clone(),
            version: self.head().height,
        }
    }

    /// An older version.
    ///
    /// # Errors
    /// [`StoreError::Pruned`], [`StoreError::Future`].
    pub fn snapshot_at(&self, version: u64) -> Result<Snapshot> {
        let latest = self.head().height;
        if version > latest {
            return Err(StoreError::Future { version, latest });
        }
        let store = self.clone();
        let snapshot = Snapshot { store, version };
        snapshot.checked(Ok(()))?;
        Ok(snapshot)
    }
}

impl Snapshot {
    /// The version, which is the height of its block; 0 is the empty state.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The value of `key`; none for bytes that are not a valid key.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let row = self.row(key.as_ref())?;
        Ok(row.map(|row| row.bytes.to_vec()))
    }

    /// The value of `key`, and the version that wrote it.
    pub(super) fn row(&self, key: &[u8]) -> Result<Option<CurrentRow>> {
        if let Some(writes) = self.pending()
            && let Some(value) = writes.values.get(key)
        {
            return Ok(CurrentRow::new(self.version, value.as_deref()));
        }
        if self.is_newest() {
            let current = self.store.storage().value(key);
            if self.is_newest() {
                return current;
            }
        }
        let row = self.find(db::VALUES, key)?;
        Ok(row.and_then(|row| CurrentRow::new(row.version, row.value.as_deref())))
    }

    /// The payload of `key`, which is not authenticated.
    pub fn payload(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let key = key.as_ref();
        if let Some(writes) = self.pending()
            && let Some(payload) = writes.payloads.get(key)
        {
            return Ok(payload.clone());
        }
        Ok(self.find(db::PAYLOADS, key)?.and_then(|row| row.value))
    }

    /// Up to `limit` values whose keys begin with `prefix` and sort after `start_after`, in the
    /// order of their keys.
    pub fn scan(
        &self,
        prefix: impl AsRef<[u8]>,
        start_after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let Some(range) = KeyRange::new(prefix.as_ref(), start_after) else {
            return Ok(Vec::new());
        };
        let pending = self.pending();
        let layers = pending.iter().map(|writes| writes.range(&range));
        let entries = MergeIter::new(layers, self.values(&range)?).take(limit);
        self.checked(entries.collect())
    }

    /// The root of the tree: the application hash of this version.
    pub fn root_hash(&self) -> Result<[u8; 32]> {
        if self.version == 0 {
            return Ok(tree::EMPTY_ROOT);
        }
        self.store.flush()?;
        self.checked(tree::root(self.db(), self.version))
    }

    /// The value of `key` with an ICS-23 proof (specification `jmt::ics23_spec()`) of this value,
    /// or of its absence, under [`root_hash`](Self::root_hash).
    ///
    /// # Errors
    /// [`StoreError::NoProof`] for an empty key and in an empty tree.
    pub fn prove(
        &self,
        key: impl AsRef<[u8]>,
    ) -> Result<(Option<Vec<u8>>, ics23::CommitmentProof)> {
        let key = key.as_ref();
        let no_proof = |reason| {
            Err(StoreError::NoProof {
                key: readable(key),
                reason,
            })
        };
        if key.is_empty() {
            return no_proof("the key is empty");
        }
        if self.root_hash()? == tree::EMPTY_ROOT {
            return no_proof("the tree is empty");
        }
        self.checked(tree::prove(self.db(), key, self.version))
    }

    /// The writes of this version, until the database has its rows. A reader of several rows takes
    /// them before it calls [`values`](Self::values), and merges them on top.
    pub(super) fn pending(&self) -> Option<Arc<WriteSet>> {
        self.store.storage().pending(self.version)
    }

    /// The written values of a range, in key order. The caller must pass the result through
    /// [`checked`](Self::checked).
    pub(super) fn values(&self, range: &KeyRange) -> Result<Entries<'_>> {
        if self.version == 0 {
            return Ok(Box::new(std::iter::empty()));
        }
        if self.is_newest() {
            let current = CurrentScan::new(self.db(), range)?;
            if self.is_newest() {
                return Ok(Box::new(current));
            }
        }
        let history = HistoryScan::new(self.db(), range, self.version)?;
        Ok(Box::new(history))
    }

    fn db(&self) -> &Database {
        &self.store.storage().db
    }

    /// Whether the column family `current` has this version.
    ///
    /// A commit announces its version before it writes any row. So a row belongs to this version if
    /// this is still true after the row was read.
    fn is_newest(&self) -> bool {
        self.version == self.store.newest()
    }

    fn find(&self, family: &str, key: &[u8]) -> Result<Option<HistoryRow>> {
        if self.version == 0 {
            return Ok(None);
        }
        self.checked(history::find(self.db(), family, key, self.version))
    }

    /// Returns the result of a read unless the version was pruned meanwhile.
    ///
    /// A commit announces the oldest version before it removes any row, so a reader that missed a
    /// removed row sees the announcement here.
    pub(super) fn checked<T>(&self, read: Result<T>) -> Result<T> {
        let oldest = self.store.oldest();
        if self.version != 0 && self.version < oldest {
            return Err(StoreError::Pruned {
                version: self.version,
                oldest,
            });
        }
        read
    }
}

impl std::fmt::Debug for Snapshot {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Snapshot")
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}
