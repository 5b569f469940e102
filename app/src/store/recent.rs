//! What was written or read lately, in memory.
//!
//! RocksDB finds a row through filters, indexes and blocks of several levels, which takes longer
//! the more rows there are; execution and the tree read what blocks shortly before wrote, and what
//! the mempool's checks just read. What is committed comes in here once the database has it, so this
//! holds nothing that is not in there. It is only asked for rows by their keys, so what it keeps and what
//! it drops changes no result.

use std::sync::Arc;

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use super::error::Result;

// A chain of a million accounts has so much of both; a small one never fills it.
/// Memory for inner nodes of the tree.
const NODE_BYTES: u64 = 512 << 20;
/// Memory for values.
const VALUE_BYTES: u64 = 512 << 20;
/// What a row takes beside its bytes, about.
const ROW_OVERHEAD: usize = 96;
/// Bytes of a row, about: how many rows there can be.
const ROW_BYTES: u64 = 256;

/// A row in memory.
#[derive(Clone)]
pub(super) struct Row {
    /// The version that wrote it.
    pub version: u64,
    pub bytes: Arc<[u8]>,
}

/// Rows of a version, by their keys.
#[derive(Default)]
pub(super) struct Written {
    /// Inner nodes, by their places in the tree.
    pub nodes: Vec<(u64, Row)>,
    /// Values; `None`: deleted.
    pub values: Vec<(Vec<u8>, Option<Row>)>,
}

/// Rows of the newest version.
pub(super) struct Recent {
    nodes: Cache<u64, Row, Size>,
    /// `None`: there is no such value.
    values: Cache<Vec<u8>, Option<Row>, Size>,
}

#[derive(Clone)]
struct Size;

impl Weighter<u64, Row> for Size {
    fn weight(&self, _: &u64, row: &Row) -> u64 {
        (row.bytes.len() + ROW_OVERHEAD) as u64
    }
}

impl Weighter<Vec<u8>, Option<Row>> for Size {
    fn weight(&self, key: &Vec<u8>, row: &Option<Row>) -> u64 {
        let bytes = row.as_ref().map_or(0, |row| row.bytes.len());
        (key.len() + bytes + ROW_OVERHEAD) as u64
    }
}

impl Recent {
    pub fn new() -> Self {
        let rows = |bytes: u64| (bytes / ROW_BYTES) as usize;
        Self {
            nodes: Cache::with_weighter(rows(NODE_BYTES), NODE_BYTES, Size),
            values: Cache::with_weighter(rows(VALUE_BYTES), VALUE_BYTES, Size),
        }
    }

    /// The inner node at a place, which may be of an earlier version where there is none any more.
    pub fn node(&self, place: u64) -> Option<Row> {
        self.nodes.get(&place)
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

    /// Takes over what was written.
    pub fn update(&self, written: Written) {
        for (place, node) in written.nodes {
            self.nodes.insert(place, node);
        }
        for (key, value) in written.values {
            self.values.insert(key, value);
        }
    }
}
