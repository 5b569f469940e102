use std::collections::BTreeMap;

/// A key and its new content; `None`: deleted.
pub(super) type Write = (Vec<u8>, Option<Vec<u8>>);

/// The new contents of keys.
pub(super) type Writes = BTreeMap<Vec<u8>, Option<Vec<u8>>>;

/// The net writes of a [`State`](super::State): what [`Store::prepare`](super::Store::prepare)
/// makes the next version of.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Authenticated values.
    pub(super) values: Writes,
    /// Payloads, which are not in the tree.
    pub(super) payloads: Writes,
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

    /// Puts later changes on top. The cost is that of `later` alone.
    pub(super) fn merge(&mut self, later: Self) {
        self.values.extend(later.values);
        self.payloads.extend(later.payloads);
    }
}
