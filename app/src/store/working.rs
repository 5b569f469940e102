//! What an execution has written, and what it has read below that.

use std::collections::BTreeMap;

use indexmap::IndexMap;
use rayon::prelude::*;

use super::changes::{Changes, Replaced, Writes, Written};
use super::current::Row;
use super::error::Result;
use super::key::Span;

/// Values that are only read are kept as long as they have fewer bytes than this together.
const READ_BYTES: usize = 32 << 20;

/// The newest values that an execution knows, below its open layers.
///
/// A block of thousands of transactions reads every key many times, and nearly never asks for an
/// order: so a value is found by its key's hash, and the keys are sorted when somebody does ask.
#[derive(Debug, Default)]
pub(super) struct Working {
    rows: IndexMap<Vec<u8>, Known>,
    /// Places in `rows` of written keys, by key.
    sorted: BTreeMap<Vec<u8>, usize>,
    /// Places of written keys that are not sorted yet.
    unsorted: Vec<usize>,
    /// Of values that were only read when they came in.
    read_bytes: usize,
    payloads: Writes,
}

/// What is known of a key: at least one of both.
#[derive(Debug, Default)]
struct Known {
    /// What is below; the inner `None`: nothing.
    below: Option<Option<Row>>,
    /// What was written; the inner `None`: it was deleted.
    written: Option<Option<Vec<u8>>>,
}

impl Known {
    fn value(&self) -> Option<&[u8]> {
        match (&self.written, &self.below) {
            (Some(value), _) => value.as_deref(),
            (None, below) => below.as_ref()?.as_ref().map(|row| &*row.bytes),
        }
    }
}

impl Working {
    /// Begins with what was written before.
    pub fn new(changes: Changes) -> Self {
        let mut working = Self::default();
        working.merge(changes);
        working
    }

    /// Looks at the value of a key; `load` reads what is below if that is not known.
    pub fn read<T>(
        &mut self,
        key: &[u8],
        load: impl FnOnce() -> Result<Option<Row>>,
        look: impl FnOnce(Option<&[u8]>) -> T,
    ) -> Result<T> {
        if let Some(known) = self.rows.get(key) {
            return Ok(look(known.value()));
        }
        let row = load()?;
        let seen = look(row.as_ref().map(|row| &*row.bytes));
        if self.read_bytes < READ_BYTES {
            self.read_bytes += key.len() + row.as_ref().map_or(0, |row| row.bytes.len());
            let below = Some(row);
            let written = None;
            self.rows.insert(key.to_vec(), Known { below, written });
        }
        Ok(seen)
    }

    /// The payload of a key, if it was written.
    pub fn payload(&self, key: &[u8]) -> Option<Option<Vec<u8>>> {
        self.payloads.get(key).cloned()
    }

    /// Puts later changes on top. The cost is that of `later` alone.
    pub fn merge(&mut self, later: Changes) {
        for (key, value) in later.values {
            self.write(key, value);
        }
        self.payloads.extend(later.payloads);
    }

    /// Sets the value of a key; `None`: deleted.
    pub fn write(&mut self, key: Vec<u8>, value: Option<Vec<u8>>) {
        let entry = self.rows.entry(key);
        let place = entry.index();
        let known = entry.or_default();
        if known.written.replace(value).is_none() {
            self.unsorted.push(place);
        }
    }

    /// Sets the payload of a key; `None`: deleted.
    pub fn write_payload(&mut self, key: Vec<u8>, payload: Option<Vec<u8>>) {
        self.payloads.insert(key, payload);
    }

    /// What was written of a span, in key order.
    pub fn written(&mut self, span: &Span) -> Written<'_> {
        self.sort();
        let Self { rows, sorted, .. } = self;
        let places = sorted.range::<[u8], _>(span.bounds());
        Box::new(places.filter_map(|(_, place)| {
            let (key, known) = rows.get_index(*place)?;
            Some((key, known.written.as_ref()?))
        }))
    }

    /// Sorts what was written since the last time.
    fn sort(&mut self) {
        // They come into the map faster if it is built anew.
        let are_many = self.unsorted.len() > self.sorted.len();
        let new = self.unsorted.drain(..).filter_map(|place| {
            let (key, _) = self.rows.get_index(place)?;
            Some((key.clone(), place))
        });
        if are_many {
            let mut new: Vec<_> = new.collect();
            new.par_sort_unstable();
            self.sorted.append(&mut new.into_iter().collect());
        } else {
            self.sorted.extend(new);
        }
    }

    /// All that was written, on top of the version `base`.
    pub fn into_changes(mut self, base: u64) -> Changes {
        self.sort();
        let mut known: Vec<_> = self.rows.into_values().collect();
        let writes = self.sorted.into_iter().filter_map(|(key, place)| {
            let Known { written, below } = std::mem::take(known.get_mut(place)?);
            Some(((key, written?), below))
        });
        let (values, rows) = writes.unzip();
        Changes {
            values,
            payloads: self.payloads,
            replaced: Some(Replaced {
                version: base,
                rows,
            }),
        }
    }
}
