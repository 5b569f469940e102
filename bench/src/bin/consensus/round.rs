//! A round: tasks from prompt to payout, with a block for each phase.

use std::error::Error;

use poq_bench::signatures::{Signed, verify};
use poq_proto::v1::*;

use super::costs::Costs;
use super::support::{CHAIN_ID, Chain, Draft, any, submit_message};
use super::work::{block, check, duties_done, signed};

/// Blocks of a round: submission, draw, answers, draw, commits, reveals, lottery of audits, payout.
pub(crate) const BLOCKS: u64 = 8;

const ANSWER_BYTES: usize = 500;

/// The work of one round.
pub(crate) struct Round {
    /// Tasks in flight.
    pub tasks: usize,
    /// Seats of each committee.
    pub committee_size: usize,
    /// Largest number of items per transaction.
    pub items: usize,
}

impl Round {
    /// Brings new tasks to their payout in [`BLOCKS`] blocks.
    ///
    /// # Errors
    /// If a transaction fails, or a task does not take the undisturbed path.
    pub(crate) fn run(&self, chain: &mut Chain) -> Result<Costs, Box<dyn Error>> {
        let mut costs = Costs {
            tasks: u32::try_from(self.tasks)?,
            ..Costs::default()
        };
        let elsewhere = &mut costs.elsewhere;
        let prompts = self.ask(chain);
        costs.submit = block(chain, &prompts, elsewhere)? + block(chain, &[], elsewhere)?;
        let answer = "a".repeat(ANSWER_BYTES);
        let answers = duties_done(chain, Role::Inference, self.items, &answer);
        costs.answer = block(chain, &answers, elsewhere)? + block(chain, &[], elsewhere)?;
        for phase in [&mut costs.commit, &mut costs.reveal] {
            let scores = duties_done(chain, Role::Evaluator, self.items, &answer);
            costs.transactions += u32::try_from(scores.len())?;
            costs.signatures += verify(&scores, CHAIN_ID)?;
            costs.checks += check(chain, &scores)?;
            *phase = block(chain, &scores, elsewhere)?;
        }
        costs.payout = block(chain, &[], elsewhere)? + block(chain, &[], elsewhere)?;
        self.require_results(chain)?;
        Ok(costs)
    }

    fn ask(&self, chain: &mut Chain) -> Vec<Signed> {
        let message = any(&submit_message(&chain.user));
        (0..self.tasks)
            .map(|_| {
                let draft = Draft::new(&chain.user, vec![message.clone()]);
                signed(&mut chain.user, &draft)
            })
            .collect()
    }

    /// Checks that the last tasks are final and that every seat of their first committee revealed.
    fn require_results(&self, chain: &Chain) -> Result<(), Box<dyn Error>> {
        let end = chain.height / BLOCKS * self.tasks as u64;
        for id in end + 1 - self.tasks as u64..=end {
            let task = chain.task(id);
            let revealed = task.committees.first().map_or(0, |committee| {
                let seats = committee.seats.iter();
                seats.filter(|seat| seat.reveal.is_some()).count()
            });
            // A drawn audit may delay the end.
            let is_over = task.status() == TaskStatus::Final || task.audit.is_some();
            if !is_over || revealed != self.committee_size {
                return Err(format!("a task was disturbed: {task:?}").into());
            }
        }
        Ok(())
    }
}
