use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::changes::Changes;
use super::current::{Current, Row};
use super::db;
use super::entry::{Entries, Entry};
use super::error::{Result, StoreError, readable};
use super::history::{self, History};
use super::key::Span;
use super::merge::Merge;
use super::{Inner, tree};

/// An immutable view of one version. Cheap to clone; readers never wait for the writer.
///
/// A snapshot does not hold back pruning: once its version is pruned, it answers
/// [`StoreError::Pruned`], never something wrong.
#[derive(Clone)]
pub struct Snapshot {
    inner: Arc<Inner>,
    version: u64,
}

impl Snapshot {
    pub(super) fn new(inner: Arc<Inner>, version: u64) -> Self {
        Self { inner, version }
    }

    /// The version, which is the height of the block that made it; 0 is the empty state.
    pub fn version(&self) -> u64 {
        self.version
    }

    /// The value of `key`. What cannot be a key has none.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let row = self.row(key.as_ref())?;
        Ok(row.map(|row| row.bytes.to_vec()))
    }

    /// The value of `key`, and which version wrote it.
    pub(super) fn row(&self, key: &[u8]) -> Result<Option<Row>> {
        if let Some(changes) = self.unwritten()
            && let Some(value) = changes.values.get(key)
        {
            return Ok(Row::new(self.version, value.as_deref()));
        }
        if self.is_newest() {
            let current = self.inner.storage.value(key);
            if self.is_newest() {
                return current;
            }
        }
        let row = self.find(db::VALUES, key)?;
        Ok(row.and_then(|row| Row::new(row.version, row.value.as_deref())))
    }

    /// The payload of `key`, which is not authenticated.
    pub fn payload(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let key = key.as_ref();
        if let Some(changes) = self.unwritten()
            && let Some(payload) = changes.payloads.get(key)
        {
            return Ok(payload.clone());
        }
        Ok(self.find(db::PAYLOADS, key)?.and_then(|row| row.value))
    }

    /// Up to `limit` values whose keys begin with `prefix` and sort behind `start_after`, in the
    /// order of their keys.
    pub fn scan(
        &self,
        prefix: impl AsRef<[u8]>,
        start_after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let Some(span) = Span::new(prefix.as_ref(), start_after) else {
            return Ok(Vec::new());
        };
        let unwritten = self.unwritten();
        let layers = unwritten.iter().map(|changes| changes.written(&span));
        let entries = Merge::new(layers, self.values(&span)?).take(limit);
        self.checked(entries.collect())
    }

    /// The root of the tree: the application hash of this version.
    pub fn root_hash(&self) -> Result<[u8; 32]> {
        if self.version == 0 {
            return Ok(tree::EMPTY_ROOT);
        }
        self.inner.finish_writing()?;
        self.checked(tree::root(&self.inner.storage.db, self.version))
    }

    /// The value of `key` with an ICS-23 proof (specification `jmt::ics23_spec()`) that it has
    /// this value, or has none, under [`root_hash`](Self::root_hash).
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
        self.checked(tree::prove(&self.inner.storage.db, key, self.version))
    }

    /// What this version changed, as long as the database does not have it. Whoever reads more than
    /// one row takes this first, and puts it on top of [`values`](Self::values).
    pub(super) fn unwritten(&self) -> Option<Arc<Changes>> {
        self.inner.storage.unwritten(self.version)
    }

    /// The values of a span in the order of their keys, as far as they are written. The caller must
    /// pass what it reads through [`checked`](Self::checked).
    pub(super) fn values(&self, span: &Span) -> Result<Entries<'_>> {
        if self.version == 0 {
            return Ok(Box::new(std::iter::empty()));
        }
        if self.is_newest() {
            let current = Current::new(&self.inner.storage.db, span)?;
            if self.is_newest() {
                return Ok(Box::new(current));
            }
        }
        Ok(Box::new(History::new(
            &self.inner.storage.db,
            span,
            self.version,
        )?))
    }

    /// Whether the database shows this version without its history.
    ///
    /// The writer announces a version before it writes any of it. So what was read is of this
    /// version if this is true thereafter.
    fn is_newest(&self) -> bool {
        self.version == self.inner.newest.load(Ordering::Acquire)
    }

    fn find(&self, family: &str, key: &[u8]) -> Result<Option<history::Row>> {
        if self.version == 0 {
            return Ok(None);
        }
        self.checked(history::find(
            &self.inner.storage.db,
            family,
            key,
            self.version,
        ))
    }

    /// Lets through what was read if it was read from a version that is still there.
    ///
    /// The writer announces the oldest version before it removes anything, so whoever missed
    /// something because it was removed sees the announcement here.
    pub(super) fn checked<T>(&self, read: Result<T>) -> Result<T> {
        let oldest = self.inner.oldest.load(Ordering::Acquire);
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
