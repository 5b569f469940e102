//! Measures the time of blocks without audits and with every task audited.
//!
//! Two chains in one process, with the real application, its store on disk and the real reference
//! evaluator, execute blocks alternately at the pace of a network. In every block tasks are submitted,
//! answered, committed to, revealed and paid; one of the chains audits every settled task.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod flow;
#[path = "../../../../app/tests/support/mod.rs"]
mod support;

use std::error::Error;
use std::path::PathBuf;
use std::sync::Arc;
use std::thread::sleep;
use std::time::{Duration, Instant};

use clap::Parser;
use poq_judge::Judge;
use poqd::node::reference::Reference;

use flow::{Flow, evaluator_model};

/// Unmeasured blocks, from the first submission to the first payout.
const WARM_UP: u32 = 16;

/// Measures blocks without and with audits.
#[derive(Parser)]
struct Options {
    /// Folder with the evaluator model's files
    #[arg(long, default_value_os_t = poq_client::cache().join("models"))]
    evaluator_models: PathBuf,
    /// Measured blocks of each chain
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    blocks: u32,
    /// Tasks submitted in each block
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=100))]
    tasks: u32,
    /// Bytes of an answer
    #[arg(long, default_value_t = 500, value_parser = clap::value_parser!(u32).range(10..=60_000))]
    answer_bytes: u32,
    /// Milliseconds from one block to the next
    #[arg(long, default_value_t = 1_000)]
    interval: u64,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    println!(
        "{}; {} blocks every {} ms, {} tasks in each, answers of {} bytes",
        poq_client::machine(),
        options.blocks,
        options.interval,
        options.tasks,
        options.answer_bytes
    );
    let measured = measure(&options)?;
    println!("one reference score: {} ms\n", milliseconds(measured.score));
    println!("| audited | audits | FinalizeBlock and Commit, ms: p50 | p99 | longest |");
    println!("| --- | --- | --- | --- | --- |");
    for (name, chain) in [
        ("nothing", &measured.without),
        ("every task", &measured.with),
    ] {
        chain.print(name);
    }
    println!("\n{} at the end", poq_client::machine());
    Ok(())
}

struct Measured {
    /// Time of one reference score on one thread.
    score: Duration,
    without: Times,
    with: Times,
}

/// Times of the measured blocks of one chain.
struct Times {
    audits: usize,
    /// In ascending order.
    blocks: Vec<Duration>,
}

impl Times {
    fn print(&self, name: &str) {
        let at = |ppm: usize| {
            let last = self.blocks.len().saturating_sub(1);
            let index = (self.blocks.len() * ppm).div_ceil(1_000_000);
            let found = self.blocks.get(index.saturating_sub(1).min(last));
            milliseconds(found.copied().unwrap_or_default())
        };
        println!(
            "| {name} | {} | {} | {} | {} |",
            self.audits,
            at(500_000),
            at(990_000),
            at(1_000_000)
        );
    }
}

fn measure(options: &Options) -> Result<Measured, Box<dyn Error>> {
    let judge = Arc::new(Judge::new(&options.evaluator_models));
    let reference = Arc::new(Reference(judge.clone()));
    let answer = flow::answer(options.answer_bytes as usize);
    let model = evaluator_model()?;
    judge.load(&model)?;
    let start = Instant::now();
    let score = judge.score(&model, flow::PROMPT, &answer)?;
    let scored = start.elapsed();
    let flow = |rate| Flow::new(rate, options.tasks, reference.clone(), &answer, score);
    let mut flows = [flow(0)?, flow(1_000_000)?];
    let mut times = [const { Vec::new() }; 2];
    for block in 0..WARM_UP + options.blocks {
        let next = Instant::now() + Duration::from_millis(options.interval);
        for (flow, times) in flows.iter_mut().zip(&mut times) {
            let time = flow.block()?;
            if block >= WARM_UP {
                times.push(time);
            }
        }
        sleep(next.saturating_duration_since(Instant::now()));
    }
    let [without, with] = flows;
    let [mut unaudited, mut audited] = times;
    unaudited.sort_unstable();
    audited.sort_unstable();
    Ok(Measured {
        score: scored,
        without: Times {
            audits: without.audits,
            blocks: unaudited,
        },
        with: Times {
            audits: with.audits,
            blocks: audited,
        },
    })
}

fn milliseconds(time: Duration) -> String {
    format!("{:.1}", time.as_secs_f64() * 1_000.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_short_run_audits_every_task_of_one_chain() {
        let options = Options::parse_from(["bench", "--blocks", "3", "--interval", "1"]);
        let measured = measure(&options).unwrap();
        assert_eq!(measured.without.audits, 0);
        assert!(measured.with.audits >= 3);
        assert_eq!(measured.with.blocks.len(), 3);
    }
}
