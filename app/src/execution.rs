use poq_proto::v1;
use poq_store::State;
use tendermint_proto::v0_38::abci::{Event, EventAttribute};

use crate::error::Result;

/// What every message of a block sees and none can change.
#[derive(Clone, Debug)]
pub struct BlockContext {
    /// The chain's id.
    pub chain_id: String,
    /// Height of the block that is executed.
    pub height: u64,
    /// Parameters as they were when the block began.
    pub params: v1::Params,
    /// Beacon of this block (protocol section 6).
    pub beacon: [u8; 32],
}

/// The execution of one transaction, or of the beginning or the end of one block.
pub struct Execution<'a> {
    /// State that is read and changed.
    pub state: &'a mut State,
    /// The block around it.
    pub block: &'a BlockContext,
    /// What the items of duty messages came to.
    pub items: Items,
    events: Vec<Event>,
}

/// How much of the items of duty messages was of use. An item weighs its bytes and
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

    /// How many events there are so far.
    pub fn event_count(&self) -> usize {
        self.events.len()
    }

    /// Adds an attribute to the events from one on.
    pub fn mark_events(&mut self, from: usize, key: &str, value: &dyn ToString) {
        for event in self.events.iter_mut().skip(from) {
            event.attributes.push(attribute(key, value));
        }
    }

    /// Runs a part that either happens as a whole or leaves neither writes nor events.
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
pub fn event(kind: &str, attributes: &[(&str, &dyn ToString)]) -> Event {
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
