use poq_proto::v1;
use poq_store::State;
use tendermint_proto::v0_38::abci::{Event, EventAttribute};

use crate::error::Result;

/// The block's context: every message sees it, none can change it.
#[derive(Clone, Debug)]
pub struct BlockContext {
    /// The chain's id.
    pub chain_id: String,
    /// The height of the block.
    pub height: u64,
    /// The parameters at the beginning of the block.
    pub params: v1::Params,
    /// Beacon of this block (protocol section 6).
    pub beacon: [u8; 32],
}

/// The execution of one transaction, or of the beginning or the end of one block.
pub struct Execution<'a> {
    /// The state that the execution reads and changes.
    pub state: &'a mut State,
    /// The context of the block.
    pub block: &'a BlockContext,
    /// How many items of duty messages succeeded and failed, by weight.
    pub items: Items,
    events: Vec<Event>,
}

/// The weights of duty items that succeeded and failed. An item weighs its bytes plus
/// [`Items::BASE_WEIGHT`], in the proportion in which both cost gas.
#[derive(Clone, Copy, Debug, Default)]
pub struct Items {
    /// Weight of the items that succeeded.
    pub done: u64,
    /// Weight of the items that failed.
    pub failed: u64,
}

impl Items {
    /// Weight of an item without its bytes.
    pub const BASE_WEIGHT: u64 = 1_000;

    /// Counts an item of `bytes` bytes.
    pub fn count(&mut self, bytes: usize, succeeded: bool) {
        let weight = Self::BASE_WEIGHT.saturating_add(bytes as u64);
        let sum = match succeeded {
            true => &mut self.done,
            false => &mut self.failed,
        };
        *sum = sum.saturating_add(weight);
    }
}

impl<'a> Execution<'a> {
    /// Starts with no events.
    pub fn new(state: &'a mut State, block: &'a BlockContext) -> Self {
        Self {
            state,
            block,
            items: Items::default(),
            events: Vec::new(),
        }
    }

    /// Records an event. All attributes are indexed.
    pub fn emit(&mut self, kind: &str, attributes: &[(&str, &dyn ToString)]) {
        self.events.push(event(kind, attributes));
    }

    /// The number of events so far.
    pub fn event_count(&self) -> usize {
        self.events.len()
    }

    /// Adds an attribute to every event from index `from` on.
    pub fn mark_events(&mut self, from: usize, key: &str, value: &dyn ToString) {
        for event in self.events.iter_mut().skip(from) {
            event.attributes.push(attribute(key, value));
        }
    }

    /// Runs a part that is kept as a whole or leaves neither writes nor events.
    pub fn attempt<T>(&mut self, part: impl FnOnce(&mut Self) -> Result<T>) -> Result<T> {
        let events = self.events.len();
        self.state.begin();
        match part(self) {
            Ok(value) => {
                self.state.commit()?;
                Ok(value)
            }
            Err(error) => {
                self.state.rollback()?;
                self.events.truncate(events);
                Err(error)
            }
        }
    }

    /// The events, oldest first.
    pub fn into_events(self) -> Vec<Event> {
        self.events
    }
}

/// Builds an event with indexed attributes.
pub(crate) fn event(kind: &str, attributes: &[(&str, &dyn ToString)]) -> Event {
    Event {
        r#type: kind.to_owned(),
        attributes: attributes
            .iter()
            .map(|(key, value)| attribute(key, *value))
            .collect(),
    }
}

fn attribute(key: &str, value: &dyn ToString) -> EventAttribute {
    EventAttribute {
        key: key.to_owned(),
        value: value.to_string(),
        index: true,
    }
}
