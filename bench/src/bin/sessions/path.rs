//! The ways of answers from the opening, or the question, to the payment, with a block for each phase.

use std::error::Error;
use std::ops::Range;

use poq_app::modules::params::default_sessions;
use poq_bench::signatures::Signed;
use poq_proto::v1::*;

use super::costs::{Costs, Phase};
use super::log::{Log, chat};
use super::support::{Chain, Draft, GAS, MODEL, any, coin, find, submit_message};
use super::work::{duties_done, free, signed};
use super::{Options, model, public_key, session_key};

/// Blocks of a round: opening, draw, settlement, draw, reveals of leaves, draw, commits, reveals, lottery of
/// audits, their scores and payout. A task has no settlement.
pub(crate) const BLOCKS: u64 = 8 + PAY_BLOCKS;
/// Until the last drawn audit is over.
const PAY_BLOCKS: u64 = 5;
/// Blocks for which a session takes orders; these sessions are settled at once.
const OPEN_BLOCKS: u64 = 100;

/// How answers are asked for and paid.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A task each.
    Task,
    /// As leaves of sessions.
    Session {
        /// Answers of each session.
        answers: u32,
        /// Sessions of each set, with different nodes.
        set: u32,
    },
}

impl Kind {
    /// The number of tasks or sessions in flight, so that about `tasks` answers are scored at once.
    fn in_flight(self, tasks: u32, price: u64) -> u32 {
        let Self::Session { answers, set } = self else {
            return tasks;
        };
        let rules = default_sessions();
        let parts = u64::from(answers) * price / rules.sample_value + 1;
        let points = u32::try_from(parts).unwrap_or(u32::MAX);
        let scored = points
            .clamp(rules.min_samples, rules.max_samples)
            .min(answers);
        (tasks / scored).next_multiple_of(set).max(set)
    }
}

/// Rounds of one kind.
pub(crate) struct Path {
    kind: Kind,
    count: u32,
    /// The question, besides the tests' system message.
    question: String,
    answer: String,
    /// The id of the next round's first task or session.
    next: u64,
}

impl Path {
    /// Rounds with the sizes of `options`.
    pub(crate) fn new(options: &Options, kind: Kind) -> Self {
        let system = chat("").prompt_bytes();
        let question = u64::from(options.prompt).saturating_sub(system) as usize;
        let answer = "a".repeat(options.answer as usize);
        let terms = model().terms();
        let price = terms.price(options.prompt.into(), options.answer.into());
        Self {
            kind,
            count: kind.in_flight(options.tasks, price),
            question: "q".repeat(question),
            answer,
            next: 1,
        }
    }

    /// Brings new answers to their payment in [`BLOCKS`] blocks.
    ///
    /// # Errors
    /// If a transaction fails, or if a task or session does not end.
    pub(crate) fn run(&mut self, chain: &mut Chain) -> Result<Costs, Box<dyn Error>> {
        let mut costs = Costs::default();
        match self.kind {
            Kind::Task => self.tasks(chain, &mut costs)?,
            Kind::Session { answers, set } => self.sessions(chain, &mut costs, answers, set)?,
        }
        Ok(costs)
    }

    fn tasks(&mut self, chain: &mut Chain, costs: &mut Costs) -> Result<(), Box<dyn Error>> {
        let system = chat("").prompt_bytes() as usize;
        let message = any(&MsgSubmitTask {
            prompt: "q".repeat(self.question.len() + system),
            max_fee: 1_000_000,
            ..submit_message(&chain.user)
        });
        let asked: Vec<Signed> = (0..self.count)
            .map(|_| {
                let draft = Draft::new(&chain.user, vec![message.clone()]);
                signed(&mut chain.user, &draft)
            })
            .collect();
        costs.blocks(chain, Phase::Open, &asked, 1)?;
        let answers = duties_done(chain, Role::Inference, usize::MAX, &self.answer);
        costs.blocks(chain, Phase::Answer, &answers, 1)?;
        score_and_pay(chain, costs)?;
        (costs.answers, costs.scored) = (self.count, self.count);
        for id in self.next_ids() {
            let task = chain.task(id);
            if task.status() != TaskStatus::Final {
                return Err(format!("a task was disturbed: {task:?}").into());
            }
        }
        Ok(())
    }

    fn sessions(
        &mut self,
        chain: &mut Chain,
        costs: &mut Costs,
        answers: u32,
        set: u32,
    ) -> Result<(), Box<dyn Error>> {
        let opened: Vec<_> = (0..self.count / set).map(|_| opening(chain, set)).collect();
        costs.blocks(chain, Phase::Open, &opened, 1)?;
        let ids = self.next_ids();
        let logs: Vec<_> = ids.map(|id| self.serve(id, answers)).collect();
        let settled: Vec<_> = logs.iter().map(|log| settle(chain, log)).collect();
        costs.blocks(chain, Phase::Settle, &settled, 1)?;
        let leaves: Vec<_> = logs.iter().map(|log| reveal(chain, log)).collect();
        costs.blocks(chain, Phase::Answer, &leaves, 1)?;
        score_and_pay(chain, costs)?;
        for log in &logs {
            let session = chain.session(log.session);
            if session.status() != SessionStatus::Final {
                return Err(format!("a session was disturbed: {session:?}").into());
            }
            let leaves = session.settlement.unwrap_or_default().leaves;
            costs.scored += u32::try_from(leaves.len())?;
        }
        costs.answers = self.count * answers;
        Ok(())
    }

    fn next_ids(&mut self) -> Range<u64> {
        let ids = self.next..self.next + u64::from(self.count);
        self.next = ids.end;
        ids
    }

    fn serve(&self, session: u64, answers: u32) -> Log {
        let mut log = Log {
            terms: model().terms(),
            ..Log::new(session)
        };
        for _ in 0..answers {
            log.serve(&self.question, &self.answer);
        }
        log
    }
}

fn score_and_pay(chain: &mut Chain, costs: &mut Costs) -> Result<(), Box<dyn Error>> {
    for phase in [Phase::Commit, Phase::Reveal] {
        let scores = duties_done(chain, Role::Evaluator, usize::MAX, "");
        costs.blocks(chain, phase, &scores, 0)?;
    }
    costs.blocks(chain, Phase::Pay, &[], PAY_BLOCKS - 1)
}

/// A transaction that opens a set, with an escrow for every number of answers.
fn opening(chain: &mut Chain, nodes: u32) -> Signed {
    let limits = default_sessions();
    let user = &mut chain.user;
    let message = MsgOpenSessions {
        user: user.address.clone(),
        model: MODEL.into(),
        nodes,
        escrow: limits.sample_value * u64::from(limits.max_samples),
        session_key: public_key(&session_key()),
        blocks: OPEN_BLOCKS,
        scoring: SessionScoring::Sampled.into(),
    };
    let mut draft = Draft::new(user, vec![any(&message)]);
    if let Some(fee) = &mut draft.auth_info.fee {
        let gas = GAS * u64::from(nodes);
        (fee.gas_limit, fee.amount) = (gas, vec![coin(gas / 100)]);
    }
    signed(user, &draft)
}

/// A transaction in which a session's node settles it.
fn settle(chain: &mut Chain, log: &Log) -> Signed {
    let operator = operator(&chain.session(log.session));
    let message = MsgSettleSessions {
        operator: operator.clone(),
        items: vec![log.settle_item(0)],
    };
    free(find(&mut chain.inference, &operator), any(&message))
}

/// A transaction in which it reveals all drawn leaves.
fn reveal(chain: &mut Chain, log: &Log) -> Signed {
    let session = chain.session(log.session);
    let operator = operator(&session);
    let drawn = log.drawn(&session);
    let message = MsgRevealLeaves {
        operator: operator.clone(),
        items: drawn.iter().map(|number| log.leaf_item(*number)).collect(),
    };
    free(find(&mut chain.inference, &operator), any(&message))
}

fn operator(session: &Session) -> String {
    let node = session.node.as_ref();
    node.map_or_else(String::new, |node| node.operator.clone())
}
