//! What was written or read lately, in memory.
//!
//! RocksDB finds a row through filters, indexes and blocks of several levels, which takes longer
//! the more rows there are; execution and the tree read what blocks shortly before wrote, and what
//! the mempool's checks just read. Nothing comes in here that the database does not have, or gets
//! with the version that is being written. It is only asked for what the newest version has, so what it
//! keeps and what it drops changes no result.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::current::Row;
use super::error::Result;
use super::tree::Memory;

/// Memory for values: more than a chain of a million accounts has; a small one never fills it.
const VALUE_BYTES: u64 = 512 << 20;
/// What a row takes beside its bytes, about.
const ROW_OVERHEAD: usize = 96;
/// Bytes of a row, about: how many rows there can be.
const ROW_BYTES: u64 = 256;

/// Nodes and values of the newest version.
pub(super) struct Recent {
    tree: RwLock<Memory>,
    /// `None`: there is no such value.
    values: Cache<Vec<u8>, Option<Row>, Size>,
}

#[derive(Clone)]
struct Size;

impl Weighter<Vec<u8>, Option<Row>> for Size {
    fn weight(&self, key: &Vec<u8>, row: &Option<Row>) -> u64 {
        let bytes = row.as_ref().map_or(0, |row| row.bytes.len());
        (key.len() + bytes + ROW_OVERHEAD) as u64
    }
}

impl Recent {
    pub fn new() -> Self {
        let rows = (VALUE_BYTES / ROW_BYTES) as usize;
        Self {
            tree: RwLock::default(),
            values: Cache::with_weighter(rows, VALUE_BYTES, Size),
        }
    }

    /// Inner nodes of the tree.
    pub fn tree(&self) -> RwLockReadGuard<'_, Memory> {
        self.tree.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Inner nodes of the tree, to bring them to the next version.
    pub fn tree_mut(&self) -> RwLockWriteGuard<'_, Memory> {
        self.tree.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// The value of a key: what is in memory or, if nothing is, what `load` finds in the database.
    /// That is kept, unless a newer row came in meanwhile.
    pub fn value(
        &self,
        key: &[u8],
        load: impl FnOnce() -> Result<Option<Row>>,
    ) -> Result<Option<Row>> {
        self.values.get_or_insert_with(key, load)
    }

    /// Takes over values that were written; `None`: deleted.
    pub fn update(&self, values: Vec<(Vec<u8>, Option<Row>)>) {
        for (key, value) in values {
            self.values.insert(key, value);
        }
    }
}
