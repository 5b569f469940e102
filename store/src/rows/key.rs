//! Valid keys, and the layout of keys and versions in the database.

use std::ops::Bound;

use sha2::{Digest, Sha256};

use crate::error::{Result, StoreError, readable};
use crate::limits::MAX_KEY_LEN;

/// Separates the key from its version. No key contains it, so the database has the order of the keys.
const END: u8 = 0;
const VERSION_LEN: usize = 8;

/// Whether `key` can be in the store at all: 1 to [`MAX_KEY_LEN`] bytes of `0x21..=0x7e`.
pub(crate) fn is_valid(key: &[u8]) -> bool {
    !key.is_empty() && key.len() <= MAX_KEY_LEN && key.iter().all(u8::is_ascii_graphic)
}

pub(crate) fn check(key: &[u8]) -> Result<()> {
    if is_valid(key) {
        Ok(())
    } else {
        Err(StoreError::InvalidKey { key: readable(key) })
    }
}

/// The digest of a key, under which the tree stores it. It makes the shape of the tree independent
/// of who chooses the keys.
pub(crate) fn digest(key: &[u8]) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// `key ‖ 0x00 ‖ (u64::MAX − version)`, big-endian: the versions of a key are adjacent, the newest
/// first, so a seek finds the newest one up to a version.
pub(crate) fn versioned(key: &[u8], version: u64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len() + 1 + VERSION_LEN);
    bytes.extend_from_slice(key);
    bytes.push(END);
    bytes.extend_from_slice(&(u64::MAX - version).to_be_bytes());
    bytes
}

/// The key and the version of a [`versioned`] key.
pub(crate) fn split_versioned(bytes: &[u8]) -> Option<(&[u8], u64)> {
    let (rest, inverted) = bytes.split_last_chunk::<VERSION_LEN>()?;
    let (end, key) = rest.split_last()?;
    (*end == END).then(|| (key, u64::MAX - u64::from_be_bytes(*inverted)))
}

/// The part of a [`versioned`] key that all versions share; RocksDB's filters are built over it.
pub(crate) fn unversioned(bytes: &[u8]) -> &[u8] {
    &bytes[..bytes.len().saturating_sub(VERSION_LEN)]
}

/// Sorts after every version of `key` and before every longer key.
pub(crate) fn after(key: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(key.len() + 1);
    bytes.extend_from_slice(key);
    bytes.push(END + 1);
    bytes
}

/// A contiguous range of keys.
#[derive(Clone, Debug)]
pub(crate) struct KeyRange {
    /// Inclusive.
    pub start: Vec<u8>,
    /// Exclusive.
    pub end: Vec<u8>,
}

impl KeyRange {
    /// The keys that begin with `prefix` and sort after `start_after`; `None` if no key can.
    pub(crate) fn new(prefix: &[u8], start_after: Option<&[u8]>) -> Option<Self> {
        if !prefix.iter().all(u8::is_ascii_graphic) {
            return None;
        }
        let mut end = prefix.to_vec();
        match end.last_mut() {
            Some(last) => *last += 1,
            None => end.push(0x7f),
        }
        // A client may send any bytes as its page key. Cut at a NUL they have the same keys after
        // them and cannot point between the versions of a key.
        let start = match start_after.and_then(|key| key.split(|byte| *byte == END).next()) {
            Some(key) if key >= prefix => after(key),
            _ => prefix.to_vec(),
        };
        (start < end).then_some(Self { start, end })
    }

    /// The bounds of the range in an ordered map.
    pub(crate) fn bounds(&self) -> (Bound<&[u8]>, Bound<&[u8]>) {
        (Bound::Included(&self.start), Bound::Excluded(&self.end))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_sort_newest_first_within_their_key() {
        let mut rows = [
            versioned(b"a", 1),
            versioned(b"a/b", 9),
            versioned(b"a", 300),
            versioned(b"a!", 2),
            versioned(b"b", u64::MAX),
        ];
        rows.sort();
        let order: Vec<_> = rows.iter().filter_map(|row| split_versioned(row)).collect();
        assert_eq!(
            order,
            [
                (b"a".as_slice(), 300),
                (b"a", 1),
                (b"a!", 2),
                (b"a/b", 9),
                (b"b", u64::MAX)
            ]
        );
        assert!(rows[1] < after(b"a") && after(b"a") < rows[2]);
    }

    #[test]
    fn layout_is_pinned() {
        assert_eq!(
            versioned(b"k/1", 2),
            b"k/1\0\xff\xff\xff\xff\xff\xff\xff\xfd"
        );
        assert_eq!(unversioned(&versioned(b"k/1", 2)), b"k/1\0");
        assert_eq!(split_versioned(b"short"), None);
    }

    #[test]
    fn only_readable_keys_are_valid() {
        for bad in [
            &b""[..],
            b"a b",
            b"a\0",
            b"\xc3\xbc",
            b"a\n",
            &[b'k'; MAX_KEY_LEN + 1],
        ] {
            assert!(!is_valid(bad), "{bad:?}");
            assert!(check(bad).is_err());
        }
        assert!(is_valid(b"bank/balance/poq1xyz/upoq"));
        assert!(is_valid(&[b'k'; MAX_KEY_LEN]));
    }

    #[test]
    fn ranges_end_after_their_prefix() {
        let range = KeyRange::new(b"a/", None).expect("a range");
        assert_eq!(
            (range.start.as_slice(), range.end.as_slice()),
            (&b"a/"[..], &b"a0"[..])
        );
        assert!(KeyRange::new(b"a/", Some(b"b")).is_none());
        assert!(KeyRange::new(b"a\0", None).is_none());
        let range = KeyRange::new(b"a/", Some(b"a/x\0\xff")).expect("a range");
        assert_eq!(range.start, after(b"a/x"));
        let all = KeyRange::new(b"", None).expect("a range");
        assert!(all.start.is_empty() && all.end == [0x7f]);
    }
}
