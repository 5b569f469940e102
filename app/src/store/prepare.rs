//! From changes to the batch that makes them the next version.

use rayon::prelude::*;
use rocksdb::WriteBatch;

use super::changes::{Changes, Writes};
use super::db::{self, Database};
use super::error::Result;
use super::prune::{self, Kind, Notes};
use super::recent::{Row, Written};
use super::tree::{Change, TreeUpdate};
use super::{Head, current, history, key, tree};

/// A version that is computed, and written by [`Store::commit`](super::Store::commit). Dropping
/// it leaves nothing behind.
pub struct Prepared {
    pub(super) base: u64,
    pub(super) head: Head,
    pub(super) oldest: u64,
    /// How far the pruning is when this is written.
    pub(super) pruned: Option<Vec<u8>>,
    pub(super) batch: WriteBatch,
    pub(super) written: Written,
}

impl Prepared {
    /// The root of the tree after this block.
    pub fn app_hash(&self) -> [u8; 32] {
        self.head.app_hash
    }

    /// The height of the block.
    pub fn height(&self) -> u64 {
        self.head.height
    }
}

impl std::fmt::Debug for Prepared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Prepared")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

/// Where versioned rows are, and how they become obsolete.
struct Rows {
    family: &'static str,
    overwritten: Kind,
    deleted: Kind,
}

const VALUES: Rows = Rows {
    family: db::VALUES,
    overwritten: Kind::Value,
    deleted: Kind::DeletedValue,
};

const PAYLOADS: Rows = Rows {
    family: db::PAYLOADS,
    overwritten: Kind::Payload,
    deleted: Kind::DeletedPayload,
};

/// About what a changed key adds to the batch: its rows, and the nodes on its path.
const BATCH_BYTES_PER_CHANGE: usize = 2 << 10;
/// Bytes of a batch that are reserved from the start at most.
const MAX_BATCH_ROOM: usize = 64 << 20;

/// A write that changes something.
struct Overwrite {
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    /// The version that wrote the value before, if there was one.
    before: Option<u64>,
    change: Change,
}

impl Overwrite {
    /// `None` if the key has this value already.
    fn find(db: &Database, key: Vec<u8>, value: Option<Vec<u8>>) -> Result<Option<Self>> {
        let before = current::find(db, &key)?;
        if before.as_ref().map(|row| &*row.bytes) == value.as_deref() {
            return Ok(None);
        }
        let change = Change {
            key: tree::hash(&key),
            existed: before.is_some(),
            value: value.as_deref().map(tree::hash),
        };
        Ok(Some(Self {
            key,
            value,
            before: before.map(|row| row.version),
            change,
        }))
    }
}

/// The writes of one block, on their way into a batch.
pub(super) struct Block<'a> {
    db: &'a Database,
    /// The version below; 0 for none.
    base: u64,
    height: u64,
    batch: WriteBatch,
    notes: Notes,
    written: Written,
    /// Changes of the tree.
    changed: Vec<Change>,
}

impl<'a> Block<'a> {
    /// A block that is going to change this many keys.
    pub fn new(db: &'a Database, base: u64, height: u64, changes: usize) -> Self {
        // Without room from the start the batch would be moved again and again as it grows.
        let room = changes
            .saturating_mul(BATCH_BYTES_PER_CHANGE)
            .min(MAX_BATCH_ROOM);
        Self {
            db,
            base,
            height,
            batch: WriteBatch::with_capacity_bytes(room),
            notes: Notes::default(),
            written: Written::default(),
            changed: Vec::with_capacity(changes),
        }
    }

    /// Adds the removal of what no version from `oldest` on needs, in proportion to the number of
    /// `changes` to come. It must be the first thing in the batch: a key that was deleted long ago
    /// may be written again by this block.
    pub fn prune(
        &mut self,
        oldest: u64,
        changes: usize,
        done: Option<&[u8]>,
    ) -> Result<Option<Vec<u8>>> {
        prune::prune(
            self.db,
            oldest,
            prune::portion(changes),
            done,
            &mut self.batch,
        )
    }

    /// Adds the rows of the changes that change something.
    pub fn write(&mut self, changes: Changes) -> Result<()> {
        self.write_values(changes.values)?;
        self.write_payloads(changes.payloads)
    }

    fn write_values(&mut self, writes: Writes) -> Result<()> {
        let db = self.db;
        // In the order of the keys, whichever processor looks them up.
        let found = writes
            .into_par_iter()
            .map(|(key, value)| Overwrite::find(db, key, value))
            .collect::<Result<Vec<_>>>()?;
        for overwrite in found.into_iter().flatten() {
            let Overwrite {
                key,
                value,
                before,
                change,
            } = overwrite;
            if before.is_none() {
                let family = self.db.family(db::PREIMAGES)?;
                self.batch.put_cf(family, change.key, &key);
            }
            self.changed.push(change);
            self.write_row(&VALUES, &key, before, value.as_deref())?;
            self.write_current(key, value.as_deref())?;
        }
        Ok(())
    }

    fn write_current(&mut self, key: Vec<u8>, value: Option<&[u8]>) -> Result<()> {
        let family = self.db.family(db::CURRENT)?;
        let row = value.map(|value| Row {
            version: self.height,
            bytes: value.into(),
        });
        match &row {
            Some(row) => self.batch.put_cf(family, &key, current::encode(row)),
            None => self.batch.delete_cf(family, &key),
        }
        self.written.values.push((key, row));
        Ok(())
    }

    fn write_payloads(&mut self, writes: Writes) -> Result<()> {
        for (key, payload) in writes {
            let before = history::find(self.db, db::PAYLOADS, &key, u64::MAX)?
                .and_then(|row| Some((row.version, row.value?)));
            if before.as_ref().map(|(_, payload)| payload) == payload.as_ref() {
                continue;
            }
            let version = before.map(|(version, _)| version);
            self.write_row(&PAYLOADS, &key, version, payload.as_deref())?;
        }
        Ok(())
    }

    /// Adds a row that takes the place of the one that version `before` wrote, if there is one.
    fn write_row(
        &mut self,
        rows: &Rows,
        key: &[u8],
        before: Option<u64>,
        value: Option<&[u8]>,
    ) -> Result<()> {
        let row = key::versioned(key, self.height);
        let family = self.db.family(rows.family)?;
        self.batch.put_cf(family, &row, history::encode(value));
        if let Some(version) = before {
            self.notes
                .add(rows.overwritten, key::versioned(key, version));
        }
        if value.is_none() {
            self.notes.add(rows.deleted, row);
        }
        Ok(())
    }

    /// Computes the tree of what was written so far.
    pub fn update_tree(&mut self) -> Result<TreeUpdate> {
        let changed = std::mem::take(&mut self.changed);
        tree::update(self.db, self.base, self.height, changed)
    }

    /// Adds the nodes of the tree.
    pub fn write_tree(&mut self, update: TreeUpdate) -> Result<()> {
        let family = self.db.family(db::TREE)?;
        for node in update.nodes {
            let key = node.key(self.height);
            self.batch.put_cf(family, key, &node.bytes);
            if let Some(place) = node.place() {
                let row = Row {
                    version: self.height,
                    bytes: node.bytes,
                };
                self.written.nodes.push((place, row));
            }
        }
        for key in update.stale {
            self.notes.add(Kind::Node, key);
        }
        Ok(())
    }

    /// Adds the notes and the new head, and hands the batch over, with what it writes for memory.
    pub fn finish(mut self, head: &[u8]) -> Result<(WriteBatch, Written)> {
        self.notes.write(self.db, self.height, &mut self.batch)?;
        self.db.put_head(&mut self.batch, head)?;
        Ok((self.batch, self.written))
    }
}
