//! The costs of answers.

use std::error::Error;
use std::ops::AddAssign;
use std::time::Duration;

use poq_app::block::proposal_bytes;
use poq_bench::signatures::{Signed, verify};

use super::support::{CHAIN_ID, Chain};
use super::work::{block, check};

/// A part of the way from the opening, or the question, to the payment.
#[derive(Clone, Copy)]
pub(crate) enum Phase {
    /// Openings or questions, and draws of inference nodes.
    Open,
    /// Settlements of sessions, and draws of leaves.
    Settle,
    /// Answers or revealed leaves, and draws of committees.
    Answer,
    /// Commitments of all seats.
    Commit,
    /// Reveals of all seats, aggregation and settlement.
    Reveal,
    /// Payouts and updates of reputations.
    Pay,
}

/// CPU time and bytes of a number of answers.
#[derive(Clone, Copy, Default)]
pub(crate) struct Costs {
    /// Number of paid answers.
    pub answers: u32,
    /// Number of them that committees scored.
    pub scored: u32,
    /// Time of the blocks of each [`Phase`].
    pub phases: [Duration; 6],
    /// Verification of the signatures of all transactions. Blocks do not repeat it, because the mempool
    /// has checked the transactions.
    pub signatures: Duration,
    /// Part of the blocks' time spent in other threads, which write rows after the commit.
    pub elsewhere: Duration,
    /// Other threads' time between the blocks, in which the store writes and compacts files.
    pub background: Duration,
    /// Transactions in blocks.
    pub bytes: usize,
}

impl AddAssign for Costs {
    fn add_assign(&mut self, other: Self) {
        self.answers += other.answers;
        self.scored += other.scored;
        for (sum, time) in self.phases.iter_mut().zip(other.phases) {
            *sum += time;
        }
        self.signatures += other.signatures;
        self.elsewhere += other.elsewhere;
        self.background += other.background;
        self.bytes += other.bytes;
    }
}

impl Costs {
    /// Time of all blocks and of all background work, with one verification of every signature.
    pub(crate) fn whole(&self) -> Duration {
        self.phases.iter().sum::<Duration>() + self.signatures + self.background
    }

    /// Executes a block of these transactions, which the mempool checks first, and `more` empty ones.
    pub(crate) fn blocks(
        &mut self,
        chain: &mut Chain,
        phase: Phase,
        signed: &[Signed],
        more: u64,
    ) -> Result<(), Box<dyn Error>> {
        self.signatures += verify(signed, CHAIN_ID)?;
        check(chain, signed)?;
        let time = &mut self.phases[phase as usize];
        *time += block(chain, signed, &mut self.elsewhere)?;
        for _ in 0..more {
            *time += block(chain, &[], &mut self.elsewhere)?;
        }
        let bytes = signed.iter().map(|one| proposal_bytes(one.tx.len()));
        self.bytes += bytes.sum::<usize>();
        Ok(())
    }
}
