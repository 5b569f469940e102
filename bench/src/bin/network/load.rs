//! Sends transactions at a rate that does not wait for the chain.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use poq_client::{Client, Error, TxHash};
use tokio::task::JoinSet;
use tokio::time::{sleep, sleep_until};

use crate::ledger::Ledger;

/// Pause before a refused transaction is tried again.
const PAUSE: Duration = Duration::from_millis(100);

/// Signed transactions, by lane.
pub type Lanes = Vec<Vec<Vec<u8>>>;

/// Transactions in lanes. Those of one lane are sent one after the other, as the sequences of an
/// account demand; lanes are independent of one another.
pub struct Load {
    /// What is sent.
    pub lanes: Lanes,
    /// Transactions per second of all lanes together.
    pub rate: u32,
    /// How long they are sent.
    pub duration: Duration,
}

/// What sending came to.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sent {
    /// Transactions that a mempool accepted.
    pub accepted: u64,
    /// Times that a mempool refused one; it was tried again.
    pub refused: u64,
    /// Transactions that were due and not accepted in time.
    pub late: u64,
}

impl Load {
    /// Sends every transaction when it is due, until the duration is over. Lane i goes to client
    /// i modulo their number.
    pub async fn run(self, clients: &[Client], ledger: &Ledger) -> Sent {
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
        let mut due = self.first;
        for tx in txs {
            if due >= self.end {
                return;
            }
            sleep_until(due.into()).await;
            let accepted = self.insist(tx, due).await;
            let count = match accepted {
                true => &self.counts.accepted,
                false => &self.counts.late,
            };
            count.fetch_add(1, Ordering::Relaxed);
            due += self.interval;
        }
    }

    /// Whether a mempool accepted the transaction before the end.
    async fn insist(&self, tx: Vec<u8>, due: Instant) -> bool {
        let hash = TxHash::of(&tx);
        self.ledger.send(hash, due);
        while Instant::now() < self.end {
            match self.client.broadcast(tx.clone()).await {
                Ok(_) => return true,
                Err(Error::MempoolFull { .. } | Error::Tx { .. }) => {}
                Err(error) => tracing::debug!(%error, "a transaction was not taken"),
            }
            self.counts.refused.fetch_add(1, Ordering::Relaxed);
            sleep(PAUSE).await;
        }
        self.ledger.withdraw(hash);
        false
    }
}
