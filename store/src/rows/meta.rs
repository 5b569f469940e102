//! The rows of the column family `meta`: format, head and redo record.

use std::path::Path;

use rocksdb::WriteBatch;

use super::db::{self, Database};
use crate::error::{Result, StoreError};

/// The layout that this program reads and writes.
pub(crate) const FORMAT: u32 = 2;
const FORMAT_KEY: &[u8] = b"format";
const HEAD_KEY: &[u8] = b"head";
const REDO_KEY: &[u8] = b"redo";

/// The newest version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Head {
    /// The height; 0 before the first commit.
    pub height: u64,
    /// The root of the tree.
    pub app_hash: [u8; 32],
    /// The height of the first version; 0 before the first commit.
    pub initial_height: u64,
}

impl Head {
    /// `height ‖ initial height ‖ oldest version ‖ hash`, big-endian.
    fn encode(&self, oldest: u64) -> Vec<u8> {
        let numbers = [self.height, self.initial_height, oldest].map(u64::to_be_bytes);
        [numbers.as_flattened(), &self.app_hash].concat()
    }

    fn decode(bytes: &[u8]) -> Option<(Self, u64)> {
        let (height, rest) = bytes.split_first_chunk()?;
        let (initial_height, rest) = rest.split_first_chunk()?;
        let (oldest, hash) = rest.split_first_chunk()?;
        let head = Self {
            height: u64::from_be_bytes(*height),
            app_hash: hash.try_into().ok()?,
            initial_height: u64::from_be_bytes(*initial_height),
        };
        Some((head, u64::from_be_bytes(*oldest)))
    }
}

impl Database {
    /// The newest version whose rows are written, and the oldest one that can be read.
    pub(crate) fn head(&self) -> Result<Option<(Head, u64)>> {
        let Some(bytes) = self.get(db::META, HEAD_KEY)? else {
            return Ok(None);
        };
        let head = Head::decode(&bytes);
        let head = head.ok_or_else(|| StoreError::corrupt(HEAD_KEY, "not the head of a chain"))?;
        Ok(Some(head))
    }

    pub(crate) fn put_head(&self, batch: &mut WriteBatch, head: &Head, oldest: u64) -> Result<()> {
        batch.put_cf(self.family(db::META)?, HEAD_KEY, head.encode(oldest));
        Ok(())
    }

    /// The redo record of the version that was committed last.
    pub(crate) fn redo(&self) -> Result<Option<Vec<u8>>> {
        self.get(db::META, REDO_KEY)
    }

    /// Writes a redo record durably.
    pub(crate) fn write_redo(&self, record: &[u8]) -> Result<()> {
        let mut batch = WriteBatch::default();
        batch.put_cf(self.family(db::META)?, REDO_KEY, record);
        self.write(batch)
    }

    /// Marks a new database with the format, and refuses one of another format.
    pub(super) fn check_format(&self, path: &Path) -> Result<()> {
        let found = match self.get(db::META, FORMAT_KEY)? {
            Some(bytes) if bytes == FORMAT.to_be_bytes() => return Ok(()),
            None if self.head()?.is_none() => {
                let mut batch = WriteBatch::default();
                batch.put_cf(self.family(db::META)?, FORMAT_KEY, FORMAT.to_be_bytes());
                return self.write(batch);
            }
            Some(bytes) => match <[u8; 4]>::try_from(bytes.as_slice()) {
                Ok(bytes) => u32::from_be_bytes(bytes).to_string(),
                Err(_) => format!("\"{}\"", bytes.escape_ascii()),
            },
            None => "unknown".into(),
        };
        Err(StoreError::Format {
            path: path.into(),
            found,
            expected: FORMAT,
        })
    }
}
