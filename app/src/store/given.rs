use super::changes::Writes;
use super::error::{Result, StoreError};
use super::key;

/// Values of one version that were read elsewhere, for example with proofs from another node: a
/// base for a [`State`](super::State) in a program that has no store.
///
/// Reading a key that was not given is [`StoreError::NotGiven`], which names it, so that the
/// reader can fetch it and begin again.
#[derive(Clone, Debug)]
pub struct Given {
    version: u64,
    values: Writes,
}

impl Given {
    /// No values of a version yet.
    pub fn new(version: u64) -> Self {
        Self {
            version,
            values: Writes::new(),
        }
    }

    /// Gives what a key holds; `None`: the key is not in the state.
    pub fn insert(&mut self, key: impl Into<Vec<u8>>, value: Option<Vec<u8>>) {
        self.values.insert(key.into(), value);
    }

    /// Keys that were given, with or without a value.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether nothing was given.
    pub fn is_empty(&self) -> bool {
        self.values.is_empty()
    }

    pub(super) fn version(&self) -> u64 {
        self.version
    }

    pub(super) fn get(&self, key: &[u8]) -> Result<Option<&[u8]>> {
        if !key::is_valid(key) {
            return Ok(None);
        }
        self.values
            .get(key)
            .map(Option::as_deref)
            .ok_or_else(|| StoreError::NotGiven { key: key.to_vec() })
    }
}

#[cfg(test)]
mod tests {
    use super::super::State;
    use super::*;

    #[test]
    fn what_was_not_given_is_named() {
        let mut given = Given::new(7);
        given.insert("a", Some(vec![1]));
        given.insert("b", None);
        let mut state = State::of(given);
        assert_eq!(state.version(), 7);
        assert_eq!(state.get("a").unwrap(), Some(vec![1]));
        assert_eq!(state.get("b").unwrap(), None);
        assert_eq!(state.get("no key").unwrap(), None);
        assert!(matches!(
            state.get("c").unwrap_err(),
            StoreError::NotGiven { key } if key == b"c"
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
