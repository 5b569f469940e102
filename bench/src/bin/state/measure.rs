//! Measures the parts of a block.

use std::error::Error;
use std::time::{Duration, Instant};

use poq_app::block::Block;
use poq_app::tx::Signatures;

use super::support::Chain;

/// An interval in which an idle process uses hardly any CPU time.
const PAUSE: Duration = Duration::from_millis(20);

/// A duration on the clock and in CPU time.
#[derive(Clone, Copy, Default)]
pub(crate) struct Time {
    /// Time on the clock, including waits for the disk.
    pub wall: Duration,
    /// CPU time of all threads, including RocksDB's background threads.
    pub cpu: Duration,
}

impl Time {
    /// Measures `work`.
    pub(crate) fn of<T>(work: impl FnOnce() -> T) -> nix::Result<(T, Self)> {
        let (wall, cpu) = (Instant::now(), poq_bench::process_cpu()?);
        let done = work();
        let time = Self {
            cpu: poq_bench::process_cpu()? - cpu,
            wall: wall.elapsed(),
        };
        Ok((done, time))
    }

    fn plus(self, other: Self) -> Self {
        Self {
            wall: self.wall + other.wall,
            cpu: self.cpu + other.cpu,
        }
    }

    /// The medians of clock and CPU time, each on its own; zero without samples.
    pub(crate) fn median(times: impl Iterator<Item = Self> + Clone) -> Self {
        let median = |mut all: Vec<Duration>| {
            all.sort_unstable();
            all.get(all.len() / 2).copied().unwrap_or_default()
        };
        Self {
            wall: median(times.clone().map(|time| time.wall).collect()),
            cpu: median(times.map(|time| time.cpu).collect()),
        }
    }
}

/// Times of one block.
#[derive(Clone, Copy, Default)]
pub(crate) struct BlockTime {
    /// The mempool's checks of its transactions; zero if they were not checked.
    pub check: Time,
    /// `ProcessProposal`, with the CPU time of the work during votes; zero if the block was not proposed.
    pub process: Time,
    /// `FinalizeBlock`.
    pub finalize: Time,
    /// `Commit`.
    pub commit: Time,
    /// Writes after `Commit`, while consensus continues.
    pub behind: Time,
}

impl BlockTime {
    /// The time that consensus waits, on the clock: `FinalizeBlock`, `Commit` and, for a proposed block,
    /// `ProcessProposal`. The CPU time is that of the whole block.
    pub(crate) fn whole(&self) -> Time {
        let waited = self.process.plus(self.finalize).plus(self.commit);
        Time {
            cpu: waited.cpu + self.behind.cpu,
            ..waited
        }
    }

    /// The sum of two blocks' times.
    pub(crate) fn plus(self, other: Self) -> Self {
        Self {
            check: self.check.plus(other.check),
            process: self.process.plus(other.process),
            finalize: self.finalize.plus(other.finalize),
            commit: self.commit.plus(other.commit),
            behind: self.behind.plus(other.behind),
        }
    }

    /// The median of each part.
    pub(crate) fn median(times: &[Self]) -> Self {
        Self {
            check: Time::median(times.iter().map(|time| time.check)),
            process: Time::median(times.iter().map(|time| time.process)),
            finalize: Time::median(times.iter().map(|time| time.finalize)),
            commit: Time::median(times.iter().map(|time| time.commit)),
            behind: Time::median(times.iter().map(|time| time.behind)),
        }
    }
}

/// The treatment of a block's transactions before the block is decided.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Before {
    /// None, as on a node that catches up.
    Nothing,
    /// The mempool checked them.
    Checked,
    /// The mempool checked them and the node accepted the proposal. Votes take as long as the work that
    /// follows.
    Accepted,
}

/// Executes a block of transactions, all of which must succeed.
///
/// # Errors
/// If one fails, or the store does.
pub(crate) fn block(
    chain: &mut Chain,
    txs: &[Vec<u8>],
    before: Before,
) -> Result<BlockTime, Box<dyn Error>> {
    let check = match before {
        Before::Nothing => Time::default(),
        Before::Checked | Before::Accepted => check(chain, txs, Signatures::Verify)?,
    };
    let height = chain.height + 1;
    let hash = height.to_be_bytes().repeat(4);
    let block = chain.next(&hash, txs);
    let process = match before {
        Before::Nothing | Before::Checked => Time::default(),
        Before::Accepted => accept(chain, &block)?,
    };
    let (finalized, finalize) = Time::of(|| chain.app.finalize_block(&block))?;
    let (outcome, app_hash) = finalized?;
    let (committed, commit) = Time::of(|| chain.app.commit())?;
    committed?;
    let (flushed, mut behind) = Time::of(|| chain.app.flush())?;
    flushed?;
    behind.cpu += settle()?;
    (chain.height, chain.app_hash) = (height, app_hash);
    match outcome.results.iter().find(|result| result.code != 0) {
        Some(failed) => Err(format!("a transaction failed: {}", failed.log).into()),
        None => Ok(BlockTime {
            check,
            process,
            finalize,
            commit,
            behind,
        }),
    }
}

/// Lets the application accept a proposal, and waits as for votes.
fn accept(chain: &Chain, block: &Block<'_, Vec<u8>>) -> Result<Time, Box<dyn Error>> {
    let (accepted, mut process) = Time::of(|| chain.app.process_proposal(block))?;
    accepted?;
    process.cpu += settle()?;
    Ok(process)
}

/// Waits until both the application's work for an accepted proposal and RocksDB's work after a block are
/// done, and returns the CPU time used.
fn settle() -> nix::Result<Duration> {
    let begin = poq_bench::process_cpu()?;
    let mut used = begin;
    loop {
        std::thread::sleep(PAUSE);
        let before = std::mem::replace(&mut used, poq_bench::process_cpu()?);
        if used - before < PAUSE / 10 {
            return Ok(used - begin);
        }
    }
}

/// Checks transactions for the mempool, all of which must pass.
///
/// # Errors
/// If one is refused.
pub(crate) fn check(
    chain: &Chain,
    txs: &[Vec<u8>],
    signatures: Signatures,
) -> Result<Time, Box<dyn Error>> {
    let (checked, time) = Time::of(|| {
        txs.iter()
            .try_for_each(|tx| chain.app.check_tx(tx, signatures).map(drop))
    })?;
    checked?;
    Ok(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_of_each_clock() {
        let time = |wall, cpu| Time {
            wall: Duration::from_millis(wall),
            cpu: Duration::from_millis(cpu),
        };
        let median = Time::median([time(9, 1), time(2, 2), time(3, 7)].into_iter());
        assert_eq!(median.wall, Duration::from_millis(3));
        assert_eq!(median.cpu, Duration::from_millis(2));
        assert_eq!(Time::median(std::iter::empty()).wall, Duration::ZERO);
    }
}
