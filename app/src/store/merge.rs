use std::collections::btree_map;
use std::iter::Peekable;
use std::ops::Bound;

use super::changes::{Write, Writes};
use super::error::Result;
use super::key::Span;
use super::snapshot::{Entries, Entry};

type Layer<'a> = Peekable<btree_map::Range<'a, Vec<u8>, Option<Vec<u8>>>>;

/// The values of a span as they are with layers of writes on top of a snapshot, in key order.
pub(super) struct Merge<'a> {
    /// Newest first.
    layers: Vec<Layer<'a>>,
    base: Entries<'a>,
    /// The next entry of the base.
    ahead: Option<Entry>,
}

impl<'a> Merge<'a> {
    /// `layers` come newest first.
    pub fn new(span: &Span, layers: impl Iterator<Item = &'a Writes>, base: Entries<'a>) -> Self {
        let range = (
            Bound::Included(span.start.as_slice()),
            Bound::Excluded(span.end.as_slice()),
        );
        let layers = layers
            .map(|layer| layer.range::<[u8], _>(range).peekable())
            .collect();
        Self {
            layers,
            base,
            ahead: None,
        }
    }

    /// Takes the first key of all sources out of every source; the newest one decides its value.
    fn advance(&mut self) -> Result<Option<Write>> {
        if self.ahead.is_none() {
            self.ahead = self.base.next().transpose()?;
        }
        let in_layers = self
            .layers
            .iter_mut()
            .filter_map(|layer| Some(layer.peek()?.0));
        let in_base = self.ahead.as_ref().map(|(key, _)| key);
        let Some(first) = in_layers.chain(in_base).min().cloned() else {
            return Ok(None);
        };

        let mut newest = None;
        for layer in &mut self.layers {
            let write = layer.next_if(|(key, _)| **key == first);
            newest = newest.or(write.map(|(_, value)| value.clone()));
        }
        if let Some((_, value)) = self.ahead.take_if(|(key, _)| *key == first) {
            newest = newest.or(Some(Some(value)));
        }
        Ok(Some((first, newest.flatten())))
    }
}

impl Iterator for Merge<'_> {
    type Item = Result<Entry>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            match self.advance() {
                Ok(None) => return None,
                Ok(Some((key, Some(value)))) => return Some(Ok((key, value))),
                Ok(Some((_, None))) => {}
                Err(error) => return Some(Err(error)),
            }
        }
    }
}
