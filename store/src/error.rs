use std::path::PathBuf;

use crate::limits::MAX_KEY_LEN;

/// Result of the store.
pub type Result<T> = std::result::Result<T, StoreError>;

/// An error of the store.
///
/// [`StoreError::Pruned`] and [`StoreError::Future`] answer a reader that asked for a version that
/// does not exist; every other error means that the node cannot execute further blocks.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// RocksDB failed to read or write.
    #[error("the state database failed: {0}; check the disk, then restart the node")]
    Database(#[from] rocksdb::Error),

    /// Another process has the database open.
    #[error("the state database {} is in use by another process; stop it first", path.display())]
    Locked {
        /// The folder of the database.
        path: PathBuf,
    },

    /// The files of the database are damaged.
    #[error(
        "the state database {} is damaged ({reason}); restore it from a backup, or remove it \
         together with CometBFT's data and synchronise again",
        path.display()
    )]
    Damaged {
        /// The folder of the database.
        path: PathBuf,
        /// RocksDB's error.
        reason: String,
    },

    /// The database cannot be opened for another reason.
    #[error(
        "the state database {} cannot be opened: {reason}; check the path, the permissions and the \
         free space",
        path.display()
    )]
    Open {
        /// The folder of the database.
        path: PathBuf,
        /// The error of RocksDB or the system.
        reason: String,
    },

    /// The database was written by a program with another layout.
    #[error(
        "the state database {} has format {found}, this program needs format {expected}; run the \
         version of the program that wrote it, or remove it together with CometBFT's data and \
         synchronise again",
        path.display()
    )]
    Format {
        /// The folder of the database.
        path: PathBuf,
        /// The format found.
        found: String,
        /// The format of this program.
        expected: u32,
    },

    /// The version was removed, or is below the first one.
    #[error(
        "version {version} is not kept, the oldest kept is {oldest}; ask for a later height, or a \
         node that keeps more (keep-versions in its app.toml)"
    )]
    Pruned {
        /// The version asked for.
        version: u64,
        /// The oldest version that can be read.
        oldest: u64,
    },

    /// The version does not exist yet.
    #[error("version {version} does not exist yet, the newest is {latest}; ask again later")]
    Future {
        /// The version asked for.
        version: u64,
        /// The newest version.
        latest: u64,
    },

    /// A stored row does not decode, or a row that must exist is missing.
    #[error(
        "the state is corrupt at {key}: {reason}; restore it from a backup or synchronise again"
    )]
    Corrupt {
        /// The key, readable.
        key: String,
        /// Why it is corrupt.
        reason: String,
    },

    /// A write to an invalid key; a bug of the caller.
    #[error(
        "{key} is not a key of the state: keys are 1 to {max} printable ASCII characters without \
         blanks",
        max = MAX_KEY_LEN
    )]
    InvalidKey {
        /// The key, readable.
        key: String,
    },

    /// A write of an empty value, which ICS-23 cannot prove; a bug of the caller.
    #[error("the value for {key} is empty: write at least one byte, or delete the key")]
    EmptyValue {
        /// The key, readable.
        key: String,
    },

    /// A layer that is not open was committed or rolled back, or a layer was left open; a bug of the
    /// caller.
    #[error("unbalanced layers of changes: {0}")]
    Layer(&'static str),

    /// The block is not the one after the newest version.
    #[error("block {height} cannot follow version {latest}: versions are consecutive heights")]
    Height {
        /// The height asked for.
        height: u64,
        /// The newest version.
        latest: u64,
    },

    /// Another block was committed after this one was staged.
    #[error("block {height} was staged on version {base}, but the newest version is {latest}")]
    Superseded {
        /// The height of the staged block.
        height: u64,
        /// The version that it was staged on.
        base: u64,
        /// The newest version.
        latest: u64,
    },

    /// The rows of a committed block could not be written.
    #[error(
        "block {height} is committed, but its rows could not be written: {reason}; check the disk, \
         then restart the node, which writes them then"
    )]
    NotWritten {
        /// The height of the block.
        height: u64,
        /// Why the rows could not be written.
        reason: String,
    },

    /// The key has no proof.
    #[error("no proof for {key}: {reason}")]
    NoProof {
        /// The key, readable.
        key: String,
        /// Why not.
        reason: &'static str,
    },

    /// A state on a read set was asked for a key that is not in it.
    #[error("the value of {} is not in the read set", key.escape_ascii())]
    NotInReadSet {
        /// The key, unescaped.
        key: Vec<u8>,
    },

    /// A state on a read set was asked for something that only a store has; a bug of the caller.
    #[error("a state on a read set has no {0}")]
    NoStore(&'static str),

    /// The Merkle tree refused an operation.
    #[error("the state tree failed: {0}; this is a bug or a damaged database")]
    Tree(String),
}

impl StoreError {
    /// Names the key of a value that does not decode.
    pub(crate) fn corrupt(key: &[u8], reason: impl ToString) -> Self {
        Self::Corrupt {
            key: readable(key),
            reason: reason.to_string(),
        }
    }

    /// Whether only this reader's version is unavailable, and the store works.
    pub fn is_unavailable_version(&self) -> bool {
        matches!(self, Self::Pruned { .. } | Self::Future { .. })
    }
}

/// A key as error messages show it.
pub(crate) fn readable(key: &[u8]) -> String {
    format!("\"{}\"", key.escape_ascii())
}
