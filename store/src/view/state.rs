use super::merge::MergeIter;
use super::read_set::ReadSet;
use super::snapshot::Snapshot;
use crate::commit::WriteSet;
use crate::error::{Result, StoreError, readable};
use crate::rows::{Entry, KeyRange, key};

/// The value of a key that only marks its presence; see [`State::mark`].
const MARK: &[u8] = &[1];

/// The state as execution sees it: a version with uncommitted writes on top.
///
/// The writes form a stack of layers. [`nested`](Self::nested) runs a step on a new layer, and
/// merges the layer into the one below if the step succeeds, or drops it without a trace if it
/// fails. Layers can be nested to any depth.
///
/// Keys are 1 to 512 bytes of printable ASCII without blanks; values are never empty. Invalid keys
/// have no value, so reading needs no checks; writing them is an error.
#[derive(Debug)]
pub struct State {
    base: Base,
    /// The writes below all open layers.
    writes: WriteSet,
    /// The open layers, innermost last.
    layers: Vec<WriteSet>,
}

/// The version below the writes.
#[derive(Clone, Debug)]
enum Base {
    Snapshot(Snapshot),
    ReadSet(ReadSet),
}

impl Base {
    /// The snapshot, for reads that need a store.
    fn snapshot(&self, what: &'static str) -> Result<&Snapshot> {
        match self {
            Self::Snapshot(snapshot) => Ok(snapshot),
            Self::ReadSet(_) => Err(StoreError::NoStore(what)),
        }
    }
}

impl State {
    /// The state of a version, with nothing written yet.
    pub fn new(base: Snapshot) -> Self {
        Self::with_writes(base, WriteSet::default())
    }

    /// The state of a version with earlier uncommitted writes on top, such as those of genesis.
    /// They are part of [`into_writes`](Self::into_writes).
    pub fn with_writes(base: Snapshot, writes: WriteSet) -> Self {
        Self::on(Base::Snapshot(base), writes)
    }

    /// A state with only the values of a read set. It has no lists and no payloads.
    pub fn of(read_set: ReadSet) -> Self {
        Self::on(Base::ReadSet(read_set), WriteSet::default())
    }

    fn on(base: Base, writes: WriteSet) -> Self {
        Self {
            base,
            writes,
            layers: Vec::new(),
        }
    }

    /// Returns a factory of states of the version below the writes, for parallel readers.
    pub fn readers(&self) -> impl Fn() -> Self + Send + Sync + use<> {
        let base = self.base.clone();
        move || Self::on(base.clone(), WriteSet::default())
    }

    /// The version below the writes.
    pub fn version(&self) -> u64 {
        match &self.base {
            Base::Snapshot(snapshot) => snapshot.version(),
            Base::ReadSet(read_set) => read_set.version(),
        }
    }

    /// The value of `key`.
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        self.read(key.as_ref(), |value| value.map(<[u8]>::to_vec))
    }

    /// Whether `key` has a value.
    pub fn contains(&self, key: impl AsRef<[u8]>) -> Result<bool> {
        self.read(key.as_ref(), |value| value.is_some())
    }

    /// Up to `limit` values whose keys begin with `prefix` and sort after `start_after`, in the
    /// order of their keys, uncommitted writes included.
    pub fn scan(
        &self,
        prefix: impl AsRef<[u8]>,
        start_after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let Some(range) = KeyRange::new(prefix.as_ref(), start_after) else {
            return Ok(Vec::new());
        };
        let base = self.base.snapshot("lists")?;
        let pending = base.pending();
        let layers = self.write_sets().chain(pending.as_deref());
        let layers = layers.map(|writes| writes.range(&range));
        let entries = MergeIter::new(layers, base.values(&range)?).take(limit);
        base.checked(entries.collect())
    }

    /// Sets the value of `key`.
    ///
    /// # Errors
    /// [`StoreError::InvalidKey`], [`StoreError::EmptyValue`].
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl Into<Vec<u8>>) -> Result<()> {
        let (key, value) = (checked_key(key.as_ref())?, value.into());
        if value.is_empty() {
            return Err(StoreError::EmptyValue {
                key: readable(&key),
            });
        }
        self.top().values.insert(key, Some(value));
        Ok(())
    }

    /// Sets `key` to a value that only marks its presence, for indexes.
    pub fn mark(&mut self, key: impl AsRef<[u8]>) -> Result<()> {
        self.put(key, MARK)
    }

    /// Removes the value of `key`, if it has one.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<()> {
        let key = checked_key(key.as_ref())?;
        self.top().values.insert(key, None);
        Ok(())
    }

    /// The payload of `key`: bytes that are versioned with the state, but are not in the tree.
    pub fn payload(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let key = key.as_ref();
        match self.write_sets().find_map(|set| set.payloads.get(key)) {
            Some(payload) => Ok(payload.clone()),
            None => self.base.snapshot("payloads")?.payload(key),
        }
    }

    /// Sets the payload of `key`, which may be empty.
    pub fn put_payload(&mut self, key: impl AsRef<[u8]>, bytes: impl Into<Vec<u8>>) -> Result<()> {
        let key = checked_key(key.as_ref())?;
        self.top().payloads.insert(key, Some(bytes.into()));
        Ok(())
    }

    /// Removes the payload of `key`, if it has one.
    pub fn delete_payload(&mut self, key: impl AsRef<[u8]>) -> Result<()> {
        let key = checked_key(key.as_ref())?;
        self.top().payloads.insert(key, None);
        Ok(())
    }

    /// Runs a step on its own layer: its writes are kept if it succeeds and leave no trace if it
    /// fails. Layers that the step leaves open are kept or dropped with it.
    pub fn nested<T, E>(
        &mut self,
        step: impl FnOnce(&mut Self) -> std::result::Result<T, E>,
    ) -> std::result::Result<T, E> {
        let depth = self.layers.len();
        self.begin();
        let outcome = step(self);
        while self.layers.len() > depth {
            match &outcome {
                Ok(_) => self.merge_top(),
                Err(_) => self.layers.truncate(depth),
            }
        }
        outcome
    }

    /// Opens a layer. Prefer [`nested`](Self::nested), which cannot be unbalanced.
    pub fn begin(&mut self) {
        self.layers.push(WriteSet::default());
    }

    /// Merges the innermost layer into the one below.
    pub fn commit(&mut self) -> Result<()> {
        self.require_layer("nothing to commit")?;
        self.merge_top();
        Ok(())
    }

    /// Drops the innermost layer.
    pub fn rollback(&mut self) -> Result<()> {
        self.require_layer("nothing to roll back")?;
        self.layers.pop();
        Ok(())
    }

    /// Ends the execution and returns all its writes.
    ///
    /// # Errors
    /// [`StoreError::Layer`] if a layer is still open.
    pub fn into_writes(self) -> Result<WriteSet> {
        if self.layers.is_empty() {
            Ok(self.writes)
        } else {
            Err(StoreError::Layer("a layer is still open at the end"))
        }
    }

    /// Reads the value of `key` without copying it.
    pub(super) fn read<T>(&self, key: &[u8], look: impl FnOnce(Option<&[u8]>) -> T) -> Result<T> {
        if let Some(value) = self.write_sets().find_map(|set| set.values.get(key)) {
            return Ok(look(value.as_deref()));
        }
        match &self.base {
            Base::Snapshot(snapshot) => {
                let row = snapshot.row(key)?;
                Ok(look(row.as_ref().map(|row| &*row.bytes)))
            }
            Base::ReadSet(read_set) => Ok(look(read_set.get(key)?)),
        }
    }

    /// The layers and the writes below them, newest first.
    fn write_sets(&self) -> impl Iterator<Item = &WriteSet> {
        self.layers
            .iter()
            .rev()
            .chain(std::iter::once(&self.writes))
    }

    fn top(&mut self) -> &mut WriteSet {
        self.layers.last_mut().unwrap_or(&mut self.writes)
    }

    fn merge_top(&mut self) {
        if let Some(writes) = self.layers.pop() {
            self.top().merge(writes);
        }
    }

    fn require_layer(&self, problem: &'static str) -> Result<()> {
        if self.layers.is_empty() {
            Err(StoreError::Layer(problem))
        } else {
            Ok(())
        }
    }
}

fn checked_key(key: &[u8]) -> Result<Vec<u8>> {
    key::check(key)?;
    Ok(key.to_vec())
}
