//! Sends transactions at a rate that does not wait for the chain.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use poq_client::{Client, Error, TxHash};
use poq_proto::code;
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use crate::ledger::Ledger;

/// Pause before a refused transaction is sent again.
const PAUSE: Duration = Duration::from_millis(100);

/// Signed transactions, by lane.
pub(crate) type Lanes = Vec<Vec<Vec<u8>>>;

/// Transactions in lanes. Those of one lane are sent one after the other, as the sequence numbers of an
/// account require; lanes are independent.
pub(crate) struct Load {
    /// Transactions to send.
    pub lanes: Lanes,
    /// Transactions per second of all lanes together.
    pub rate: u32,
    /// Duration of the load.
    pub duration: Duration,
}

/// The result of sending.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Sent {
    /// Number of transactions that a mempool accepted.
    pub accepted: u64,
    /// Number of refusals by mempools; the transactions were sent again.
    pub refused: u64,
    /// Number of transactions that were due but not accepted in time.
    pub late: u64,
}

impl Load {
    /// Sends every transaction when it is due, until the duration is over. Lane i uses client i modulo
    /// the number of clients.
    pub(crate) async fn run(self, clients: &[Client], ledger: &Ledger) -> Sent {
        let counts = Arc::new(Counts::default());
        let start = Instant::now();
        let interval = Duration::from_secs_f64(1.0 / f64::from(self.rate));
        let count = self.lanes.len() as u32;
        let mut sending = JoinSet::new();
        let clients = clients.iter().cycle();
        for ((index, txs), client) in (0_u32..).zip(self.lanes).zip(clients) {
            let lane = Lane {
                client: client.clone(),
                ledger: ledger.clone(),
                counts: Arc::clone(&counts),
                first: start + interval * index,
                interval: interval * count,
                end: start + self.duration,
            };
            sending.spawn(lane.run(txs));
        }
        sending.join_all().await;
        counts.read()
    }
}

#[derive(Default)]
struct Counts {
    accepted: AtomicU64,
    refused: AtomicU64,
    late: AtomicU64,
}

impl Counts {
    fn read(&self) -> Sent {
        Sent {
            accepted: self.accepted.load(Ordering::Relaxed),
            refused: self.refused.load(Ordering::Relaxed),
            late: self.late.load(Ordering::Relaxed),
        }
    }
}

struct Lane {
    client: Client,
    ledger: Ledger,
    counts: Arc<Counts>,
    first: Instant,
    interval: Duration,
    end: Instant,
}

impl Lane {
    async fn run(self, txs: Vec<Vec<u8>>) {
        let mut next = 0;
        while let Some(tx) = txs.get(next) {
            let due = self.first + self.interval * next as u32;
            if due >= self.end {
                return;
            }
            sleep_until(due.into()).await;
            match self.insist(tx, due).await {
                Fate::Accepted => {
                    self.counts.accepted.fetch_add(1, Ordering::Relaxed);
                    next += 1;
                }
                Fate::Lost(before) => {
                    let before = before.min(next);
                    self.counts
                        .accepted
                        .fetch_sub(before as u64, Ordering::Relaxed);
                    next -= before;
                }
                Fate::Late => {
                    self.counts.late.fetch_add(1, Ordering::Relaxed);
                    return;
                }
            }
        }
    }

    /// Sends a transaction until a mempool accepts it.
    async fn insist(&self, tx: &[u8], due: Instant) -> Fate {
        let hash = TxHash::of(tx);
        self.ledger.send(hash, due);
        while Instant::now() < self.end {
            let Err(error) = self.client.broadcast(tx.to_vec()).await else {
                return Fate::Accepted;
            };
            match gap(&error) {
                Some(Gap::Behind) => {
                    self.ledger.withdraw(hash);
                    return Fate::Accepted;
                }
                Some(Gap::Ahead(before)) => {
                    self.ledger.withdraw(hash);
                    return Fate::Lost(before);
                }
                None => {}
            }
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            sleep(PAUSE).await;
        }
        self.ledger.withdraw(hash);
        Fate::Late
    }
}

/// The fate of a sent transaction.
enum Fate {
    /// A mempool or a block has it.
    Accepted,
    /// This many earlier ones must be sent again first.
    Lost(usize),
    /// The load ended first.
    Late,
}

/// The difference between a transaction's sequence number and the expected one.
#[derive(Debug, PartialEq, Eq)]
enum Gap {
    /// The node already has the transaction.
    Behind,
    /// The node does not know this many earlier ones. CometBFT reports a transaction as accepted but drops
    /// it if its mempool fills while the application checks it.
    Ahead(usize),
}

/// Reads "account sequence mismatch, expected E, got G".
fn gap(error: &Error) -> Option<Gap> {
    let Error::Tx { log, .. } = error else {
        return None;
    };
    if !error.is(code::WRONG_SEQUENCE) {
        return None;
    }
    let mut numbers = log
        .split(|character: char| !character.is_ascii_digit())
        .filter_map(|digits| digits.parse::<usize>().ok());
    let (expected, sent) = (numbers.next()?, numbers.next()?);
    match sent.checked_sub(expected) {
        Some(0) => None,
        Some(lost) => Some(Gap::Ahead(lost)),
        None => Some(Gap::Behind),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_in_the_sequences_is_what_was_lost() {
        let error = |code: code::Code, log: &str| Error::Tx {
            code: code.number,
            codespace: code.codespace.into(),
            log: log.into(),
            hash: TxHash([0; 32]),
        };
        let mismatch = "account sequence mismatch, expected 7, got 9";
        assert_eq!(
            gap(&error(code::WRONG_SEQUENCE, mismatch)),
            Some(Gap::Ahead(2))
        );
        let behind = "account sequence mismatch, expected 9, got 7";
        assert_eq!(gap(&error(code::WRONG_SEQUENCE, behind)), Some(Gap::Behind));
        assert_eq!(gap(&error(code::MEMPOOL_FULL, mismatch)), None);
    }
}
