//! Measures what an answer in a session costs the application, beside a task: CPU time from the opening
//! to the payment, bytes of transactions and of state.
//!
//! One process drives the real application through its public interface, as `bench-consensus` does. The
//! prices and sizes are the same for tasks and for sessions. Answers themselves are made in no time, off
//! the chain; signing and the nodes' logs are not measured.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod costs;
#[path = "../../../../app/tests/sessions/log.rs"]
#[allow(
    dead_code,
    clippy::unwrap_used,
    reason = "the log of the application's tests can do more"
)]
mod log;
mod path;
mod state;
#[path = "../../../../app/tests/support/mod.rs"]
mod support;
mod table;
#[path = "../../work.rs"]
mod work;

use std::error::Error;

use clap::Parser;
use poq_app::modules::params::default_sessions;
use poq_bench::Cpu;
use poq_proto::v1::*;

use costs::Costs;
use path::{BLOCKS, Kind, Path};
use support::{Chain, People, Wallet};
use table::Row;

/// Unmeasured rounds. The third round is the first that compacts records.
const WARM_UP: u64 = 2;
const RETENTION: u64 = WARM_UP * BLOCKS;
/// No less than a round's blocks, so that the versions of a round are pruned in the next.
const KEPT_VERSIONS: u64 = BLOCKS;
const INFERENCE_NODES: u8 = 8;
/// Balance of the user, base units; no run spends it.
const TREASURY: u64 = 1 << 60;

/// Measures the CPU time and bytes of an answer in a session, beside those of a task.
#[derive(Parser)]
struct Options {
    /// Answers of each session
    #[arg(long, value_delimiter = ',', default_value = "1,64,140,300,700", value_parser = clap::value_parser!(u32).range(1..=1_300))]
    answers: Vec<u32>,
    /// Sessions of a set, which one transaction opens
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u32).range(1..=4))]
    set: u32,
    /// Tasks in flight at once; as many leaves of sessions are scored at once
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(1..=500))]
    tasks: u32,
    /// Evaluators to draw committees of five from
    #[arg(long, default_value_t = 32, value_parser = clap::value_parser!(u8).range(6..=150))]
    evaluators: u8,
    /// Bytes of a prompt
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=20_000))]
    prompt: u32,
    /// Bytes of an answer
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    answer: u32,
    /// Measured rounds; each brings all answers in flight from the opening to the payment
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    poq_bench::use_one_processor()?;
    println!(
        "{}; prompts of {} bytes, answers of {}, {} tasks or scored leaves at once, sets of {}, {} \
         evaluators, {} rounds",
        poq_client::machine(),
        options.prompt,
        options.answer,
        options.tasks,
        options.set,
        options.evaluators,
        options.rounds
    );
    let kinds = [Kind::Task]
        .into_iter()
        .chain(options.answers.iter().map(|answers| Kind::Session {
            answers: *answers,
            set: options.set,
        }));
    let rows = kinds
        .map(|kind| measure(&options, kind))
        .collect::<Result<Vec<_>, _>>()?;
    table::print(&rows);
    println!("\n{} at the end", poq_client::machine());
    Ok(())
}

fn measure(options: &Options, kind: Kind) -> Result<Row, Box<dyn Error>> {
    Ok(Row {
        kind,
        costs: costs(options, kind)?,
        state: state::growth(options, kind)?,
    })
}

/// Costs of the measured rounds of a new chain.
fn costs(options: &Options, kind: Kind) -> Result<Costs, Box<dyn Error>> {
    let mut chain = chain(options);
    let mut path = Path::new(options, kind);
    for _ in 0..WARM_UP {
        path.run(&mut chain)?;
    }
    let mut costs = Costs::default();
    let (measured, cpu) = Cpu::of(|| {
        (0..options.rounds).try_for_each(|_| {
            costs += path.run(&mut chain)?;
            Ok::<_, Box<dyn Error>>(())
        })
    })?;
    measured?;
    costs.background = cpu.elsewhere.saturating_sub(costs.elsewhere);
    Ok(costs)
}

/// A new chain with the default parameters of sessions, on which every node offers them.
fn chain(options: &Options) -> Chain {
    let params = Params {
        // Leaves room for the few drawn audits. The reference evaluator has no score for these answers, so
        // no node is slashed.
        audit_window: 2,
        audit_delay: 1,
        max_audits_per_block: options.tasks,
        // Some of the tasks before may still be audited.
        max_open_tasks: options.tasks * 2,
        task_retention: RETENTION,
        sessions: Some(SessionParams {
            max_open_sessions: options.tasks.max(4),
            ..default_sessions()
        }),
        ..support::params()
    };
    let people = People::new(INFERENCE_NODES, options.evaluators);
    let mut genesis = people.genesis(params);
    genesis.models = vec![model()];
    for (node, wallet) in genesis.nodes.iter_mut().zip(&people.inference) {
        node.stream = Some(stream(wallet));
    }
    let user = genesis.accounts.iter_mut().take(1);
    for coin in user.flat_map(|account| &mut account.coins) {
        coin.amount = TREASURY.to_string();
    }
    let store = poq_app::Options {
        keep_versions: KEPT_VERSIONS,
    };
    // Votes have no VRF outputs, because their computation by validators is not measured.
    Chain::begin(&genesis, store, people, false)
}

/// The tests' language model with the prices of local networks.
fn model() -> Model {
    Model {
        base_price: 20_000,
        price_per_prompt_byte: 10,
        price_per_answer_byte: 50,
        ..support::model()
    }
}

fn stream(wallet: &Wallet) -> Stream {
    Stream {
        url: "https://node.example:8443".into(),
        key: public_key(wallet),
        tls_spki_sha256: vec![7; 32],
    }
}

/// The key of the vouchers.
fn session_key() -> Wallet {
    Wallet::new(9, 0)
}

fn public_key(wallet: &Wallet) -> Vec<u8> {
    let point = wallet.key.verifying_key().to_encoded_point(true);
    point.as_bytes().to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_run_brings_every_answer_to_its_end() {
        let options = Options::parse_from(["bench", "--tasks", "20", "--rounds", "1"]);
        let all = |answers| Kind::Session { answers, set: 2 };
        for (kind, answers, scored) in [
            (Kind::Task, 20, 20..=20),
            (all(1), 20, 20..=20),
            (all(20), 40, 2..=16),
        ] {
            let row = measure(&options, kind).unwrap();
            assert_eq!(row.costs.answers, answers);
            assert!(scored.contains(&row.costs.scored), "{}", row.costs.scored);
            assert!(row.costs.bytes > 0 && row.state > 0.0);
        }
    }
}
