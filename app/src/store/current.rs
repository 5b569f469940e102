//! The newest version once more, with a single row per key.
//!
//! Execution, the mempool and most queries read the newest version. Here a value is one look-up,
//! and a scan of a queue steps over nothing but what is in it: among the versioned rows it would
//! step over everything that ever was in it and is not pruned yet.

use std::sync::Arc;

use rocksdb::{DB, DBRawIteratorWithThreadMode, ReadOptions};

use super::db::{self, Database};
use super::entry::Entry;
use super::error::{Result, StoreError};
use super::key::Span;

/// A newest value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The version that wrote it.
    pub version: u64,
    pub bytes: Arc<[u8]>,
}

impl Row {
    /// What a version wrote; `None`: nothing is there any more.
    pub fn new(version: u64, value: Option<&[u8]>) -> Option<Self> {
        let bytes = value?.into();
        Some(Self { version, bytes })
    }
}

/// The newest value of `key` in the database.
pub(super) fn find(db: &Database, key: &[u8]) -> Result<Option<Row>> {
    let Some(row) = db.rocks().get_pinned_cf(db.family(db::CURRENT)?, key)? else {
        return Ok(None);
    };
    let (version, value) = decode(key, &row)?;
    Ok(Row::new(version, Some(value)))
}

/// The stored form of a row.
pub(super) fn encode(row: &Row) -> Vec<u8> {
    [&row.version.to_be_bytes(), &*row.bytes].concat()
}

fn decode<'a>(key: &[u8], row: &'a [u8]) -> Result<(u64, &'a [u8])> {
    row.split_first_chunk()
        .map(|(version, value)| (u64::from_be_bytes(*version), value))
        .ok_or_else(|| StoreError::corrupt(key, "a row without its version"))
}

/// The newest values of a span of keys, in key order, as they were when this was made.
pub(super) struct Current<'a> {
    rows: DBRawIteratorWithThreadMode<'a, DB>,
}

impl<'a> Current<'a> {
    pub fn new(db: &'a Database, span: &Span) -> Result<Self> {
        let mut options = ReadOptions::default();
        options.set_iterate_upper_bound(span.end.as_slice());
        let mut rows = db
            .rocks()
            .raw_iterator_cf_opt(db.family(db::CURRENT)?, options);
        rows.seek(&span.start);
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

impl Iterator for Current<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}
