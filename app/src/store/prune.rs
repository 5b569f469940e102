//! What became obsolete, and its removal.
//!
//! Every write notes in the column family `stale` what it makes obsolete and since which version.
//! Once no reader may ask for a version before that one, the noted rows can go. The notes are
//! worked off in their order and in portions, so a commit never stalls, and an older row of a key
//! always goes before the mark that the key is deleted: it could come back to life otherwise.

use rocksdb::{IteratorMode, WriteBatch};

use super::db::{self, Database};
use super::error::{Result, StoreError};
use super::{history, key};

/// How many rows are removed with a block that changes `changes` keys: more than it adds (a
/// changed key makes its row and the nodes on its path obsolete), so that any backlog shrinks.
pub(super) fn portion(changes: usize) -> usize {
    changes.saturating_mul(16).saturating_add(1024)
}

/// What a note is about. The order of the numbers is the order of the removal within a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    /// A node of the tree.
    Node = 1,
    /// An overwritten row of a value.
    Value = 2,
    /// An overwritten row of a payload.
    Payload = 3,
    /// A row that says that a value is deleted.
    DeletedValue = 4,
    /// A row that says that a payload is deleted.
    DeletedPayload = 5,
}

impl Kind {
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

/// Rows of one note at most: so few that a portion is not much exceeded.
const ROWS_PER_NOTE: usize = 64;
/// Bytes that say how long a row of a note is.
const LENGTH_BYTES: usize = 2;

/// The notes of one block.
#[derive(Default)]
pub(super) struct Notes(Vec<(Kind, Vec<u8>)>);

impl Notes {
    pub fn add(&mut self, kind: Kind, row: Vec<u8>) {
        self.0.push((kind, row));
    }

    /// Writes down that the rows are obsolete since `version`: several of a kind in a note, which
    /// is named by the first and lists the others.
    pub fn write(mut self, db: &Database, version: u64, batch: &mut WriteBatch) -> Result<()> {
        let family = db.family(db::STALE)?;
        self.0.sort_unstable();
        self.0.dedup();
        for of_kind in self.0.chunk_by(|(a, _), (b, _)| a == b) {
            for rows in of_kind.chunks(ROWS_PER_NOTE) {
                let Some(((kind, first), others)) = rows.split_first() else {
                    continue;
                };
                let mut note = version.to_be_bytes().to_vec();
                note.push(*kind as u8);
                note.extend_from_slice(first);
                let mut list = Vec::new();
                for (_, row) in others {
                    let length = u16::try_from(row.len())
                        .map_err(|_| StoreError::corrupt(row, "a key of this length"))?;
                    list.extend_from_slice(&length.to_be_bytes());
                    list.extend_from_slice(row);
                }
                batch.put_cf(family, note, list);
            }
        }
        Ok(())
    }
}

/// Adds to `batch` the removal of what no version from `oldest` on needs, notes with at least
/// `portion` rows of it, and returns the last note that was worked off.
///
/// `done` is what the pruning before returned: it saves stepping over what RocksDB has marked as
/// removed but not removed yet.
pub(super) fn prune(
    db: &Database,
    oldest: u64,
    portion: usize,
    done: Option<&[u8]>,
    batch: &mut WriteBatch,
) -> Result<Option<Vec<u8>>> {
    let stale = db.family(db::STALE)?;
    let start = IteratorMode::From(done.unwrap_or_default(), rocksdb::Direction::Forward);
    let (mut removed, mut last) = (0, None);
    for note in db.rocks().iterator_cf(stale, start) {
        let (note, list) = note?;
        let (version, kind, first) = split(&note)?;
        if version > oldest || removed >= portion {
            break;
        }
        remove(db, kind, first, batch)?;
        let others = split_list(&note, &list)?;
        removed += 1 + others.len();
        for row in others {
            remove(db, kind, row, batch)?;
        }
        batch.delete_cf(stale, &note);
        last = Some(note.into_vec());
    }
    Ok(last.or_else(|| done.map(<[u8]>::to_vec)))
}

fn remove(db: &Database, kind: Kind, row: &[u8], batch: &mut WriteBatch) -> Result<()> {
    match kind {
        Kind::Node => batch.delete_cf(db.family(db::TREE)?, row),
        Kind::Value => batch.delete_cf(db.family(db::VALUES)?, row),
        Kind::Payload | Kind::DeletedPayload => batch.delete_cf(db.family(db::PAYLOADS)?, row),
        Kind::DeletedValue => {
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
        _ => batch.delete_cf(db.family(db::PREIMAGES)?, super::tree::hash(key)),
    }
    Ok(())
}

fn split(note: &[u8]) -> Result<(u64, Kind, &[u8])> {
    note.split_first_chunk::<8>()
        .and_then(|(version, rest)| {
            let (kind, row) = rest.split_first()?;
            Some((u64::from_be_bytes(*version), Kind::from_byte(*kind)?, row))
        })
        .ok_or_else(|| StoreError::corrupt(note, "unknown kind of stale entry"))
}

/// The rows that a note lists.
pub(super) fn split_list<'a>(note: &[u8], mut list: &'a [u8]) -> Result<Vec<&'a [u8]>> {
    let mut rows = Vec::with_capacity(ROWS_PER_NOTE);
    while let Some((length, rest)) = list.split_first_chunk::<LENGTH_BYTES>() {
        let Some((row, rest)) = rest.split_at_checked(u16::from_be_bytes(*length).into()) else {
            break;
        };
        rows.push(row);
        list = rest;
    }
    match list {
        [] => Ok(rows),
        _ => Err(StoreError::corrupt(note, "a list of stale rows cut short")),
    }
}
