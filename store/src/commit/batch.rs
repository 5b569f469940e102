//! The rows that a staged version adds to the database and removes from it.

use rocksdb::WriteBatch;

use super::stage::{Overwrite, StagedCommit};
use super::write_set::Writes;
use crate::error::Result;
use crate::limits::{BATCH_BYTES_PER_KEY, BATCH_RESERVED_BYTES};
use crate::rows::current::{self, CurrentRow};
use crate::rows::prune::{self, StaleEntries, StaleKind};
use crate::rows::{Database, db, history, key};
use crate::tree::TreeUpdate;

/// A column family of versioned rows, with the kinds of their stale entries.
struct Versioned {
    family: &'static str,
    overwritten: StaleKind,
    deleted: StaleKind,
}

const VALUES: Versioned = Versioned {
    family: db::VALUES,
    overwritten: StaleKind::Value,
    deleted: StaleKind::DeletedValue,
};

const PAYLOADS: Versioned = Versioned {
    family: db::PAYLOADS,
    overwritten: StaleKind::Payload,
    deleted: StaleKind::DeletedPayload,
};

/// The changes of the database that write a version, all of them or none.
pub(super) struct Batch {
    pub rows: WriteBatch,
    /// The last stale entry that this batch processes.
    pub pruned: Option<Vec<u8>>,
}

impl Batch {
    /// The rows of a version, and the removal of obsolete rows after the stale entry `pruned`.
    pub(super) fn of(
        db: &Database,
        version: StagedCommit,
        pruned: Option<Vec<u8>>,
    ) -> Result<Self> {
        let writes = &version.writes;
        // Reserving the bytes avoids copying a growing batch repeatedly.
        let reserved = writes.len().saturating_mul(BATCH_BYTES_PER_KEY);
        let mut rows = WriteBatch::with_capacity_bytes(reserved.min(BATCH_RESERVED_BYTES));
        // Pruning comes first: this version may write a key again that was deleted long ago.
        let portion = prune::portion(writes.len());
        let pruned = prune::prune(db, version.oldest, portion, pruned.as_deref(), &mut rows)?;
        let mut builder = BatchBuilder {
            db,
            height: version.height(),
            rows,
            stale: StaleEntries::default(),
        };
        builder.write_values(&writes.values, &version.overwrites)?;
        builder.write_payloads(&writes.payloads)?;
        builder.write_tree(version.tree)?;
        let BatchBuilder {
            height,
            mut rows,
            stale,
            ..
        } = builder;
        stale.write(db, height, &mut rows)?;
        db.put_head(&mut rows, &version.head, version.oldest)?;
        Ok(Self { rows, pruned })
    }
}

struct BatchBuilder<'a> {
    db: &'a Database,
    height: u64,
    rows: WriteBatch,
    stale: StaleEntries,
}

impl BatchBuilder<'_> {
    fn write_values(&mut self, writes: &Writes, overwrites: &[Overwrite]) -> Result<()> {
        for ((key, value), overwrite) in writes.iter().zip(overwrites) {
            if overwrite.before.is_none() {
                let family = self.db.family(db::PREIMAGES)?;
                self.rows.put_cf(family, overwrite.update.key, key);
            }
            self.write_row(&VALUES, key, overwrite.before, value.as_deref())?;
            self.write_current(key, value.as_deref())?;
        }
        Ok(())
    }

    fn write_current(&mut self, key: &[u8], value: Option<&[u8]>) -> Result<()> {
        let family = self.db.family(db::CURRENT)?;
        match CurrentRow::new(self.height, value) {
            Some(row) => self.rows.put_cf(family, key, current::encode(&row)),
            None => self.rows.delete_cf(family, key),
        }
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

    /// Adds a row that replaces the one that version `before` wrote, if there is one.
    fn write_row(
        &mut self,
        rows: &Versioned,
        key: &[u8],
        before: Option<u64>,
        value: Option<&[u8]>,
    ) -> Result<()> {
        let row = key::versioned(key, self.height);
        let family = self.db.family(rows.family)?;
        self.rows.put_cf(family, &row, history::encode(value));
        if let Some(version) = before {
            self.stale
                .add(rows.overwritten, key::versioned(key, version));
        }
        if value.is_none() {
            self.stale.add(rows.deleted, row);
        }
        Ok(())
    }

    fn write_tree(&mut self, update: TreeUpdate) -> Result<()> {
        let family = self.db.family(db::TREE)?;
        for (key, node) in update.nodes {
            self.rows.put_cf(family, key, node);
        }
        for key in update.stale {
            self.stale.add(StaleKind::Node, key);
        }
        Ok(())
    }
}
