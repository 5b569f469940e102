use crate::commit::write_set::Writes;
use crate::error::{Result, StoreError};
use crate::rows::key;

/// Values of one version that were read elsewhere, for example with proofs from another node: the
/// base of a [`State`](crate::State) in a program without a store.
///
/// Reading any other key fails with [`StoreError::NotInReadSet`], which names the key, so that the
/// reader can fetch it and start again.
#[derive(Clone, Debug)]
pub struct ReadSet {
    version: u64,
    values: Writes,
}

impl ReadSet {
    /// An empty read set of a version.
    pub fn new(version: u64) -> Self {
        Self {
            version,
            values: Writes::new(),
        }
    }

    /// Adds the value of a key; `None`: the key is not in the state.
    pub fn insert(&mut self, key: impl Into<Vec<u8>>, value: Option<Vec<u8>>) {
        self.values.insert(key.into(), value);
    }

    /// The number of keys, with or without a value.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is no key.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(crate) fn version(&self) -> u64 {
        self.version
    }

    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<&[u8]>> {
        if !key::is_valid(key) {
            return Ok(None);
        }
        self.values
            .get(key)
            .map(Option::as_deref)
            .ok_or_else(|| StoreError::NotInReadSet { key: key.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::State;

    #[test]
    fn missing_keys_are_named() {
        let mut read_set = ReadSet::new(7);
        read_set.insert("a", Some(vec![1]));
        read_set.insert("b", None);
        let mut state = State::of(read_set);
        assert_eq!(state.version(), 7);
        assert_eq!(state.get("a").unwrap(), Some(vec![1]));
        assert_eq!(state.get("b").unwrap(), None);
        assert_eq!(state.get("no key").unwrap(), None);
        assert!(matches!(
            state.get("c").unwrap_err(),
            StoreError::NotInReadSet { key } if key == b"c"
        ));
        state.put("c", [2]).unwrap();
        assert_eq!(state.get("c").unwrap(), Some(vec![2]));
        for listed in [
            state.scan("a", None, 1).map(drop),
            state.payload("a").map(drop),
        ] {
            assert!(matches!(listed.unwrap_err(), StoreError::NoStore(_)));
        }
    }
}
