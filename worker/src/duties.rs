//! The state of each duty, so that none is done twice at once. No I/O.

use std::collections::BTreeMap;

use poq_proto::v1::{Duty, TaskStatus};
use tokio_util::sync::CancellationToken;

pub use crate::journal::Seat;

/// Attempts before a failing duty is given up.
const TRIES: u32 = 3;

/// The step of a duty, the costliest to miss first: a reveal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// Open the commitment.
    Reveal,
    /// Answer the prompt.
    Answer,
    /// Score the answer and commit to the score.
    Commit,
}

impl Step {
    /// The label in metrics.
    pub fn name(self) -> &'static str {
        match self {
            Self::Reveal => "reveal",
            Self::Answer => "answer",
            Self::Commit => "commit",
        }
    }

    /// Whether the product must be on disk before it is handed in. Missing the answer costs an
    /// inference node its stake, and a reveal is public anyway; but a commitment whose salt is lost
    /// cannot be opened.
    pub(crate) fn needs_disk(self) -> bool {
        self == Self::Commit
    }

    /// Counts a duty of this step, or an attempt, that ended with `outcome`.
    pub(crate) fn count(self, outcome: &'static str) {
        metrics::counter!("poq_worker_duties_total", "step" => self.name(), "outcome" => outcome)
            .increment(1);
    }
}

/// One step for one seat.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Key {
    /// The step.
    pub step: Step,
    /// The task and attempt.
    pub seat: Seat,
}

impl Key {
    /// The key of a listed duty; `None` for phases without work for a worker.
    pub fn of(duty: &Duty) -> Option<Self> {
        let step = match duty.phase() {
            TaskStatus::Assigned => Step::Answer,
            TaskStatus::Committing => Step::Commit,
            TaskStatus::Revealing => Step::Reveal,
            _ => return None,
        };
        let seat = Seat {
            task: duty.task_id,
            attempt: duty.attempt,
        };
        Some(Self { step, seat })
    }
}

enum State {
    /// May begin from this height on.
    Idle(u64),
    /// In progress; the token stops it.
    Working(CancellationToken),
    /// Its transaction waits for a block.
    Sending,
    /// Done, or never to be tried again.
    Over,
}

/// A product that is handed in, or will be.
struct Product<P> {
    value: P,
    is_saved: bool,
}

struct Record<P> {
    duty: Duty,
    is_listed: bool,
    state: State,
    product: Option<Product<P>>,
    failures: u32,
    /// Batch limit for this duty, if lower than the chain's.
    most: Option<usize>,
    is_doubted: bool,
}

impl<P> Record<P> {
    fn is_idle(&self, height: u64) -> bool {
        let is_wanted = self.is_listed && self.duty.due_height > height;
        is_wanted && matches!(self.state, State::Idle(from) if from <= height)
    }

    fn is_unsaved(&self) -> bool {
        self.product
            .as_ref()
            .is_some_and(|product| !product.is_saved)
    }
}

/// A duty to begin.
pub(crate) struct Begun {
    pub key: Key,
    pub duty: Duty,
    pub is_doubted: bool,
    pub stop: CancellationToken,
}

/// The duties that the chain lists; it lists a duty until it is done.
pub(crate) struct Duties<P> {
    margin: u64,
    height: u64,
    records: BTreeMap<Key, Record<P>>,
}

impl<P> Duties<P> {
    /// No duties yet. Work is stopped `margin` blocks before it is due.
    pub(crate) fn new(margin: u64) -> Self {
        Self {
            margin,
            height: 0,
            records: BTreeMap::new(),
        }
    }

    /// Updates to the list of the chain at `height`. Stops duties that are due or no longer listed,
    /// and returns those that were not done in time. A duty that the journal `has` may begin until it
    /// is due.
    pub(crate) fn update(
        &mut self,
        height: u64,
        listed: &[Duty],
        has: impl Fn(Seat) -> bool,
    ) -> Vec<Key> {
        self.height = height;
        for record in self.records.values_mut() {
            record.is_listed = false;
        }
        for duty in listed {
            let Some(key) = Key::of(duty) else { continue };
            let record = self.records.entry(key).or_insert_with(|| Record {
                duty: duty.clone(),
                is_listed: true,
                state: State::Idle(0),
                product: None,
                failures: 0,
                most: None,
                is_doubted: false,
            });
            record.is_listed = true;
        }
        let is_busy = |state: &State| matches!(state, State::Working(_) | State::Sending);
        self.records
            .retain(|_, record| record.is_listed || is_busy(&record.state));
        let mut expired = Vec::new();
        for (key, record) in &mut self.records {
            let is_late = |margin| height.saturating_add(margin) >= record.duty.due_height;
            match &record.state {
                State::Working(stop) if !record.is_listed || is_late(self.margin) => stop.cancel(),
                // In the margin a product that is on disk is still handed in.
                State::Idle(_)
                    if record.product.is_none()
                        && is_late(self.margin)
                        && (is_late(0) || !has(key.seat)) =>
                {
                    record.state = State::Over;
                    expired.push(*key);
                }
                _ => {}
            }
        }
        expired
    }

    /// The duty to begin now: reveals first, then by due height. Without room only reveals begin,
    /// since they only need the journal. While the journal cannot be written, no step begins that
    /// must be in it.
    pub(crate) fn begin(&mut self, has_room: bool) -> Option<Begun> {
        let (height, can_save) = (self.height, !self.is_journal_behind());
        let may_begin = |key: &Key| {
            let has_room = has_room || key.step == Step::Reveal;
            has_room && (can_save || !key.step.needs_disk())
        };
        let (key, record) = self
            .records
            .iter_mut()
            .filter(|(key, record)| {
                record.product.is_none() && record.is_idle(height) && may_begin(key)
            })
            .min_by_key(|(key, record)| (key.step, record.duty.due_height, key.seat))?;
        let stop = CancellationToken::new();
        record.state = State::Working(stop.clone());
        Some(Begun {
            key: *key,
            duty: record.duty.clone(),
            is_doubted: record.is_doubted,
            stop,
        })
    }

    /// Stores a duty's product. Returns whether the chain still asks for it.
    pub(crate) fn made(&mut self, key: Key, value: P, is_saved: bool) -> bool {
        let height = self.height;
        self.records.get_mut(&key).is_some_and(|record| {
            record.state = State::Idle(0);
            record.product = Some(Product { value, is_saved });
            record.is_idle(height)
        })
    }

    /// Records that a duty failed. Returns whether it will be retried; if not, it is over.
    pub(crate) fn failed(&mut self, key: Key) -> bool {
        let next = self.height.saturating_add(1);
        self.records.get_mut(&key).is_some_and(|record| {
            record.failures += 1;
            let again = record.failures < TRIES;
            record.state = match again {
                true => State::Idle(next),
                false => State::Over,
            };
            again
        })
    }

    /// Products that can be handed in, in the order of their steps.
    pub(crate) fn ready(&self) -> Vec<Key> {
        let records = self.records.iter();
        let is_ready = |record: &Record<P>| record.product.is_some() && record.is_idle(self.height);
        records
            .filter(|(_, record)| is_ready(record))
            .map(|(key, _)| *key)
            .collect()
    }

    /// The product of a duty.
    pub(crate) fn product(&self, key: Key) -> Option<&P> {
        let product = self.records.get(&key)?.product.as_ref()?;
        Some(&product.value)
    }

    /// The product of a duty if it is not on disk yet.
    pub(crate) fn unsaved(&self, key: Key) -> Option<&P> {
        let product = self.records.get(&key)?.product.as_ref()?;
        (!product.is_saved).then_some(&product.value)
    }

    /// Records that a product is on disk.
    pub(crate) fn saved(&mut self, key: Key) {
        if let Some(product) = self.record(key).and_then(|record| record.product.as_mut()) {
            product.is_saved = true;
        }
    }

    /// Whether a product that must be on disk is not.
    pub(crate) fn is_journal_behind(&self) -> bool {
        let mut records = self.records.iter();
        records.any(|(key, record)| key.step.needs_disk() && record.is_unsaved())
    }

    /// Records that a product is on its way to the chain.
    pub(crate) fn sending(&mut self, key: Key) {
        self.set(key, State::Sending);
    }

    /// Records that a duty is done, or never will be.
    pub(crate) fn finish(&mut self, key: Key) {
        self.set(key, State::Over);
    }

    /// The submission had no effect: the next block finds the duty as it was, as long as the chain
    /// lists it.
    pub(crate) fn release(&mut self, key: Key) {
        self.set(key, State::Idle(self.height.saturating_add(1)));
    }

    /// The chain refused a batch because most of it would fail: its duties are retried in batches
    /// of half the size.
    pub(crate) fn split(&mut self, batch: &[Key]) {
        for key in batch {
            self.release(*key);
            if let Some(record) = self.record(*key) {
                record.most = Some((batch.len() / 2).max(1));
            }
        }
    }

    /// The chain refused the journal's product: the duty is done again.
    pub(crate) fn doubt(&mut self, key: Key) {
        self.release(key);
        if let Some(record) = self.record(key) {
            record.is_doubted = true;
            record.product = None;
        }
    }

    /// Batch limit for this duty, if lower than the chain's.
    pub(crate) fn most(&self, key: Key) -> Option<usize> {
        self.records.get(&key)?.most
    }

    /// The last block that may include it.
    pub(crate) fn due_height(&self, key: Key) -> u64 {
        self.records
            .get(&key)
            .map_or(0, |record| record.duty.due_height)
    }

    /// Number of duties that are not over.
    pub(crate) fn open(&self) -> usize {
        let records = self.records.values();
        records
            .filter(|record| !matches!(record.state, State::Over))
            .count()
    }

    /// Stops all work.
    pub(crate) fn stop(&self) {
        for record in self.records.values() {
            if let State::Working(stop) = &record.state {
                stop.cancel();
            }
        }
    }

    fn set(&mut self, key: Key, state: State) {
        if let Some(record) = self.record(key) {
            record.state = state;
        }
    }

    fn record(&mut self, key: Key) -> Option<&mut Record<P>> {
        self.records.get_mut(&key)
    }
}

#[cfg(test)]
mod tests;
