//! Rows of the newest version in memory.

use quick_cache::Weighter;
use quick_cache::sync::Cache;

use crate::error::Result;
use crate::limits::{ROW_CACHE_BYTES, ROW_CACHE_OVERHEAD, ROW_CACHE_ROWS};
use crate::rows::current::CurrentRow;

/// Rows that were written or read lately, and keys that have none. Readers ask it for the newest
/// version alone, so its contents change no result.
pub(super) struct RowCache(Cache<Vec<u8>, Option<CurrentRow>, Size>);

#[derive(Clone)]
struct Size;

impl Weighter<Vec<u8>, Option<CurrentRow>> for Size {
    fn weight(&self, key: &Vec<u8>, row: &Option<CurrentRow>) -> u64 {
        let bytes = row.as_ref().map_or(0, |row| row.bytes.len());
        (key.len() + bytes + ROW_CACHE_OVERHEAD) as u64
    }
}

impl RowCache {
    pub(super) fn new() -> Self {
        Self(Cache::with_weighter(ROW_CACHE_ROWS, ROW_CACHE_BYTES, Size))
    }

    /// The cached row of a key or the one that `load` reads, which is cached unless a newer one was
    /// inserted meanwhile.
    pub(super) fn get(
        &self,
        key: &[u8],
        load: impl FnOnce() -> Result<Option<CurrentRow>>,
    ) -> Result<Option<CurrentRow>> {
        self.0.get_or_insert_with(key, load)
    }

    pub(super) fn insert(&self, key: Vec<u8>, row: Option<CurrentRow>) {
        self.0.insert(key, row);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(version: u64) -> CurrentRow {
        CurrentRow {
            version,
            bytes: [1].into(),
        }
    }

    /// A reader may load a row while a commit replaces it.
    #[test]
    fn loaded_rows_do_not_replace_newer_ones() {
        for newer in [Some(row(2)), None] {
            let cache = RowCache::new();
            let found = cache.get(b"key", || {
                cache.insert(b"key".to_vec(), newer.clone());
                Ok(Some(row(1)))
            });
            assert_eq!(found.unwrap(), Some(row(1)));
            assert_eq!(cache.get(b"key", || Ok(None)).unwrap(), newer);
        }
    }

    #[test]
    fn rows_are_loaded_once() {
        for found in [Some(row(1)), None] {
            let cache = RowCache::new();
            assert_eq!(cache.get(b"key", || Ok(found.clone())).unwrap(), found);
            let again = cache.get(b"key", || panic!("it is loaded again"));
            assert_eq!(again.unwrap(), found);
        }
    }
}
