//! Every size that the store is bounded by: what a key may be, and how much memory, disk and work
//! its parts take. None of them but [`MAX_KEY_LEN`] changes a result.

/// Longest key, in bytes.
pub(crate) const MAX_KEY_LEN: usize = 512;

// Memory. Several nodes share a small machine; a small chain never fills the caches.

/// Depth of the inner nodes that are in memory: 16^0 + … + 16^4, so at most 70,000 of 1.5 KB.
pub(crate) const TREE_TOP_DEPTH: usize = 4;
/// Newest rows that were written or read lately: more than a chain of a million accounts has.
pub(crate) const ROW_CACHE_BYTES: u64 = 512 << 20;
/// Rows that the row cache has room for, of about 256 bytes.
pub(crate) const ROW_CACHE_ROWS: usize = 2 << 20;
/// About the memory of a cached row beside its bytes.
pub(crate) const ROW_CACHE_OVERHEAD: usize = 96;
/// Blocks of RocksDB's tables, uncompressed.
pub(crate) const BLOCK_CACHE_BYTES: usize = 256 << 20;
/// Unflushed rows of one column family.
pub(crate) const WRITE_BUFFER_BYTES: usize = 16 << 20;
/// Unflushed rows of all column families.
pub(crate) const WRITE_BUFFERS_TOTAL_BYTES: usize = 64 << 20;
/// Memory that a batch reserves for each changed key: about its rows, and the nodes on its path.
pub(crate) const BATCH_BYTES_PER_KEY: usize = 2 << 10;
/// Memory that a batch reserves at most.
pub(crate) const BATCH_RESERVED_BYTES: usize = 64 << 20;

// RocksDB.

/// Write-ahead log, after which column families are flushed.
pub(crate) const WAL_BYTES: u64 = 64 << 20;
/// RocksDB's own log of events, per file.
pub(crate) const INFO_LOG_BYTES: usize = 1 << 20;
pub(crate) const INFO_LOG_FILES: usize = 2;
pub(crate) const OPEN_FILES: i32 = 512;
pub(crate) const BACKGROUND_JOBS: i32 = 2;
pub(crate) const FILTER_BITS_PER_KEY: f64 = 10.0;
/// Deleted keys that a scan steps over in a write buffer before it is flushed.
pub(crate) const SCANNED_DELETIONS: &str = "4096";
/// A table is compacted if it has so many deletions among so many rows in a row.
pub(crate) const COMPACTED_DELETIONS: usize = 2048;
pub(crate) const COMPACTION_WINDOW: usize = 4096;
/// A table is compacted if so large a part of its rows are deletions.
pub(crate) const COMPACTED_DELETION_RATIO: f64 = 0.5;

// Work.

/// Obsolete versions of a key that a scan steps over before it seeks the next key.
pub(crate) const STEPS_BEFORE_SEEK: usize = 4;
/// Obsolete rows that a block removes: per changed key, and in any case. A changed key adds its row
/// and the nodes on its path, so this is more than a block adds, and any backlog shrinks.
pub(crate) const PRUNED_PER_KEY: usize = 16;
pub(crate) const PRUNED_PER_BLOCK: usize = 1024;
/// Obsolete rows in one stale entry: so few that a portion is hardly exceeded.
pub(crate) const ROWS_PER_STALE_ENTRY: usize = 64;
