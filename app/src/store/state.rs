use std::cell::RefCell;

use super::changes::Changes;
use super::current::Row;
use super::entry::Entry;
use super::error::{Result, StoreError, readable};
use super::given::Given;
use super::key::{self, Span};
use super::merge::Merge;
use super::snapshot::Snapshot;
use super::working::Working;

/// What stands for "yes" under a key that has no other value; see [`State::mark`].
const MARK: &[u8] = &[1];

/// The state as execution sees it: a snapshot with uncommitted writes on top.
///
/// The writes form a stack of layers. [`nested`](Self::nested) runs a step on a new layer, and
/// merges the layer into the one below if the step succeeds, or drops it without a trace if it
/// fails. Layers can be nested to any depth.
///
/// Keys are 1 to 512 bytes of printable ASCII without blanks; values are never empty. What cannot
/// be a key has no value, so reading needs no checks; writing it is an error.
#[derive(Debug)]
pub struct State {
    base: Base,
    /// Reading adds to it.
    working: RefCell<Working>,
    layers: Vec<Changes>,
}

/// What lies below the writes.
#[derive(Clone, Debug)]
enum Base {
    Snapshot(Snapshot),
    Given(Given),
}

impl Base {
    fn row(&self, key: &[u8]) -> Result<Option<Row>> {
        match self {
            Self::Snapshot(snapshot) => snapshot.row(key),
            Self::Given(given) => Ok(Row::new(given.version(), given.get(key)?)),
        }
    }

    /// The store behind it, for what only a store has.
    fn snapshot(&self, what: &'static str) -> Result<&Snapshot> {
        match self {
            Self::Snapshot(snapshot) => Ok(snapshot),
            Self::Given(_) => Err(StoreError::NoStore(what)),
        }
    }
}

impl State {
    /// The state of a version, with nothing written yet.
    pub fn new(base: Snapshot) -> Self {
        Self::with_changes(base, Changes::default())
    }

    /// The state of a version with earlier writes on top that are not in it, such as those of
    /// genesis. They are part of [`into_changes`](Self::into_changes).
    pub fn with_changes(base: Snapshot, changes: Changes) -> Self {
        Self::on(Base::Snapshot(base), changes)
    }

    /// A state that knows nothing but the given values. It has no lists and no payloads.
    pub fn of(given: Given) -> Self {
        Self::on(Base::Given(given), Changes::default())
    }

    fn on(base: Base, changes: Changes) -> Self {
        Self {
            base,
            working: RefCell::new(Working::new(changes)),
            layers: Vec::new(),
        }
    }

    /// Makes states of the version below the writes, for others to read it at the same time.
    pub fn readers(&self) -> impl Fn() -> Self + Send + Sync + use<> {
        let base = self.base.clone();
        move || Self::on(base.clone(), Changes::default())
    }

    /// The version below the writes.
    pub fn version(&self) -> u64 {
        match &self.base {
            Base::Snapshot(snapshot) => snapshot.version(),
            Base::Given(given) => given.version(),
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

    /// Up to `limit` values whose keys begin with `prefix` and sort behind `start_after`, in the
    /// order of their keys, uncommitted writes included.
    pub fn scan(
        &self,
        prefix: impl AsRef<[u8]>,
        start_after: Option<&[u8]>,
        limit: usize,
    ) -> Result<Vec<Entry>> {
        let Some(span) = Span::new(prefix.as_ref(), start_after) else {
            return Ok(Vec::new());
        };
        let base = self.base.snapshot("lists")?;
        let unwritten = base.unwritten();
        let mut working = self.working.borrow_mut();
        let mut layers: Vec<_> = self
            .open_layers()
            .map(|layer| layer.written(&span))
            .collect();
        layers.push(working.written(&span));
        layers.extend(unwritten.iter().map(|layer| layer.written(&span)));
        let entries = Merge::new(layers, base.values(&span)?).take(limit);
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
        self.write(key, Some(value));
        Ok(())
    }

    /// Sets `key` to a value that says nothing more than that it is there, for indexes.
    pub fn mark(&mut self, key: impl AsRef<[u8]>) -> Result<()> {
        self.put(key, MARK)
    }

    /// Removes the value of `key`, if it has one.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<()> {
        let key = checked_key(key.as_ref())?;
        self.write(key, None);
        Ok(())
    }

    /// The payload of `key`: bytes that follow the state, but are not part of the tree.
    pub fn payload(&self, key: impl AsRef<[u8]>) -> Result<Option<Vec<u8>>> {
        let key = key.as_ref();
        let mut open_layers = self.open_layers();
        let written = open_layers.find_map(|layer| layer.payloads.get(key).cloned());
        match written.or_else(|| self.working.borrow().payload(key)) {
            Some(payload) => Ok(payload),
            None => self.base.snapshot("payloads")?.payload(key),
        }
    }

    /// Sets the payload of `key`, which may be empty.
    pub fn put_payload(&mut self, key: impl AsRef<[u8]>, bytes: impl Into<Vec<u8>>) -> Result<()> {
        let key = checked_key(key.as_ref())?;
        self.write_payload(key, Some(bytes.into()));
        Ok(())
    }

    /// Removes the payload of `key`, if it has one.
    pub fn delete_payload(&mut self, key: impl AsRef<[u8]>) -> Result<()> {
        let key = checked_key(key.as_ref())?;
        self.write_payload(key, None);
        Ok(())
    }

    /// Runs a step on a layer of its own: its writes are kept if it succeeds, and leave no trace
    /// if it fails. Layers that the step leaves open share its fate.
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

    /// Opens a layer. [`nested`](Self::nested) cannot be unbalanced: prefer it.
    pub fn begin(&mut self) {
        self.layers.push(Changes::default());
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

    /// Ends the execution: everything that was written.
    ///
    /// # Errors
    /// [`StoreError::Layer`] if a layer is still open.
    pub fn into_changes(self) -> Result<Changes> {
        if self.layers.is_empty() {
            let base = self.version();
            Ok(self.working.into_inner().into_changes(base))
        } else {
            Err(StoreError::Layer("a layer is still open at the end"))
        }
    }

    /// Looks at the value of `key` without copying it.
    pub(super) fn read<T>(&self, key: &[u8], look: impl FnOnce(Option<&[u8]>) -> T) -> Result<T> {
        if let Some(value) = self.open_layers().find_map(|layer| layer.values.get(key)) {
            return Ok(look(value.as_deref()));
        }
        let load = || self.base.row(key);
        self.working.borrow_mut().read(key, load, look)
    }

    /// Newest first.
    fn open_layers(&self) -> impl Iterator<Item = &Changes> {
        self.layers.iter().rev()
    }

    fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        match self.layers.last_mut() {
            Some(top) => {
                top.values.insert(key, value);
            }
            None => self.working.get_mut().write(key, value),
        }
    }

    fn write_payload(&mut self, key: Vec<u8>, payload: Option<Vec<u8>>) {
        match self.layers.last_mut() {
            Some(top) => {
                top.payloads.insert(key, payload);
            }
            None => self.working.get_mut().write_payload(key, payload),
        }
    }

    fn merge_top(&mut self) {
        if let Some(changes) = self.layers.pop() {
            match self.layers.last_mut() {
                Some(below) => below.merge(changes),
                None => self.working.get_mut().merge(changes),
            }
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
