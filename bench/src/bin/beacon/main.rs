//! Measures the CPU time of VRF outputs per block and node, by the number of validators.
//!
//! All applications start from the same genesis. One gets every vote, prepares a proposal, accepts it
//! and executes it, like a validator. The others get only the block, like a node that catches up, and
//! must verify everything in it.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

#[path = "../../../../app/tests/support/mod.rs"]
mod support;

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use clap::Parser;
use poq_app::block::Block;
use poq_app::modules::beacon::{ExtendedVote, Input, LastCommit, Secret, beacon_after_hash};
use poq_app::{App, Options as AppOptions};
use poq_bench::figures::print_table;

use support::{CHAIN_ID, People, TextScorer, Wallet, params, powers, vote};

/// Size limit of a block.
const MAX_BYTES: usize = 4 << 20;

/// Measures the cost of VRF outputs.
#[derive(Parser)]
struct Options {
    /// Numbers of validators
    #[arg(long, value_delimiter = ',', default_value = "4,20,100,200")]
    validators: Vec<u8>,
    /// Measured chains for each number; the fastest counts
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=100))]
    rounds: u32,
}

fn main() -> Result<(), Box<dyn Error>> {
    let options = Options::parse();
    poq_bench::use_one_processor()?;
    println!(
        "{}; CPU time in ms, fastest of {} rounds\n",
        poq_client::machine(),
        options.rounds
    );
    let mut rows = Vec::new();
    for validators in &options.validators {
        let mut best = Costs::measure(*validators)?;
        for _ in 1..options.rounds {
            best = best.fastest(Costs::measure(*validators)?);
        }
        rows.push(best.row(*validators));
    }
    print_table(
        &[
            "validators",
            "bytes in a block",
            "extend its vote",
            "verify the others' votes",
            "prepare",
            "process",
            "finalize",
            "process, nothing remembered",
            "finalize, nothing remembered",
        ],
        &rows,
    );
    println!("\n{} at the end", poq_client::machine());
    Ok(())
}

/// CPU times of one block.
struct Costs {
    bytes: usize,
    times: [Duration; 7],
}

impl Costs {
    fn measure(validators: u8) -> Result<Self, Box<dyn Error>> {
        let people = People {
            user: Wallet::new(1, 0),
            inference: Vec::new(),
            evaluators: Vec::new(),
            validators: (0..validators)
                .map(|index| Wallet::new(30 + index, 1 + u64::from(index)))
                .collect(),
        };
        let mut genesis = people.genesis(params());
        let mut secrets = Vec::new();
        for (index, validator) in (1..).zip(&mut genesis.validators) {
            let secret = Secret::from_seed(&[index; 32]).ok_or("no seed")?;
            validator.vrf_key = secret.public_key().to_vec();
            secrets.push(secret);
        }
        let genesis = serde_json::to_vec(&genesis)?;
        let powers = powers(&people.validators);
        let folders = [
            tempfile::tempdir()?,
            tempfile::tempdir()?,
            tempfile::tempdir()?,
        ];
        let mut apps = Vec::new();
        for folder in &folders {
            let app = App::open(folder.path(), AppOptions::default(), Arc::new(TextScorer))?;
            app.init_chain(CHAIN_ID, &genesis, &powers, 1)?;
            apps.push(app);
        }
        let addresses: Vec<_> = people
            .validators
            .iter()
            .map(|wallet| vote(wallet, 1).address)
            .collect();
        let input = |place: usize| Input {
            chain_id: CHAIN_ID,
            height: 1,
            previous: beacon_after_hash(&[], CHAIN_ID.as_bytes()),
            validator: &addresses[place],
        };
        let (extension, extend) = timed(|| secrets[0].extension(&input(0)))?;
        let mut votes = Vec::new();
        let mut last_commit = LastCommit::default();
        for (place, (wallet, secret)) in people.validators.iter().zip(&secrets).enumerate() {
            let signed = vote(wallet, support::POWER);
            votes.push(ExtendedVote {
                address: signed.address.clone(),
                extension: secret.extension(&input(place)).to_vec(),
            });
            last_commit.total_power += signed.power;
            last_commit.votes.push(signed);
        }
        assert_eq!(votes[0].extension, extension);
        let (verified, verify) = timed(|| {
            let mut others = votes[1..].iter();
            others.try_for_each(|vote| apps[0].verify_vote_extension(1, vote))
        })?;
        verified?;
        let none: [Vec<u8>; 0] = [];
        for app in &apps {
            app.finalize_block(&Block::new(1, &[1; 32], &none))?;
            app.commit()?;
        }
        let candidates = Block {
            last_commit: last_commit.clone(),
            ..Block::new(2, &[], &none)
        };
        let (txs, prepare) = timed(|| apps[0].prepare_proposal(&candidates, &votes, MAX_BYTES))?;
        let txs = txs?;
        let block = |hash| Block {
            last_commit: last_commit.clone(),
            ..Block::new(2, hash, &txs)
        };
        let process = |app: &App| -> Result<Duration, Box<dyn Error>> {
            let accepted = block(&[1; 32]);
            let (outcome, time) = timed(|| app.process_proposal(&accepted))?;
            outcome?;
            // Wait for the work that follows an accepted proposal.
            app.finalize_block(&accepted)?;
            Ok(time)
        };
        // Another block, so that no part of it was executed before.
        let finalize = |app: &App| -> Result<Duration, Box<dyn Error>> {
            let (finalized, time) = timed(|| app.finalize_block(&block(&[2; 32])))?;
            finalized?;
            Ok(time)
        };
        let times = [
            extend,
            verify,
            prepare,
            process(&apps[0])?,
            finalize(&apps[0])?,
            process(&apps[1])?,
            finalize(&apps[2])?,
        ];
        Ok(Self {
            bytes: txs[0].len(),
            times,
        })
    }

    fn fastest(mut self, other: Self) -> Self {
        for (time, other) in self.times.iter_mut().zip(other.times) {
            *time = (*time).min(other);
        }
        self
    }

    fn row(&self, validators: u8) -> Vec<String> {
        let times = self.times.iter();
        let times = times.map(|time| format!("{:.2}", time.as_secs_f64() * 1e3));
        [validators.to_string(), self.bytes.to_string()]
            .into_iter()
            .chain(times)
            .collect()
    }
}

/// Returns the result of a step and its CPU time.
fn timed<T>(step: impl FnOnce() -> T) -> Result<(T, Duration), Box<dyn Error>> {
    let start = poq_bench::process_cpu()?;
    let given = step();
    Ok((given, poq_bench::process_cpu()? - start))
}
