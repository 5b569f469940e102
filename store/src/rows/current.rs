//! Rows of the newest version, one per key.
//!
//! Execution, the mempool and most queries read the newest version. Here a value is one look-up,
//! and a scan of a queue meets only its current entries. Among the versioned rows it would step
//! over every unpruned entry that was ever in the queue.

use std::sync::Arc;

use rocksdb::{DB, DBRawIteratorWithThreadMode, ReadOptions};

use super::db::{self, Database};
use super::{Entry, KeyRange};
use crate::error::{Result, StoreError};

/// The newest value of a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CurrentRow {
    /// The version that wrote it.
    pub version: u64,
    pub bytes: Arc<[u8]>,
}

impl CurrentRow {
    /// The row that a version writes for a key; `None` for a deletion.
    pub(crate) fn new(version: u64, value: Option<&[u8]>) -> Option<Self> {
        let bytes = value?.into();
        Some(Self { version, bytes })
    }
}

/// The newest value of `key` in the database.
pub(crate) fn find(db: &Database, key: &[u8]) -> Result<Option<CurrentRow>> {
    let Some(row) = db.rocks().get_pinned_cf(db.family(db::CURRENT)?, key)? else {
        return Ok(None);
    };
    let (version, value) = decode(key, &row)?;
    Ok(CurrentRow::new(version, Some(value)))
}

/// The stored form of a row.
pub(crate) fn encode(row: &CurrentRow) -> Vec<u8> {
    [&row.version.to_be_bytes(), &*row.bytes].concat()
}

fn decode<'a>(key: &[u8], row: &'a [u8]) -> Result<(u64, &'a [u8])> {
    row.split_first_chunk()
        .map(|(version, value)| (u64::from_be_bytes(*version), value))
        .ok_or_else(|| StoreError::corrupt(key, "a row without its version"))
}

/// The newest values of a range of keys, in key order, as of the creation of the scan.
pub(crate) struct CurrentScan<'a> {
    rows: DBRawIteratorWithThreadMode<'a, DB>,
}

impl<'a> CurrentScan<'a> {
    pub(crate) fn new(db: &'a Database, range: &KeyRange) -> Result<Self> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(range.end.as_slice());
        let mut rows = db
            .rocks()
            .raw_iterator_cf_opt(db.family(db::CURRENT)?, options);
        rows.seek(&range.start);
        Ok(Self { rows })
    }

    fn advance(&mut self) -> Result<Option<Entry>> {
        let Some((key, row)) = self.rows.item() else {
            self.rows.status()?;
            return Ok(None);
        };
        let (_, value) = decode(key, row)?;
        let entry = (key.to_vec(), value.to_vec());
        self.rows.next();
        Ok(Some(entry))
    }
}

impl Iterator for CurrentScan<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}
