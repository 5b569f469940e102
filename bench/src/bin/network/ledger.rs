//! What was sent and what became of it, as a client sees it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use poq_client::TxHash;

/// Everything that is on its way, and everything that arrived since it was last taken.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<Entries>>);

#[derive(Default)]
struct Entries {
    /// Transactions that are in no block yet, and when each was due to be sent.
    waiting: HashMap<TxHash, Instant>,
    /// Tasks that are not over, and when each was due to be submitted.
    open: HashMap<u64, Instant>,
    seen: Seen,
}

/// What arrived.
#[derive(Default)]
pub struct Seen {
    /// Transactions in blocks.
    pub txs: Arrivals,
    /// Tasks that were paid out.
    pub tasks: Arrivals,
    /// Tasks that ended otherwise.
    pub refunded: usize,
    /// When each block was seen.
    pub blocks: Vec<Instant>,
}

/// Arrivals of one kind.
#[derive(Default)]
pub struct Arrivals {
    /// Seconds from when it was due to when it was seen.
    pub latencies: Vec<f64>,
    /// When a block was seen that had some, and how many.
    blocks: Vec<(Instant, usize)>,
}

impl Arrivals {
    /// Arrivals per second, from the first block that had some to the last one; 0 if that is one block.
    pub fn rate(&self) -> f64 {
        let (Some((first, _)), Some((last, _))) = (self.blocks.first(), self.blocks.last()) else {
            return 0.0;
        };
        // Those of the first block arrived before its time.
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
    /// A transaction goes out now that was due then.
    pub fn send(&self, hash: TxHash, due: Instant) {
        self.entries().waiting.insert(hash, due);
    }

    /// A transaction did not get out.
    pub fn withdraw(&self, hash: TxHash) {
        self.entries().waiting.remove(&hash);
    }

    /// A block was seen; returns which of its transactions are ours, and when they were due.
    pub fn block(&self, seen: Instant, hashes: &[TxHash]) -> Vec<Option<Instant>> {
        let mut entries = self.entries();
        let due: Vec<_> = hashes
            .iter()
            .map(|hash| entries.waiting.remove(hash))
            .collect();
        entries.seen.blocks.push(seen);
        entries.seen.txs.add(seen, due.iter().flatten().copied());
        due
    }

    /// A task was accepted whose transaction was due then.
    pub fn open(&self, task: u64, due: Instant) {
        self.entries().open.insert(task, due);
    }

    /// These tasks were seen paid out, and these ended otherwise.
    pub fn close(&self, seen: Instant, paid: &[u64], refunded: &[u64]) {
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

    /// Transactions and tasks that are still on their way.
    pub fn waiting(&self) -> usize {
        let entries = self.entries();
        entries.waiting.len() + entries.open.len()
    }

    /// Takes what arrived, and forgets what did not; returns how much that was.
    pub fn take(&self) -> (Seen, usize) {
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
        // One block has no rate.
        assert_eq!(seen.tasks.rate(), 0.0);
    }
}
