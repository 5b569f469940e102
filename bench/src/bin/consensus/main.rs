//! Measures the application's CPU time for a consensus on the quality of tasks.
//!
//! One process drives the real application through its public interface: it finalizes and commits blocks
//! of signed transactions, with the store on disk. Evaluators and inference nodes do the duties that the
//! chain assigns. Two rounds fill the chain first, so that every measured block also prunes old versions
//! and compacts the records of finished tasks. Signing is not measured.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod costs;
mod round;
#[path = "../../../../app/tests/support/mod.rs"]
mod support;
#[path = "../../work.rs"]
mod work;

use std::error::Error;

use clap::Parser;
use poq_bench::Cpu;

use costs::Costs;
use round::{BLOCKS, Round};
use support::{Chain, People};

/// Unmeasured rounds. The third round is the first that compacts a task.
const WARM_UP: usize = 2;
/// No less than a round's blocks, so that the versions of a round are pruned in the next.
const KEPT_VERSIONS: u64 = 8;
const INFERENCE_NODES: u8 = 8;

/// Measures the CPU time of Proof of Quality consensus per task.
#[derive(Parser)]
struct Options {
    /// Sizes of the committee, K
    #[arg(long, value_delimiter = ',', default_value = "3,5,7,9,13,17,21")]
    committees: Vec<u32>,
    /// Tasks in flight at once
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=500))]
    tasks: u32,
    /// Evaluators to draw committees from
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u8).range(1..=150))]
    evaluators: u8,
    /// Measured rounds; each brings all tasks in flight from prompt to payout
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    poq_bench::use_one_processor()?;
    println!(
        "{}; {} tasks in flight, {} evaluators, {} rounds",
        poq_client::machine(),
        options.tasks,
        options.evaluators,
        options.rounds
    );
    for (title, items) in [
        (
            "One transaction per evaluator and block, as the workers send them",
            usize::MAX,
        ),
        ("One transaction per commit and reveal", 1),
    ] {
        println!("\n{title}; CPU time in µs per task:\n");
        costs::print_header();
        for size in &options.committees {
            measure(&options, *size, items)?.print(*size);
        }
    }
    println!("\n{} at the end", poq_client::machine());
    Ok(())
}

/// Costs of the measured rounds of a new chain, with at most `items` items in a transaction.
fn measure(options: &Options, committee_size: u32, items: usize) -> Result<Costs, Box<dyn Error>> {
    let params = poq_proto::v1::Params {
        committee_size,
        // Leaves room for the few drawn audits. The reference evaluator has no score for these answers, so
        // no node is slashed.
        audit_window: 2,
        audit_delay: 1,
        max_audits_per_block: options.tasks,
        // Some of the tasks before may still be audited.
        max_open_tasks: options.tasks * 2,
        task_retention: WARM_UP as u64 * BLOCKS,
        ..support::params()
    };
    let store = poq_app::Options {
        keep_versions: KEPT_VERSIONS,
    };
    let people = People::new(INFERENCE_NODES, options.evaluators);
    // Votes have no VRF outputs, because their computation by validators is not measured.
    let mut chain = Chain::begin(&people.genesis(params), store, people, false);
    let round = Round {
        tasks: options.tasks as usize,
        committee_size: committee_size as usize,
        items,
    };
    for _ in 0..WARM_UP {
        round.run(&mut chain)?;
    }
    let mut costs = Costs::default();
    let (measured, cpu) = Cpu::of(|| {
        (0..options.rounds).try_for_each(|_| {
            costs += round.run(&mut chain)?;
            Ok::<_, Box<dyn Error>>(())
        })
    })?;
    measured?;
    costs.background = cpu.elsewhere.saturating_sub(costs.elsewhere);
    Ok(costs)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_run_brings_every_task_to_its_end() {
        let options = Options::parse_from(["bench", "--tasks", "5", "--rounds", "1"]);
        for (items, transactions) in [(usize::MAX, 1..=30), (1, 30..=30)] {
            let costs = measure(&options, 3, items).unwrap();
            assert_eq!(costs.tasks, 5);
            assert!(transactions.contains(&costs.transactions));
        }
    }
}
