//! The database, and what is in memory in front of it.

use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

use super::changes::Changes;
use super::current::{self, Row};
use super::db::Database;
use super::error::Result;
use super::key;
use super::recent::Recent;

/// Where the newest version is, and the versions before it.
pub(super) struct Storage {
    pub db: Database,
    pub recent: Recent,
    unwritten: RwLock<Option<Unwritten>>,
}

/// A committed version whose rows are not in the database yet.
pub(super) struct Unwritten {
    pub version: u64,
    pub changes: Arc<Changes>,
}

impl Storage {
    pub fn open(path: &Path) -> Result<Self> {
        Ok(Self {
            db: Database::open(path)?,
            recent: Recent::new(),
            unwritten: RwLock::default(),
        })
    }

    /// The newest value of `key` that is written. What cannot be a key has none.
    pub fn value(&self, key: &[u8]) -> Result<Option<Row>> {
        if !key::is_valid(key) {
            return Ok(None);
        }
        self.recent.value(key, || current::find(&self.db, key))
    }

    /// The changes that `version` made, if its rows are not written yet.
    pub fn unwritten(&self, version: u64) -> Option<Arc<Changes>> {
        let unwritten = self
            .unwritten
            .read()
            .unwrap_or_else(PoisonError::into_inner);
        let of_version = unwritten.as_ref().filter(|of| of.version == version);
        of_version.map(|of| of.changes.clone())
    }

    pub fn set_unwritten(&self, unwritten: Option<Unwritten>) {
        *self
            .unwritten
            .write()
            .unwrap_or_else(PoisonError::into_inner) = unwritten;
    }
}
