//! The writes of a block, and their durable form.

use std::collections::BTreeMap;

use crate::error::{Result, StoreError};
use crate::rows::{Head, KeyRange};

/// A key and its new value; `None`: deleted.
pub(crate) type Write = (Vec<u8>, Option<Vec<u8>>);

/// The new values of keys.
pub(crate) type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Writes in the order of their keys.
pub(crate) type WriteIter<'a> = std::collections::btree_map::Range<'a, Vec<u8>, Option<Vec<u8>>>;

/// The net writes of a [`State`](crate::State), from which [`Store::stage`](crate::Store::stage)
/// computes the next version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct WriteSet {
    /// Authenticated values.
    pub(crate) values: Writes,
    /// Payloads, which are not in the tree.
    pub(crate) payloads: Writes,
}

impl WriteSet {
    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.payloads.is_empty()
    }

    /// The number of keys written.
    pub(crate) fn len(&self) -> usize {
        self.values.len() + self.payloads.len()
    }

    /// The writes of values in a range, in key order.
    pub(crate) fn range(&self, range: &KeyRange) -> WriteIter<'_> {
        self.values.range::<[u8], _>(range.bounds())
    }

    /// Puts later writes on top. The cost is that of `later` alone.
    pub(crate) fn merge(&mut self, later: Self) {
        self.values.extend(later.values);
        self.payloads.extend(later.payloads);
    }
}

/// The durable form of a committed version until its rows are written.
///
/// A commit writes only this record, so its time depends on the number of writes, not on the size
/// of the state. If the process ends before the rows are written, they are recomputed from the
/// record when the database is opened.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RedoRecord {
    pub height: u64,
    pub app_hash: [u8; 32],
    pub writes: WriteSet,
}

impl RedoRecord {
    /// The stored form (Borsh).
    pub(crate) fn encode(head: &Head, writes: &WriteSet) -> Result<Vec<u8>> {
        let WriteSet { values, payloads } = writes;
        borsh::to_vec(&(head.height, head.app_hash, values, payloads))
            .map_err(|error| StoreError::corrupt(b"redo", error))
    }

    pub(crate) fn decode(bytes: &[u8]) -> Result<Self> {
        let (height, app_hash, values, payloads) =
            borsh::from_slice(bytes).map_err(|error| StoreError::corrupt(b"redo", error))?;
        Ok(Self {
            height,
            app_hash,
            writes: WriteSet { values, payloads },
        })
    }
}
