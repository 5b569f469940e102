//! One load on one network.

use std::time::{Duration, Instant};

use anyhow::Context;
use poq_bench::figures::percentile;
use poq_client::Client;
use serde::Serialize;
use tokio::time::sleep;

use crate::cpu::{Cpu, Processes};
use crate::ledger::{Ledger, Seen};
use crate::load::{Load, Sent};
use crate::observer::Observer;
use crate::patience::insist;

/// Time without an arrival after which pending ones count as lost. Tasks need more: the first payout comes
/// after many blocks, which are slow under load.
const TRANSFER_PATIENCE: Duration = Duration::from_secs(10);
const TASK_PATIENCE: Duration = Duration::from_secs(40);
/// Pause between two checks of the arrivals.
const PAUSE: Duration = Duration::from_millis(100);

/// A network under load.
pub(crate) struct Site {
    /// Name of the network.
    pub name: &'static str,
    /// A client of each node.
    pub clients: Vec<Client>,
    /// Processes of the network.
    pub processes: Processes,
    /// Record of the arrivals.
    pub ledger: Ledger,
}

/// The kind of load.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// Transactions in blocks.
    Transfers,
    /// Paid tasks.
    Tasks,
}

/// The figures of one load.
#[derive(Debug, Serialize)]
pub(crate) struct Figures {
    /// Name of the network.
    pub network: &'static str,
    /// Kind of the load.
    pub load: Kind,
    /// Offered per second.
    pub offered: u32,
    /// Arrived per second, between the first and the last block with arrivals.
    pub arrived: f64,
    /// Median latency from the due time to the arrival, seconds.
    pub p50: f64,
    /// 99th percentile of the latency, seconds.
    pub p99: f64,
    /// Seconds between two blocks.
    pub block_interval: f64,
    /// Number of transactions that mempools accepted.
    pub accepted: u64,
    /// Number of refusals by mempools.
    pub refused: u64,
    /// Due but not accepted during the load.
    pub late: u64,
    /// Accepted but not arrived.
    pub lost: usize,
    /// Number of tasks that ended without a payout.
    pub refunded: usize,
    /// Busy processors during the load.
    pub cpu: Cpu,
}

impl Site {
    /// The client of the first node.
    ///
    /// # Errors
    /// If there are no nodes.
    pub(crate) fn client(&self) -> anyhow::Result<&Client> {
        self.clients.first().context("a network needs a node")
    }

    /// Starts to record blocks in the ledger; with `tasks`, also their tasks.
    ///
    /// # Errors
    /// If the first node cannot be reached.
    pub(crate) async fn observe(&self, tasks: bool) -> anyhow::Result<Observer> {
        let client = self.client()?.clone();
        let status = insist(async || client.status().await).await?;
        Ok(Observer::start(
            client,
            status.latest_height,
            self.ledger.clone(),
            tasks,
        ))
    }

    /// Sends the load, waits for the arrivals, and returns the figures.
    ///
    /// # Errors
    /// If a process of the network has ended.
    pub(crate) async fn measure(&self, kind: Kind, load: Load) -> anyhow::Result<Figures> {
        let (offered, before, started) = (load.rate, self.processes.cpu()?, Instant::now());
        let sent = load.run(&self.clients, &self.ledger).await;
        let cpu = self.processes.cpu()?.busy_since(before, started.elapsed());
        self.settle(match kind {
            Kind::Transfers => TRANSFER_PATIENCE,
            Kind::Tasks => TASK_PATIENCE,
        })
        .await;
        let (seen, lost) = self.ledger.take();
        Ok(self.figures(kind, offered, sent, &seen, lost, cpu))
    }

    /// Waits until everything has arrived or arrivals have stopped.
    async fn settle(&self, patience: Duration) {
        let (mut waiting, mut progress) = (self.ledger.waiting(), Instant::now());
        while waiting > 0 && progress.elapsed() < patience {
            sleep(PAUSE).await;
            let now = self.ledger.waiting();
            if now != waiting {
                (waiting, progress) = (now, Instant::now());
            }
        }
    }

    fn figures(
        &self,
        kind: Kind,
        offered: u32,
        sent: Sent,
        seen: &Seen,
        lost: usize,
        cpu: Cpu,
    ) -> Figures {
        let arrivals = match kind {
            Kind::Transfers => &seen.txs,
            Kind::Tasks => &seen.tasks,
        };
        Figures {
            network: self.name,
            load: kind,
            offered,
            arrived: arrivals.rate(),
            p50: percentile(&arrivals.latencies, 0.5),
            p99: percentile(&arrivals.latencies, 0.99),
            block_interval: interval(&seen.blocks),
            accepted: sent.accepted,
            refused: sent.refused,
            late: sent.late,
            lost,
            refunded: seen.refunded,
            cpu,
        }
    }
}

/// Mean interval between consecutive times, seconds; 0 for fewer than two.
fn interval(times: &[Instant]) -> f64 {
    match times {
        [first, .., last] => last.duration_since(*first).as_secs_f64() / (times.len() - 1) as f64,
        _ => 0.0,
    }
}

impl Figures {
    /// Names of the cells of [`Self::row`].
    pub(crate) const COLUMNS: [&str; 10] = [
        "network",
        "offered/s",
        "**arrived/s**",
        "p50, s",
        "p99, s",
        "block, s",
        "refused",
        "late",
        "lost",
        "busy CPUs: CometBFT, application, load",
    ];

    /// A row of the table.
    pub(crate) fn row(&self) -> Vec<String> {
        let Cpu {
            cometbft,
            application,
            load,
        } = self.cpu;
        vec![
            self.network.into(),
            self.offered.to_string(),
            format!("**{:.0}**", self.arrived),
            format!("{:.2}", self.p50),
            format!("{:.2}", self.p99),
            format!("{:.2}", self.block_interval),
            self.refused.to_string(),
            self.late.to_string(),
            (self.lost + self.refunded).to_string(),
            format!("{cometbft:.2}, {application:.2}, {load:.2}"),
        ]
    }
}
