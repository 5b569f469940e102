//! The RocksDB database: its column families, its options, and opening it.

use std::path::Path;

use rocksdb::{
    BlockBasedOptions, Cache, ColumnFamily, ColumnFamilyDescriptor, DB, DBCompressionType,
    ErrorKind, LogLevel, Options, SliceTransform, WriteBatch, WriteOptions,
};

use super::key;
use super::meta::FORMAT;
use crate::error::{Result, StoreError};
use crate::limits;

/// Nodes of the Merkle tree.
pub(crate) const TREE: &str = "tree";
/// The newest version of every value.
pub(crate) const CURRENT: &str = "current";
/// Every version of every value.
pub(crate) const VALUES: &str = "values";
/// SHA-256 of a key → the key.
pub(crate) const PREIMAGES: &str = "preimages";
/// Every version of every payload.
pub(crate) const PAYLOADS: &str = "payloads";
/// Rows that became obsolete, by version.
pub(crate) const STALE: &str = "stale";
/// Format, head and redo record.
pub(crate) const META: &str = "meta";

const FAMILIES: [&str; 7] = [TREE, CURRENT, VALUES, PREIMAGES, PAYLOADS, STALE, META];

/// An open database of this format.
pub(crate) struct Database {
    rocks: DB,
}

impl Database {
    pub(crate) fn open(path: &Path) -> Result<Self> {
        std::fs::create_dir_all(path).map_err(|error| StoreError::Open {
            path: path.into(),
            reason: error.to_string(),
        })?;
        let options = database_options();
        check_families(path, &options)?;
        let cache = Cache::new_lru_cache(limits::BLOCK_CACHE_BYTES);
        let families =
            FAMILIES.map(|name| ColumnFamilyDescriptor::new(name, family_options(name, &cache)));
        let rocks = DB::open_cf_descriptors(&options, path, families)
            .map_err(|error| open_error(path, &error))?;
        let database = Self { rocks };
        database.flush_scanned_deletions()?;
        database.check_format(path)?;
        Ok(database)
    }

    /// Flushes a write buffer in which a scan has stepped over many deleted keys.
    fn flush_scanned_deletions(&self) -> Result<()> {
        let trigger = [("memtable_op_scan_flush_trigger", limits::SCANNED_DELETIONS)];
        Ok(self.rocks.set_options_cf(self.family(CURRENT)?, &trigger)?)
    }

    pub(crate) fn get(&self, family: &str, key: &[u8]) -> Result<Option<Vec<u8>>> {
        Ok(self.rocks.get_cf(self.family(family)?, key)?)
    }

    pub(crate) fn rocks(&self) -> &DB {
        &self.rocks
    }

    pub(crate) fn family(&self, name: &str) -> Result<&ColumnFamily> {
        // It cannot fail: `open` opened every family.
        self.rocks
            .cf_handle(name)
            .ok_or_else(|| StoreError::corrupt(name.as_bytes(), "no such column family"))
    }

    /// Writes all or nothing, durably.
    pub(crate) fn write(&self, batch: WriteBatch) -> Result<()> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        // Most rows of a family are written in key order.
        options.set_memtable_insert_hint_per_batch(true);
        Ok(self.rocks.write_opt(batch, &options)?)
    }
}

/// An unknown column family means another format, whatever else the database contains.
fn check_families(path: &Path, options: &Options) -> Result<()> {
    if !path.join("CURRENT").exists() {
        return Ok(());
    }
    let found = DB::list_cf(options, path).map_err(|error| open_error(path, &error))?;
    match found
        .iter()
        .find(|name| *name != "default" && !FAMILIES.contains(&name.as_str()))
    {
        Some(name) => Err(StoreError::Format {
            path: path.into(),
            found: format!("with column family \"{name}\""),
            expected: FORMAT,
        }),
        None => Ok(()),
    }
}

fn open_error(path: &Path, error: &rocksdb::Error) -> StoreError {
    let (path, reason) = (path.to_path_buf(), error.to_string());
    match error.kind() {
        // RocksDB has no error kind for a held lock.
        ErrorKind::IOError
            if reason.contains("While lock file") || reason.contains("lock hold by") =>
        {
            StoreError::Locked { path }
        }
        // A file that the manifest names is missing, or has another size.
        ErrorKind::IOError if reason.contains("No such file") => {
            StoreError::Damaged { path, reason }
        }
        ErrorKind::Corruption | ErrorKind::InvalidArgument | ErrorKind::NotFound => {
            StoreError::Damaged { path, reason }
        }
        _ => StoreError::Open { path, reason },
    }
}

fn database_options() -> Options {
    let mut options = Options::default();
    options.create_if_missing(true);
    options.create_missing_column_families(true);
    options.set_max_background_jobs(limits::BACKGROUND_JOBS);
    options.set_max_open_files(limits::OPEN_FILES);
    options.set_max_total_wal_size(limits::WAL_BYTES);
    options.set_db_write_buffer_size(limits::WRITE_BUFFERS_TOTAL_BYTES);
    options.set_keep_log_file_num(limits::INFO_LOG_FILES);
    options.set_max_log_file_size(limits::INFO_LOG_BYTES);
    options.set_log_level(LogLevel::Warn);
    options
}

fn family_options(name: &str, cache: &Cache) -> Options {
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_cache_index_and_filter_blocks(true);
    table.set_pin_l0_filter_and_index_blocks_in_cache(true);
    table.set_format_version(5);
    table.set_bloom_filter(limits::FILTER_BITS_PER_KEY, false);
    let mut options = Options::default();
    options.set_compression_type(DBCompressionType::Lz4);
    options.set_write_buffer_size(limits::WRITE_BUFFER_BYTES);
    match name {
        VALUES | PAYLOADS => {
            // A look-up seeks the newest version of a key; with filters over the key alone it
            // opens only the files that may hold it.
            table.set_whole_key_filtering(false);
            options.set_prefix_extractor(SliceTransform::create("key", key::unversioned, None));
            options.set_memtable_prefix_bloom_ratio(0.1);
        }
        // Queues are read and deleted from the front, so deleted rows must be removed soon.
        CURRENT | STALE => {
            options.add_compact_on_deletion_collector_factory(
                limits::COMPACTION_WINDOW,
                limits::COMPACTED_DELETIONS,
                limits::COMPACTED_DELETION_RATIO,
            );
        }
        _ => {}
    }
    options.set_block_based_table_factory(&table);
    options
}
