//! Measures the time of blocks and its growth with the state.
//!
//! One process creates a small and a large chain, with the real application and its store on disk. Then
//! both execute the same blocks alternately, so that other load on the machine affects both. Signing is
//! not measured.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod ledger;
mod measure;
#[path = "../../../../app/tests/support/mod.rs"]
mod support;
mod table;

use std::error::Error;
use std::fmt;
use std::ops::Range;

use clap::Parser;
use poq_app::tx::Signatures;

use ledger::{Ledger, MIN_ACCOUNTS, SENDERS, Size};
use measure::{Before, BlockTime, Time, block, check};
use table::Transfers;

/// Number of unmeasured blocks with [`FULL`] transfers: the creation of the chains leaves much to prune.
const WARM_UP: u32 = 3;
/// Largest number of transfers of a block: as many as a mempool takes beside duties (ADR 37).
const FULL: u64 = 4_000;
/// Transactions of the mempool that is checked again, after a block with [`TRANSFERS`] others.
const MEMPOOL: usize = 3_000;
const ALL_SENDERS: Range<usize> = 0..SENDERS as usize;
/// Tasks submitted in a block.
const TASKS: u64 = 20;
/// Transfers of a block in the measurements of nodes and tasks.
const TRANSFERS: usize = 1_000;
/// The treatments of transfers before their block, in the order of the tables.
const WAYS: [Before; 3] = [Before::Checked, Before::Accepted, Before::Nothing];

/// Measures blocks of the application on small and on large states.
#[derive(Parser)]
struct Options {
    /// Transfers in a block
    #[arg(long, value_delimiter = ',', default_value = "1000,2000,4000", value_parser = clap::value_parser!(u64).range(1..=FULL))]
    transfers: Vec<u64>,
    /// Accounts of the small and of the large chain
    #[arg(long, value_delimiter = ',', default_value = "10000,100000", value_parser = clap::value_parser!(u64).range(MIN_ACCOUNTS..))]
    accounts: Vec<u64>,
    /// Nodes of the small and of the large chain; half of them are evaluators
    #[arg(long, value_delimiter = ',', default_value = "100,10000", value_parser = clap::value_parser!(u64).range(50..))]
    nodes: Vec<u64>,
    /// Finished tasks of the small and of the large chain
    #[arg(long, value_delimiter = ',', default_value = "1000,10000")]
    tasks: Vec<u64>,
    /// Measured blocks of each kind; medians are printed
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    println!(
        "{}; medians of {} blocks, alternately on both chains",
        poq_client::machine(),
        options.rounds
    );
    let base = Size {
        accounts: MIN_ACCOUNTS,
        nodes: 100,
        tasks: 0,
    };
    let accounts = |accounts| Size { accounts, ..base };
    let nodes = |nodes| Size { nodes, ..base };
    let tasks = |tasks| Size { tasks, ..base };
    transfers(&options, pair(&options.accounts, accounts)?)?;
    table::print_growth_header();
    growth(&options, "nodes", pair(&options.nodes, nodes)?)?;
    growth(&options, "finished tasks", pair(&options.tasks, tasks)?)?;
    println!("\n{} at the end", poq_client::machine());
    Ok(())
}

/// A small and a large chain, each with the number in which they differ.
type Pair = [(u64, Ledger); 2];

fn pair(numbers: &[u64], size: impl Fn(u64) -> Size) -> Result<Pair, Box<dyn Error>> {
    let [small, large] = numbers else {
        return Err("expected two numbers, of the small and of the large chain".into());
    };
    let made = |number: u64| -> Result<_, Box<dyn Error>> {
        let mut ledger = Ledger::new(size(number))?;
        for _ in 0..WARM_UP {
            let txs = ledger.transfers(ALL_SENDERS, FULL as usize);
            block(&mut ledger.chain, &txs, Before::Nothing)?;
        }
        Ok((number, ledger))
    };
    Ok([made(*small)?, made(*large)?])
}

/// Measures blocks of transfers and the mempool's second check, with few and with many accounts.
fn transfers(options: &Options, mut pair: Pair) -> Result<(), Box<dyn Error>> {
    let mut rows = Vec::new();
    for count in &options.transfers {
        let mut times = [const { [const { Vec::new() }; WAYS.len()] }; 2];
        for _ in 0..options.rounds {
            for ((_, ledger), times) in pair.iter_mut().zip(&mut times) {
                for (before, times) in WAYS.into_iter().zip(times) {
                    let txs = ledger.transfers(ALL_SENDERS, *count as usize);
                    times.push(block(&mut ledger.chain, &txs, before)?);
                }
            }
        }
        let medians = times.map(|ways| ways.map(|times| BlockTime::median(&times)));
        for ((accounts, _), times) in pair.iter().zip(medians) {
            rows.push(Transfers {
                count: *count,
                accounts: *accounts,
                times,
                small: medians[0],
            });
        }
    }
    table::print_transfers(&rows);
    println!("\nChecks of {MEMPOOL} transfers in the mempool, ms:\n");
    println!("| accounts | first | again, on the next block |\n| --- | --- | --- |");
    for (accounts, ledger) in &mut pair {
        let (first, again) = recheck(ledger)?;
        println!("| {accounts} | {first} | {again} |");
    }
    Ok(())
}

/// Times of checking a mempool for the first time, and again after a block with other transactions.
fn recheck(ledger: &mut Ledger) -> Result<(Time, Time), Box<dyn Error>> {
    let others = SENDERS as usize - TRANSFERS;
    let waiting = ledger.transfers(0..others, MEMPOOL);
    let others = ledger.transfers(others..SENDERS as usize, TRANSFERS);
    let first = check(&ledger.chain, &waiting, Signatures::Verify)?;
    block(&mut ledger.chain, &others, Before::Checked)?;
    let again = check(&ledger.chain, &waiting, Signatures::Verified)?;
    Ok((first, again))
}

/// Measures the same blocks on a small and a large chain.
fn growth(options: &Options, what: &str, mut pair: Pair) -> Result<(), Box<dyn Error>> {
    for work in [Work::Transfers, Work::Submissions, Work::Answers] {
        let mut times = [const { [const { Vec::new() }; 2] }; WAYS.len()];
        for _ in 0..options.rounds {
            for (index, (_, ledger)) in pair.iter_mut().enumerate() {
                for (times, before) in times.iter_mut().zip(WAYS) {
                    times[index].push(work.block(ledger, before)?);
                }
            }
        }
        let numbers = [pair[0].0, pair[1].0];
        for (before, times) in WAYS.into_iter().zip(times) {
            let medians = times.map(|of_chain| BlockTime::median(&of_chain).whole());
            table::print_growth(what, numbers, work, before, medians);
        }
    }
    Ok(())
}

/// The content of a block in the measurements of nodes and tasks.
#[derive(Clone, Copy)]
enum Work {
    /// [`TRANSFERS`] transfers.
    Transfers,
    /// [`TASKS`] submissions, with the draw of inference nodes in the next block.
    Submissions,
    /// [`TASKS`] answers, with the draw of committees in the next block.
    Answers,
}

impl Work {
    fn block(self, ledger: &mut Ledger, before: Before) -> Result<BlockTime, Box<dyn Error>> {
        let txs = match self {
            Self::Transfers => ledger.transfers(ALL_SENDERS, TRANSFERS),
            Self::Submissions => ledger.submissions(TASKS),
            Self::Answers => {
                Self::Submissions.block(ledger, Before::Nothing)?;
                ledger.answers(TASKS)?
            }
        };
        let time = block(&mut ledger.chain, &txs, before)?;
        Ok(match self {
            Self::Transfers => time,
            Self::Submissions | Self::Answers => time.plus(block(&mut ledger.chain, &[], before)?),
        })
    }
}

impl fmt::Display for Work {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Transfers => write!(f, "{TRANSFERS} transfers"),
            Self::Submissions => write!(f, "{TASKS} tasks submitted, nodes drawn"),
            Self::Answers => write!(f, "{TASKS} answers, committees drawn"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chain_holds_what_was_asked() {
        let size = Size {
            accounts: MIN_ACCOUNTS + 10,
            nodes: 50,
            tasks: 1_000,
        };
        let mut ledger = Ledger::new(size).unwrap();
        let tasks = ledger.chain.tasks();
        assert_eq!(tasks.len(), 1_000);
        assert!(tasks.iter().all(|task| !task.record_sha256.is_empty()));
        assert_eq!(ledger.chain.evaluators.len(), 25);
        let balances = ledger.chain.app.balances(None).unwrap();
        // Nodes, the user, two validators and the protocol's account also have balances.
        assert!(balances.len() as u64 >= size.accounts + size.nodes + 3);

        for work in [Work::Transfers, Work::Submissions, Work::Answers] {
            work.block(&mut ledger, Before::Accepted).unwrap();
        }
        assert_eq!(ledger.chain.task(1_000 + 2 * TASKS).committees.len(), 1);
        let (first, again) = recheck(&mut ledger).unwrap();
        assert!(!first.wall.is_zero() && !again.wall.is_zero());
    }
}
