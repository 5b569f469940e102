//! Obsolete rows and their removal.
//!
//! Every write adds entries to the column family `stale`: the rows that it makes obsolete, and
//! since which version. These rows are removed once no reader may ask for an earlier version.
//! Entries are processed in order and in portions, so a commit never stalls. An older row of a key
//! is always removed before the row that marks the key as deleted; otherwise the key would come
//! back.

use rocksdb::{IteratorMode, WriteBatch};

use super::db::{self, Database};
use super::{history, key};
use crate::error::{Result, StoreError};
use crate::limits::{PRUNED_PER_BLOCK, PRUNED_PER_KEY, ROWS_PER_STALE_ENTRY};

/// The number of rows to remove with a block that changes `keys` keys.
pub(crate) fn portion(keys: usize) -> usize {
    keys.saturating_mul(PRUNED_PER_KEY)
        .saturating_add(PRUNED_PER_BLOCK)
}

/// The kind of an obsolete row. Within a version rows are removed in the order of these numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum StaleKind {
    /// A node of the tree.
    Node = 1,
    /// An overwritten row of a value.
    Value = 2,
    /// An overwritten row of a payload.
    Payload = 3,
    /// A row that marks a value as deleted.
    DeletedValue = 4,
    /// A row that marks a payload as deleted.
    DeletedPayload = 5,
}

impl StaleKind {
    fn from_byte(byte: u8) -> Option<Self> {
        [
            Self::Node,
            Self::Value,
            Self::Payload,
            Self::DeletedValue,
            Self::DeletedPayload,
        ]
        .into_iter()
        .find(|kind| *kind as u8 == byte)
    }
}

/// Bytes of the length before a listed row.
const LENGTH_BYTES: usize = 2;

/// The obsolete rows of one block.
#[derive(Default)]
pub(crate) struct StaleEntries(Vec<(StaleKind, Vec<u8>)>);

impl StaleEntries {
    pub(crate) fn add(&mut self, kind: StaleKind, row: Vec<u8>) {
        self.0.push((kind, row));
    }

    /// Adds the entries to a batch: the rows are obsolete since `version`. Several rows of a kind
    /// share an entry: its key has the first row, its value lists the others.
    pub(crate) fn write(
        mut self,
        db: &Database,
        version: u64,
        batch: &mut WriteBatch,
    ) -> Result<()> {
        let family = db.family(db::STALE)?;
        self.0.sort_unstable();
        self.0.dedup();
        for of_kind in self.0.chunk_by(|(a, _), (b, _)| a == b) {
            for rows in of_kind.chunks(ROWS_PER_STALE_ENTRY) {
                let Some(((kind, first), others)) = rows.split_first() else {
                    continue;
                };
                let mut entry = version.to_be_bytes().to_vec();
                entry.push(*kind as u8);
                entry.extend_from_slice(first);
                let mut list = Vec::new();
                for (_, row) in others {
                    let length = u16::try_from(row.len())
                        .map_err(|_| StoreError::corrupt(row, "a key of this length"))?;
                    list.extend_from_slice(&length.to_be_bytes());
                    list.extend_from_slice(row);
                }
                batch.put_cf(family, entry, list);
            }
        }
        Ok(())
    }
}

/// Adds to `batch` the removal of rows that no version from `oldest` on needs, about `portion`
/// rows, and returns the last processed entry.
///
/// `done` is the result of the previous call. It avoids stepping over entries that RocksDB has
/// marked as deleted but not removed yet.
pub(crate) fn prune(
    db: &Database,
    oldest: u64,
    portion: usize,
    done: Option<&[u8]>,
    batch: &mut WriteBatch,
) -> Result<Option<Vec<u8>>> {
    let stale = db.family(db::STALE)?;
    let start = IteratorMode::From(done.unwrap_or_default(), rocksdb::Direction::Forward);
    let (mut removed, mut last) = (0, None);
    for row in db.rocks().iterator_cf(stale, start) {
        let (entry, list) = row?;
        let (version, kind, first) = split(&entry)?;
        if version > oldest || removed >= portion {
            break;
        }
        remove(db, kind, first, batch)?;
        let others = split_list(&entry, &list)?;
        removed += 1 + others.len();
        for row in others {
            remove(db, kind, row, batch)?;
        }
        batch.delete_cf(stale, &entry);
        last = Some(entry.into_vec());
    }
    Ok(last.or_else(|| done.map(<[u8]>::to_vec)))
}

fn remove(db: &Database, kind: StaleKind, row: &[u8], batch: &mut WriteBatch) -> Result<()> {
    match kind {
        StaleKind::Node => batch.delete_cf(db.family(db::TREE)?, row),
        StaleKind::Value => batch.delete_cf(db.family(db::VALUES)?, row),
        StaleKind::Payload | StaleKind::DeletedPayload => {
            batch.delete_cf(db.family(db::PAYLOADS)?, row)
        }
        StaleKind::DeletedValue => {
            batch.delete_cf(db.family(db::VALUES)?, row);
            forget_preimage(db, row, batch)?;
        }
    }
    Ok(())
}

/// Removes the preimage of a deleted key, unless the key was written again.
fn forget_preimage(db: &Database, row: &[u8], batch: &mut WriteBatch) -> Result<()> {
    let (key, version) =
        key::split_versioned(row).ok_or_else(|| StoreError::corrupt(row, "not a versioned key"))?;
    match history::find(db, db::VALUES, key, u64::MAX)? {
        Some(newest) if newest.version > version => {}
        _ => batch.delete_cf(db.family(db::PREIMAGES)?, key::digest(key)),
    }
    Ok(())
}

fn split(entry: &[u8]) -> Result<(u64, StaleKind, &[u8])> {
    entry
        .split_first_chunk::<8>()
        .and_then(|(version, rest)| {
            let (kind, row) = rest.split_first()?;
            Some((
                u64::from_be_bytes(*version),
                StaleKind::from_byte(*kind)?,
                row,
            ))
        })
        .ok_or_else(|| StoreError::corrupt(entry, "unknown kind of stale entry"))
}

/// The rows that an entry lists.
pub(crate) fn split_list<'a>(entry: &[u8], mut list: &'a [u8]) -> Result<Vec<&'a [u8]>> {
    let mut rows = Vec::with_capacity(ROWS_PER_STALE_ENTRY);
    while let Some((length, rest)) = list.split_first_chunk::<LENGTH_BYTES>() {
        let Some((row, rest)) = rest.split_at_checked(u16::from_be_bytes(*length).into()) else {
            break;
        };
        rows.push(row);
        list = rest;
    }
    match list {
        [] => Ok(rows),
        _ => Err(StoreError::corrupt(entry, "a list of stale rows cut short")),
    }
}
