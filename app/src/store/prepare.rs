//! What changes make of the newest version, computed before any of it is written.

use std::sync::Arc;

use rayon::prelude::*;

use super::changes::{Changes, Replaced, Writes};
use super::current::Row;
use super::error::Result;
use super::head::Head;
use super::storage::Storage;
use super::tree::{self, Change, TreeUpdate};

/// A version that is computed, and made the newest one by [`Store::commit`](super::Store::commit).
/// Dropping it leaves nothing behind.
pub struct Prepared {
    pub(super) base: u64,
    pub(super) head: Head,
    pub(super) oldest: u64,
    pub(super) changes: Arc<Changes>,
    /// Of the changed values, in their order.
    pub(super) overwrites: Vec<Overwrite>,
    pub(super) tree: TreeUpdate,
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

/// What a write does that changes something.
pub(super) struct Overwrite {
    /// The version that wrote the value before, if there was one.
    pub before: Option<u64>,
    pub change: Change,
}

impl Overwrite {
    /// `None` if the key has this value already. `before` is what it replaces, if that was read.
    fn of(
        storage: &Storage,
        key: &[u8],
        value: Option<&[u8]>,
        before: Option<Option<Row>>,
    ) -> Result<Option<Self>> {
        let before = match before {
            Some(row) => row,
            None => storage.value(key)?,
        };
        if before.as_ref().map(|row| &*row.bytes) == value {
            return Ok(None);
        }
        let change = Change {
            key: tree::hash(key),
            existed: before.is_some(),
            value: value.map(tree::hash),
        };
        Ok(Some(Self {
            before: before.map(|row| row.version),
            change,
        }))
    }
}

/// What changes of values on top of the version `base` do, in the order of the keys, whichever processor
/// looks. `replaced` is what they replace, as far as that was read.
pub(super) fn overwrites(
    storage: &Storage,
    base: u64,
    values: &Writes,
    replaced: Option<Replaced>,
) -> Result<Vec<Option<Overwrite>>> {
    let replaced = replaced.filter(|rows| rows.version == base);
    let rows = replaced.into_iter().flat_map(|rows| rows.rows);
    let writes: Vec<_> = values
        .iter()
        .zip(rows.chain(std::iter::repeat(None)))
        .collect();
    writes
        .into_par_iter()
        .map(|((key, value), before)| Overwrite::of(storage, key, value.as_deref(), before))
        .collect()
}

/// Leaves the values out that change nothing: nothing is going to be written for them.
pub(super) fn leave_out_unchanged(
    values: &mut Writes,
    overwrites: Vec<Option<Overwrite>>,
) -> Vec<Overwrite> {
    let mut are_changed = overwrites.iter().map(Option::is_some);
    values.retain(|_, _| are_changed.next().unwrap_or(true));
    overwrites.into_iter().flatten().collect()
}

/// The tree of `version` after the overwrites, on top of the version `base`; 0 for none.
pub(super) fn update_tree(
    storage: &Storage,
    base: u64,
    version: u64,
    overwrites: &[Option<Overwrite>],
) -> Result<TreeUpdate> {
    let changes = overwrites.iter().flatten().map(|found| found.change);
    let nodes = storage.recent.tree();
    tree::update(&storage.db, &nodes, base, version, changes.collect())
}
