//! The sent transactions and their fate, as a client sees it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use poq_client::TxHash;

/// Pending transactions and tasks, and those that arrived since the last [`Ledger::take`].
#[derive(Clone, Default)]
pub(crate) struct Ledger(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    /// Transactions that are not in a block yet, with the time at which each was due to be sent.
    waiting: HashMap<TxHash, Instant>,
    /// Open tasks, with the time at which each was due to be submitted.
    open: HashMap<u64, Instant>,
    seen: Seen,
}

/// The arrived transactions and tasks.
#[derive(Default)]
pub(crate) struct Seen {
    /// Transactions in blocks.
    pub txs: Arrivals,
    /// Paid tasks.
    pub tasks: Arrivals,
    /// Number of tasks that ended without a payout.
    pub refunded: usize,
    /// Time at which each block was seen.
    pub blocks: Vec<Instant>,
}

/// Arrivals of one kind.
#[derive(Default)]
pub(crate) struct Arrivals {
    /// Seconds between the due time and the arrival.
    pub latencies: Vec<f64>,
    /// Blocks with arrivals: the time at which each was seen, and the number of arrivals.
    blocks: Vec<(Instant, usize)>,
}

impl Arrivals {
    /// Arrivals per second between the first and the last block with arrivals; 0 for a single block.
    pub(crate) fn rate(&self) -> f64 {
        let (Some((first, _)), Some((last, _))) = (self.blocks.first(), self.blocks.last()) else {
            return 0.0;
        };
        // The arrivals of the first block are from before the measured time.
        let count: usize = self.blocks.iter().skip(1).map(|(_, count)| count).sum();
        let seconds = last.duration_since(*first).as_secs_f64();
        if count == 0 {
            0.0
        } else {
            count as f64 / seconds
        }
    }

    fn add(&mut self, seen: Instant, due: impl Iterator<Item = Instant>) {
        let before = self.latencies.len();
        self.latencies
            .extend(due.map(|due| seen.duration_since(due).as_secs_f64()));
        let count = self.latencies.len() - before;
        if count > 0 {
            self.blocks.push((seen, count));
        }
    }
}

impl Ledger {
    /// Records a transaction that is sent now and was due at `due`.
    pub(crate) fn send(&self, hash: TxHash, due: Instant) {
        self.entries().waiting.insert(hash, due);
    }

    /// Removes a transaction that was not accepted.
    pub(crate) fn withdraw(&self, hash: TxHash) {
        self.entries().waiting.remove(&hash);
    }

    /// Records a block, and returns the due times of those of its transactions that are ours.
    pub(crate) fn block(&self, seen: Instant, hashes: &[TxHash]) -> Vec<Option<Instant>> {
        let mut entries = self.entries();
        let due: Vec<_> = hashes
            .iter()
            .map(|hash| entries.waiting.remove(hash))
            .collect();
        entries.seen.blocks.push(seen);
        entries.seen.txs.add(seen, due.iter().flatten().copied());
        due
    }

    /// Records an accepted task whose transaction was due at `due`.
    pub(crate) fn open(&self, task: u64, due: Instant) {
        self.entries().open.insert(task, due);
    }

    /// Records tasks that were paid out, and tasks that ended without a payout.
    pub(crate) fn close(&self, seen: Instant, paid: &[u64], refunded: &[u64]) {
        let mut entries = self.entries();
        let due: Vec<_> = paid
            .iter()
            .filter_map(|task| entries.open.remove(task))
            .collect();
        entries.seen.tasks.add(seen, due.into_iter());
        for task in refunded {
            if entries.open.remove(task).is_some() {
                entries.seen.refunded += 1;
            }
        }
    }

    /// Number of pending transactions and tasks.
    pub(crate) fn waiting(&self) -> usize {
        let entries = self.entries();
        entries.waiting.len() + entries.open.len()
    }

    /// Returns the arrivals and the number of those that did not arrive, and forgets both.
    pub(crate) fn take(&self) -> (Seen, usize) {
        let mut entries = self.entries();
        let lost = entries.waiting.len() + entries.open.len();
        (std::mem::take(&mut *entries).seen, lost)
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn rates_and_latencies_are_those_of_what_was_sent() {
        let (ledger, start) = (Ledger::default(), Instant::now());
        let after = |seconds| start + Duration::from_secs(seconds);
        let hashes: Vec<_> = (0..6).map(|byte| TxHash::of(&[byte])).collect();
        for hash in &hashes[..5] {
            ledger.send(*hash, start);
        }
        ledger.block(after(1), &hashes[..2]);
        ledger.block(after(2), &[]);
        let due = ledger.block(after(3), &[hashes[2], hashes[5], hashes[3]]);
        assert_eq!(due, [Some(start), None, Some(start)]);
        assert_eq!(ledger.waiting(), 1);
        let (seen, lost) = ledger.take();
        assert_eq!(seen.txs.latencies, [1.0, 1.0, 3.0, 3.0]);
        assert_eq!(seen.txs.rate(), 1.0);
        assert_eq!((seen.blocks.len(), lost), (3, 1));
        assert_eq!(ledger.waiting(), 0);
    }

    #[test]
    fn tasks_are_counted_by_their_ends() {
        let (ledger, start) = (Ledger::default(), Instant::now());
        for task in 1..=3 {
            ledger.open(task, start);
        }
        ledger.close(start + Duration::from_secs(2), &[1, 9], &[2]);
        let (seen, lost) = ledger.take();
        assert_eq!(seen.tasks.latencies, [2.0]);
        assert_eq!((seen.refunded, lost), (1, 1));
        // A single block has no rate.
        assert_eq!(seen.tasks.rate(), 0.0);
    }
}
