//! A round: tasks from prompt to payout, with a block for each phase.

use std::error::Error;
use std::time::Duration;

use poq_app::tx::Signatures;
use poq_proto::v1::*;

use super::costs::Costs;
use super::signatures::{Signed, verify};
use super::support::{Chain, Draft, Wallet, any, duty_message, submit_message};

/// Blocks of a round: submission, draw, answers, draw, commits, reveals, lottery of audits, payout.
pub(crate) const BLOCKS: u64 = 8;

const ANSWER_BYTES: usize = 500;
/// Raw score of the first evaluator; the others' differ slightly.
const SCORE: i32 = 4_000_000;
/// Largest number of duties per query.
const PAGE: u32 = 1_000;

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
        let answers = self.work(chain, Role::Inference);
        costs.answer = block(chain, &answers, elsewhere)? + block(chain, &[], elsewhere)?;
        for phase in [&mut costs.commit, &mut costs.reveal] {
            let scores = self.work(chain, Role::Evaluator);
            costs.transactions += u32::try_from(scores.len())?;
            costs.signatures += verify(&scores)?;
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
                let tx = chain.user.sign(vec![message.clone()]);
                Signed::new(&chain.user, tx)
            })
            .collect()
    }

    /// Transactions in which every node of the role does all of its duties.
    fn work(&self, chain: &mut Chain, role: Role) -> Vec<Signed> {
        let answer = "a".repeat(ANSWER_BYTES);
        let mut txs = Vec::new();
        for index in 0..wallets(chain, role).len() {
            let operator = wallets(chain, role)[index].address.clone();
            let duties = duties(chain, role, &operator);
            let wallet = &mut wallets(chain, role)[index];
            let score = SCORE + wallet.number as i32 * 1_000;
            for batch in duties.chunks(self.items) {
                let message = duty_message(wallet, batch, &answer, score);
                let draft = Draft::new(wallet, vec![message]);
                txs.push(Signed::new(wallet, draft.free().sign(wallet)));
                wallet.sequence += 1;
            }
        }
        txs
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

fn wallets(chain: &mut Chain, role: Role) -> &mut [Wallet] {
    match role {
        Role::Inference => &mut chain.inference,
        _ => &mut chain.evaluators,
    }
}

fn duties(chain: &Chain, role: Role, operator: &str) -> Vec<Duty> {
    let request = QueryDutiesRequest {
        role: role.into(),
        operator: operator.into(),
        after: 0,
        limit: PAGE,
    };
    let answer: QueryDutiesResponse = chain.query("/poq.v1.Query/Duties", &request);
    answer.duties
}

/// CPU time of the mempool's checks of transactions.
fn check(chain: &Chain, signed: &[Signed]) -> Result<Duration, Box<dyn Error>> {
    let txs = bytes(signed);
    let start = poq_bench::thread_cpu()?;
    for tx in &txs {
        chain.app.check_tx(tx, Signatures::Verify)?;
    }
    Ok(poq_bench::thread_cpu()? - start)
}

/// CPU time of accepting, finalizing and committing a block, and of writing its rows after the commit. The
/// share of other threads is also added to `elsewhere`.
fn block(
    chain: &mut Chain,
    signed: &[Signed],
    elsewhere: &mut Duration,
) -> Result<Duration, Box<dyn Error>> {
    let txs = bytes(signed);
    let (process, thread) = (poq_bench::process_cpu()?, poq_bench::thread_cpu()?);
    let results = chain.proposed_block(&txs);
    chain.app.flush()?;
    let time = poq_bench::process_cpu()? - process;
    *elsewhere += time.saturating_sub(poq_bench::thread_cpu()? - thread);
    match results.iter().find(|result| result.code != 0) {
        Some(failed) => Err(format!("a transaction failed: {}", failed.log).into()),
        None => Ok(time),
    }
}

fn bytes(signed: &[Signed]) -> Vec<Vec<u8>> {
    signed.iter().map(|signed| signed.tx.clone()).collect()
}
