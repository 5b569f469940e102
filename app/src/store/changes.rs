use std::collections::BTreeMap;

use super::current::Row;
use super::key::Span;

/// A key and its new content; `None`: deleted.
pub(super) type Write = (Vec<u8>, Option<Vec<u8>>);

/// The new contents of keys.
pub(super) type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// Writes in the order of their keys.
pub(super) type Written<'a> = Box<dyn Iterator<Item = (&'a Vec<u8>, &'a Option<Vec<u8>>)> + 'a>;

/// The net writes of a [`State`](super::State): what [`Store::prepare`](super::Store::prepare)
/// makes the next version of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Authenticated values.
    pub(super) values: Writes,
    /// Payloads, which are not in the tree.
    pub(super) payloads: Writes,
    /// What the values replace, if an execution knows.
    pub(super) replaced: Option<Replaced>,
}

/// What values replace in a version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Replaced {
    pub version: u64,
    /// In the order of the keys, as far as they were read; the inner `None`: nothing was there.
    pub rows: Vec<Option<Option<Row>>>,
}

impl Changes {
    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty() && self.payloads.is_empty()
    }

    /// The number of keys written.
    pub(super) fn len(&self) -> usize {
        self.values.len() + self.payloads.len()
    }

    /// What was written of a span, in key order.
    pub(super) fn written(&self, span: &Span) -> Written<'_> {
        Box::new(self.values.range::<[u8], _>(span.bounds()))
    }

    /// Puts later changes on top. The cost is that of `later` alone.
    pub(super) fn merge(&mut self, later: Self) {
        self.values.extend(later.values);
        self.payloads.extend(later.payloads);
    }
}
