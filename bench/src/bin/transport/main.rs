//! Measures the cost of the transport from CometBFT to an application, with three ABCI servers.
//!
//! One client sends the same requests to one server after the other, round after round. Each serves an
//! application that does nothing, so only reading, decoding, dispatching, encoding and writing are
//! measured.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod application;
mod client;
mod servers;

use std::time::Duration;

use clap::Parser;
use poq_bench::figures::{percentile, print_table};
use serde::Serialize;

use client::Client;
use servers::Server;

/// Compares the ABCI servers of tendermint-abci, tower-abci and poqd.
#[derive(Parser)]
struct Options {
    /// Rounds; each measures every server once
    #[arg(long, default_value_t = 7, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
    /// Pipelined CheckTx calls in a round
    #[arg(long, default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    checks: u32,
    /// Bytes of a transaction
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    tx_bytes: u32,
    /// Bytes of the transactions of a block
    #[arg(long, default_value_t = 4 << 20, value_parser = clap::value_parser!(u32).range(1..=64 << 20))]
    block_bytes: u32,
    /// Format of the result
    #[arg(long, value_enum, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    Text,
    Json,
}

/// Single checks and blocks in a round.
const CHECKS: u32 = 50;
const BLOCKS: u32 = 10;

/// The figures of one server.
#[derive(Default)]
struct Samples {
    /// Checks per second of each round.
    rates: Vec<f64>,
    /// Microseconds.
    checks: Vec<f64>,
    /// Milliseconds.
    blocks: Vec<f64>,
}

#[derive(Serialize)]
struct Figures {
    server: &'static str,
    checks_per_second: f64,
    slowest_round: f64,
    fastest_round: f64,
    check_p50_us: f64,
    check_p99_us: f64,
    block_p50_ms: f64,
    block_p99_ms: f64,
}

fn main() -> anyhow::Result<()> {
    let options = Options::parse();
    let machine = poq_client::machine();
    let figures = measure(&options)?;
    match options.output {
        Output::Text => print_text(&options, &machine, &figures),
        Output::Json => println!(
            "{}",
            serde_json::json!({"machine": machine, "rounds": options.rounds, "servers": figures})
        ),
    }
    Ok(())
}

fn measure(options: &Options) -> anyhow::Result<Vec<Figures>> {
    let folder = tempfile::tempdir()?;
    let mut runs = Vec::new();
    for server in Server::ALL {
        let client = Client::connect(&server.start(folder.path())?)?;
        runs.push((server, client, Samples::default()));
    }
    for _ in 0..options.rounds {
        for (_, client, samples) in &mut runs {
            round(options, client, samples)?;
        }
    }
    Ok(runs
        .iter()
        .map(|(server, _, samples)| samples.figures(*server))
        .collect())
}

fn round(options: &Options, client: &mut Client, samples: &mut Samples) -> anyhow::Result<()> {
    let (checks, bytes) = (options.checks as usize, options.tx_bytes as usize);
    let elapsed = client.pipelined_checks(checks, bytes)?;
    samples.rates.push(checks as f64 / elapsed.as_secs_f64());
    for _ in 0..CHECKS {
        samples.checks.push(micros(client.check(bytes)?));
    }
    let txs = (options.block_bytes as usize / bytes).max(1);
    for _ in 0..BLOCKS {
        samples.blocks.push(micros(client.block(txs, bytes)?) / 1e3);
    }
    Ok(())
}

impl Samples {
    fn figures(&self, server: Server) -> Figures {
        Figures {
            server: server.name(),
            checks_per_second: percentile(&self.rates, 0.5),
            slowest_round: percentile(&self.rates, 0.0),
            fastest_round: percentile(&self.rates, 1.0),
            check_p50_us: percentile(&self.checks, 0.5),
            check_p99_us: percentile(&self.checks, 0.99),
            block_p50_ms: percentile(&self.blocks, 0.5),
            block_p99_ms: percentile(&self.blocks, 0.99),
        }
    }
}

fn print_text(options: &Options, machine: &str, figures: &[Figures]) {
    println!(
        "{machine}; {} rounds of {} pipelined checks, {CHECKS} single ones and {BLOCKS} blocks of \
         {} bytes; transactions of {} bytes\n",
        options.rounds, options.checks, options.block_bytes, options.tx_bytes
    );
    let rows: Vec<_> = figures.iter().map(Figures::row).collect();
    let columns = [
        "server",
        "CheckTx/s",
        "slowest to fastest round",
        "one CheckTx p50, µs",
        "p99",
        "FinalizeBlock p50, ms",
        "p99",
    ];
    print_table(&columns, &rows);
    println!("\n{} at the end", poq_client::machine());
}

impl Figures {
    fn row(&self) -> Vec<String> {
        vec![
            self.server.into(),
            format!("{:.0}", self.checks_per_second),
            format!("{:.0} to {:.0}", self.slowest_round, self.fastest_round),
            format!("{:.0}", self.check_p50_us),
            format!("{:.0}", self.check_p99_us),
            format!("{:.1}", self.block_p50_ms),
            format!("{:.1}", self.block_p99_ms),
        ]
    }
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_server_answers_everything() {
        let options = Options::parse_from([
            "bench",
            "--rounds=1",
            "--checks=1200",
            "--block-bytes=100000",
        ]);
        let figures = measure(&options).unwrap();
        assert_eq!(figures.len(), Server::ALL.len());
        assert!(figures.iter().all(|server| server.checks_per_second > 0.0));
    }
}
