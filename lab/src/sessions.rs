//! Sessions: many answers of one node to one user, paid at once by a sample. The production state
//! machine opens, settles, draws, scores and pays them, from signed transactions.

mod bill;
mod committees;
mod driver;
mod log;
mod strategy;
mod tasks;

use std::sync::Arc;

use poq_app::modules::params::default_sessions;
use poq_proto::v1::{Params, Role, SessionParams, SessionScoring};
use serde::Serialize;

use crate::casts::STAKE;
use crate::chain::{Beginning, Chain, Member};
use crate::episode::{Setting, fast};
use crate::error::Result;
use crate::world::{MODEL, ModelClass, Reference, SCORER, STANDARD, Scale, World, scorer};

pub use bill::Bill;
pub use strategy::{Node, Ring, Settling, User};

/// The user, the node and the first evaluator among a chain's members.
const USER: usize = 0;
const NODE: usize = 1;
const FIRST_EVALUATOR: usize = 2;
/// Evaluators to draw committees of five from, as in the zoo.
const EVALUATORS: usize = 12;

/// The participants whose profit is studied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Studied {
    /// The user.
    pub user: bool,
    /// The inference node.
    pub node: bool,
    /// The ring's evaluators.
    pub ring: bool,
}

/// Sessions of one user with one node, with the strategies of everybody.
#[derive(Clone, Debug, PartialEq)]
pub struct Play {
    /// The chain's parameters, with sessions.
    pub params: Params,
    /// Prices and costs.
    pub world: World,
    /// The answers that the node's model gives.
    pub class: ModelClass,
    /// The node.
    pub node: Node,
    /// What the node puts on chain.
    pub settling: Settling,
    /// The user.
    pub user: User,
    /// The strategy of the evaluators that act together, and how many they are.
    pub ring: (Ring, usize),
    /// Whose profit counts.
    pub studied: Studied,
    /// Number of sessions at once.
    pub sessions: u32,
    /// Answers ordered in each of them.
    pub answers: u32,
    /// Which of the answers are scored.
    pub scoring: SessionScoring,
}

impl Play {
    /// Honest sessions by a setting's parameters, with the chain's default parameters of sessions and
    /// a short window of reveals. The node is studied.
    pub fn honest(setting: &Setting, sessions: u32, answers: u32) -> Self {
        let play = Self {
            params: setting.params.clone(),
            world: setting.world,
            class: STANDARD,
            node: Node::Honest,
            settling: Settling::Newest,
            user: User::Plain,
            ring: (Ring::Honest, 0),
            studied: Studied {
                node: true,
                ..Studied::default()
            },
            sessions,
            answers,
            scoring: SessionScoring::Sampled,
        };
        play.with(default_sessions())
    }

    /// The same with these parameters of sessions.
    pub fn with(self, sessions: SessionParams) -> Self {
        let params = Params {
            sessions: Some(SessionParams {
                leaf_window: 2,
                max_open_sessions: 100_000,
                ..sessions
            }),
            ..fast(self.params)
        };
        Self { params, ..self }
    }

    fn members(&self) -> Vec<Member> {
        let member = |role, model, stake| Member { role, model, stake };
        let evaluator = member(Some(Role::Evaluator), SCORER, STAKE);
        let mut members = vec![
            member(None, "", 0),
            member(Some(Role::Inference), MODEL, STAKE),
        ];
        members.extend(vec![evaluator; EVALUATORS]);
        members
    }
}

/// The result of a run. Profits are base units per ordered answer: change of balance and stake, less
/// the cost of work, and for the user the worth of answers.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Outcome {
    /// Of the studied participants together.
    pub studied: f64,
    /// Of the node.
    pub node: f64,
    /// What the user paid, per ordered answer.
    pub paid: f64,
    /// Part of the ordered answers that committees scored.
    pub scored: f64,
    /// Part of the scored answers that were audited.
    pub audited: f64,
    /// Standard deviation of a session's earned part, 0 to 1.
    pub spread: f64,
    /// Change of the node's reputation, 0 to 1.
    pub reputation: f64,
}

/// Plays all sessions to their end, on a new chain.
///
/// # Errors
/// If the chain refuses a transaction, if money is not conserved, or if sessions do not end.
pub fn run(play: &Play, seed: u64) -> Result<Outcome> {
    driver::Driver::new(play, chain(play, seed)?, seed)?.run()
}

/// The user's payments for all answers, with a transaction for each session that it opens or closes.
/// The answers are those of [`bill_of_tasks`] with this seed.
///
/// # Errors
/// As [`run`], and if the payments are not what the user's balance fell by.
pub fn bill(play: &Play, seed: u64) -> Result<Bill> {
    driver::Driver::new(play, chain(play, seed)?, seed)?.bill()
}

/// The user's payments if it asks for each of the play's answers by a task.
///
/// # Errors
/// As [`bill`].
pub fn bill_of_tasks(play: &Play, seed: u64) -> Result<Bill> {
    let scale = Scale::default();
    let answering = strategy::Answering {
        class: &play.class,
        world: &play.world,
        quality: &|raw| scale.quality(raw),
        max_price: play.world.price(),
        ordered: play.sessions * play.answers,
        seed,
        session: 1,
        first: 0,
    };
    let answers = answering.answers(play.node, play.user);
    tasks::Driver::new(play, chain(play, seed)?, answers, seed)?.bill()
}

fn chain(play: &Play, seed: u64) -> Result<Chain> {
    let beginning = Beginning {
        params: play.params.clone(),
        model: play.world.model(),
        evaluator_model: scorer(),
        members: play.members(),
    };
    let reference = Arc::new(Reference { audits: true });
    Chain::begin(beginning, reference, seed)
}
