use std::iter::Peekable;

use crate::commit::write_set::{Write, WriteIter};
use crate::error::Result;
use crate::rows::{Entries, Entry};

/// The values of a range with layers of writes on top of a version, in key order.
pub(super) struct MergeIter<'a> {
    /// The layers, newest first.
    layers: Vec<Peekable<WriteIter<'a>>>,
    base: Entries<'a>,
    /// The next entry of the base.
    ahead: Option<Entry>,
}

impl<'a> MergeIter<'a> {
    /// Merges `layers`, newest first, on top of `base`.
    pub(super) fn new(layers: impl IntoIterator<Item = WriteIter<'a>>, base: Entries<'a>) -> Self {
        Self {
            layers: layers.into_iter().map(Iterator::peekable).collect(),
            base,
            ahead: None,
        }
    }

    /// Consumes the smallest key from every source that has it; the newest source decides its
    /// value.
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
            let write = layer.next_if(|(key, _)| *key == &first);
            newest = newest.or(write.map(|(_, value)| value.clone()));
        }
        if let Some((_, value)) = self.ahead.take_if(|(key, _)| *key == first) {
            newest = newest.or(Some(Some(value)));
        }
        Ok(Some((first, newest.flatten())))
    }
}

impl Iterator for MergeIter<'_> {
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
