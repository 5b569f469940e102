//! The next version, computed before any of it is written.

use std::sync::Arc;

use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::storage::Storage;
use super::write_set::{WriteSet, Writes};
use crate::error::Result;
use crate::rows::{Head, key};
use crate::tree::{self, KeyUpdate, TreeUpdate};

/// A computed version, which [`Store::commit`](crate::Store::commit) makes the newest one.
/// Dropping it leaves nothing behind.
pub struct StagedCommit {
    /// The version that it was computed on.
    pub(crate) base: u64,
    pub(crate) head: Head,
    /// The oldest version that can be read after the commit.
    pub(crate) oldest: u64,
    pub(crate) writes: Arc<WriteSet>,
    /// One per written value, in key order.
    pub(crate) overwrites: Vec<Overwrite>,
    pub(crate) tree: TreeUpdate,
}

impl StagedCommit {
    /// The root of the tree after this block.
    pub fn app_hash(&self) -> [u8; 32] {
        self.head.app_hash
    }

    /// The height of the block.
    pub fn height(&self) -> u64 {
        self.head.height
    }
}

impl std::fmt::Debug for StagedCommit {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("StagedCommit")
            .field("head", &self.head)
            .finish_non_exhaustive()
    }
}

/// The effect of a write on its key.
pub(crate) struct Overwrite {
    /// The version that wrote the value before, if there was one.
    pub before: Option<u64>,
    pub update: KeyUpdate,
}

impl Overwrite {
    /// `None` if the key already has this value.
    fn of(storage: &Storage, key: &[u8], value: Option<&[u8]>) -> Result<Option<Self>> {
        let before = storage.value(key)?;
        if before.as_ref().map(|row| &*row.bytes) == value {
            return Ok(None);
        }
        let update = KeyUpdate {
            key: key::digest(key),
            existed: before.is_some(),
            value: value.map(|value| Sha256::digest(value).into()),
        };
        Ok(Some(Self {
            before: before.map(|row| row.version),
            update,
        }))
    }
}

/// The effects of writes on the newest version, in the order of the keys.
pub(super) fn overwrites(storage: &Storage, values: &Writes) -> Result<Vec<Option<Overwrite>>> {
    // A tree splits into parallel tasks less evenly than a vector.
    let writes: Vec<_> = values.iter().collect();
    writes
        .into_par_iter()
        .map(|(key, value)| Overwrite::of(storage, key, value.as_deref()))
        .collect()
}

/// Drops the writes that change nothing, so that no row is written for them.
pub(super) fn drop_unchanged(
    values: &mut Writes,
    overwrites: Vec<Option<Overwrite>>,
) -> Vec<Overwrite> {
    let mut changed = overwrites.iter().map(Option::is_some);
    values.retain(|_, _| changed.next().unwrap_or(true));
    overwrites.into_iter().flatten().collect()
}

/// The tree of `version` after the overwrites, on top of version `base`; 0 for none.
pub(super) fn update_tree(
    storage: &Storage,
    base: u64,
    version: u64,
    overwrites: &[Option<Overwrite>],
) -> Result<TreeUpdate> {
    let updates = overwrites.iter().flatten().map(|found| found.update);
    tree::update(
        &storage.db,
        &storage.top(),
        base,
        version,
        updates.collect(),
    )
}
