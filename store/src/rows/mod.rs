//! The rows of the database: column families, keys and stored forms, reading and pruning.
//!
//! | column family | key | value |
//! | --- | --- | --- |
//! | `tree` | version ‖ number of nibbles ‖ nibbles | node of the tree (Borsh) |
//! | `current` | key | version ‖ bytes: the newest value and the version that wrote it |
//! | `values`, `payloads` | key ‖ 0x00 ‖ (u64::MAX − version) | 0x01 ‖ bytes, or 0x00: deleted |
//! | `preimages` | SHA-256 of a key | key |
//! | `stale` | version ‖ kind ‖ row | length ‖ row, …: these rows are obsolete since the version |
//! | `meta` | `format` | format of the database |
//! | `meta` | `head` | height, initial height, oldest version, hash: the version whose rows are written |
//! | `meta` | `redo` | height, hash, writes (Borsh): the version that was committed last |
//!
//! Integers are big-endian. Rows are versioned, so a reader of version V sees an immutable state
//! without locks while the next version is written.

pub(crate) mod current;
pub(crate) mod db;
pub(crate) mod history;
pub(crate) mod key;
mod meta;
pub(crate) mod prune;

pub use meta::Head;

pub(crate) use db::Database;
pub(crate) use key::KeyRange;

use crate::error::Result;

/// A key and its value.
pub type Entry = (Vec<u8>, Vec<u8>);

/// Entries in the order of their keys.
pub(crate) type Entries<'a> = Box<dyn Iterator<Item = Result<Entry>> + 'a>;
