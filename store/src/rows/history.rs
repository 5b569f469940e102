//! Versioned rows, for reading a value or a payload as of a version.

use rocksdb::{DB, DBRawIteratorWithThreadMode, ReadOptions};

use super::Entry;
use super::db::{self, Database};
use super::key::{self, KeyRange};
use crate::error::{Result, StoreError};
use crate::limits::STEPS_BEFORE_SEEK;

const DELETED: u8 = 0;
const PRESENT: u8 = 1;

/// A write of a key.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct HistoryRow {
    pub version: u64,
    /// `None`: the key was deleted at the version.
    pub value: Option<Vec<u8>>,
}

/// The stored form of a row's value.
pub(crate) fn encode(value: Option<&[u8]>) -> Vec<u8> {
    match value {
        None => vec![DELETED],
        Some(value) => [&[PRESENT], value].concat(),
    }
}

fn decode(key: &[u8], bytes: &[u8]) -> Result<Option<Vec<u8>>> {
    match bytes.split_first() {
        Some((&PRESENT, value)) => Ok(Some(value.to_vec())),
        Some((&DELETED, [])) => Ok(None),
        _ => Err(StoreError::corrupt(key, "unknown form of value")),
    }
}

/// The newest row of `key` at `version` or before, in the column family `family`.
pub(crate) fn find(
    db: &Database,
    family: &str,
    key: &[u8],
    version: u64,
) -> Result<Option<HistoryRow>> {
    if !key::is_valid(key) {
        return Ok(None);
    }
    let mut options = ReadOptions::default();
    options.set_prefix_same_as_start(true);
    let mut rows = db.rocks().raw_iterator_cf_opt(db.family(family)?, options);
    rows.seek(key::versioned(key, version));
    let Some((found, bytes)) = rows.item() else {
        rows.status()?;
        return Ok(None);
    };
    match key::split_versioned(found) {
        Some((found, version)) if found == key => Ok(Some(HistoryRow {
            version,
            value: decode(key, bytes)?,
        })),
        _ => Ok(None),
    }
}

/// The values of a range of keys as of a version, in key order.
pub(crate) struct HistoryScan<'a> {
    rows: DBRawIteratorWithThreadMode<'a, DB>,
    version: u64,
}

impl<'a> HistoryScan<'a> {
    pub(crate) fn new(db: &'a Database, range: &KeyRange, version: u64) -> Result<Self> {
        let mut options = ReadOptions::default();
        options.set_total_order_seek(true);
        options.set_iterate_upper_bound(range.end.as_slice());
        let mut rows = db
            .rocks()
            .raw_iterator_cf_opt(db.family(db::VALUES)?, options);
        rows.seek(&range.start);
        Ok(Self { rows, version })
    }

    /// Moves past the last version of `key`.
    fn skip(&mut self, key: &[u8]) {
        for _ in 0..STEPS_BEFORE_SEEK {
            self.rows.next();
            match self.rows.key().and_then(key::split_versioned) {
                Some((next, _)) if next == key => {}
                _ => return,
            }
        }
        self.rows.seek(key::after(key));
    }

    fn advance(&mut self) -> Result<Option<Entry>> {
        while let Some((found, bytes)) = self.rows.item() {
            let (key, version) = key::split_versioned(found)
                .ok_or_else(|| StoreError::corrupt(found, "not a versioned key"))?;
            let key = key.to_vec();
            if version > self.version {
                self.rows.seek(key::versioned(&key, self.version));
                continue;
            }
            let value = decode(&key, bytes)?;
            self.skip(&key);
            if let Some(value) = value {
                return Ok(Some((key, value)));
            }
        }
        self.rows.status()?;
        Ok(None)
    }
}

impl Iterator for HistoryScan<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        self.advance().transpose()
    }
}
