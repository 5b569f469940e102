//! From a prepared version to the rows that it adds to the database and removes from it.

use rocksdb::WriteBatch;

use super::changes::Writes;
use super::current::{self, Row};
use super::db::{self, Database};
use super::error::Result;
use super::prepare::{Overwrite, Prepared};
use super::prune::{self, Kind, Notes};
use super::recent::Recent;
use super::storage::Storage;
use super::tree::TreeUpdate;
use super::{history, key};

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
const BYTES_PER_CHANGE: usize = 2 << 10;
/// Bytes of a batch that are reserved from the start at most.
const MAX_ROOM: usize = 64 << 20;

/// What a version changes in the database, all of it or nothing.
pub(super) struct Batch {
    pub rows: WriteBatch,
    /// The values among them.
    pub values: Vec<(Vec<u8>, Option<Row>)>,
    /// How far the pruning is when this is written.
    pub pruned: Option<Vec<u8>>,
}

impl Batch {
    /// The rows of a version, and the removal of rows that it makes obsolete, from where the
    /// pruning was.
    pub fn of(storage: &Storage, version: Prepared, pruned: Option<Vec<u8>>) -> Result<Self> {
        let (db, changes) = (&storage.db, &version.changes);
        // Without room from the start the batch would be moved again and again as it grows.
        let room = changes.len().saturating_mul(BYTES_PER_CHANGE).min(MAX_ROOM);
        let mut rows = WriteBatch::with_capacity_bytes(room);
        // First: a key that was deleted long ago may be written again by this version.
        let portion = prune::portion(changes.len());
        let pruned = prune::prune(db, version.oldest, portion, pruned.as_deref(), &mut rows)?;
        let mut block = Block {
            db,
            height: version.height(),
            rows,
            notes: Notes::default(),
            values: Vec::with_capacity(changes.values.len()),
        };
        block.write_values(&changes.values, &version.overwrites)?;
        block.write_payloads(&changes.payloads)?;
        block.write_tree(&storage.recent, version.tree)?;
        block.notes.write(db, block.height, &mut block.rows)?;
        db.put_head(&mut block.rows, &version.head.encode(version.oldest))?;
        Ok(Self {
            rows: block.rows,
            values: block.values,
            pruned,
        })
    }
}

/// The rows of a version, on their way into a batch.
struct Block<'a> {
    db: &'a Database,
    height: u64,
    rows: WriteBatch,
    notes: Notes,
    values: Vec<(Vec<u8>, Option<Row>)>,
}

impl Block<'_> {
    fn write_values(&mut self, writes: &Writes, overwrites: &[Overwrite]) -> Result<()> {
        for ((key, value), overwrite) in writes.iter().zip(overwrites) {
            if overwrite.before.is_none() {
                let family = self.db.family(db::PREIMAGES)?;
                self.rows.put_cf(family, overwrite.change.key, key);
            }
            self.write_row(&VALUES, key, overwrite.before, value.as_deref())?;
            self.write_current(key, value.as_deref())?;
        }
        Ok(())
    }

    fn write_current(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let family = self.db.family(db::CURRENT)?;
        let row = Row::new(self.height, value);
        match &row {
            Some(row) => self.rows.put_cf(family, key, current::encode(row)),
            None => self.rows.delete_cf(family, key),
        }
        self.values.push((key.to_vec(), row));
        Ok(())
    }

    fn write_payloads(&mut self, writes: &Writes) -> Result<()> {
        for (key, payload) in writes {
            let before = history::find(self.db, db::PAYLOADS, key, u64::MAX)?
                .and_then(|row| Some((row.version, row.value?)));
            if before.as_ref().map(|(_, payload)| payload) == payload.as_ref() {
                continue;
            }
            let version = before.map(|(version, _)| version);
            self.write_row(&PAYLOADS, key, version, payload.as_deref())?;
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
        self.rows.put_cf(family, &row, history::encode(value));
        if let Some(version) = before {
            self.notes
                .add(rows.overwritten, key::versioned(key, version));
        }
        if value.is_none() {
            self.notes.add(rows.deleted, row);
        }
        Ok(())
    }

    fn write_tree(&mut self, recent: &Recent, update: TreeUpdate) -> Result<()> {
        let family = self.db.family(db::TREE)?;
        let (nodes, stale) = update.into_rows();
        let rows = &mut self.rows;
        let mut memory = recent.tree_mut();
        memory.update(self.height, nodes, |key, node| {
            rows.put_cf(family, key, node)
        })?;
        for key in stale {
            self.notes.add(Kind::Node, key);
        }
        Ok(())
    }
}
