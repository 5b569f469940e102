//! One run: participants, a chain, and tasks from prompt to payout.

mod asking;
mod driver;
mod record;

use poq_app::modules::params::{default_params, max_price};
use poq_proto::v1::{Params, Role};

use crate::chain::{Beginning, Chain, Member};
use crate::error::Result;
use crate::questions::Questions;
use crate::strategy::{Evaluator, Inference, User};
use crate::world::{MODEL, SCORER, World};

pub use record::{Actor, Episode, Outcome, Part};

/// Divisor of the highest price; gives the price of a dear task.
const DEAR: u64 = 2;

/// The conditions of all participants.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The chain's parameters.
    pub params: Params,
    /// Prices and costs.
    pub world: World,
    /// Source of prompts and answers.
    pub questions: Questions,
    /// Whether audits are on.
    pub audits: bool,
    /// Number of the ordinary user's questions.
    pub tasks: u32,
    /// Number of questions that it asks in one block.
    pub batch: u32,
}

impl Setting {
    /// The chain's default parameters for money, with the windows and limits of [`fast`].
    pub fn new(tasks: u32) -> Self {
        Self {
            params: fast(default_params()),
            world: World::default(),
            questions: Questions::Drawn,
            audits: true,
            tasks,
            batch: 100,
        }
    }

    /// The same with tasks at half of the highest price that the stakes secure.
    pub fn dear(&self) -> Self {
        let factor = max_price(&self.params) / DEAR / self.world.price();
        Self {
            world: self.world.dearer(factor.max(1)),
            ..self.clone()
        }
    }
}

/// The same economics with short windows and wide limits, so that a run needs few blocks. No
/// participant is late unintentionally.
pub fn fast(params: Params) -> Params {
    Params {
        answer_window: 2,
        commit_window: 2,
        reveal_window: 3,
        audit_window: 1,
        audit_delay: 1,
        max_audits_per_block: 1_000,
        max_open_tasks: 1_000_000,
        max_batch_items: 10_000,
        max_tx_bytes: 4 << 20,
        max_block_bytes: 16 << 20,
        max_tx_messages: 1_000,
        gas_price: 0,
        task_retention: 1_000_000,
        unbonding_window: 1_000_000,
        jail_window: 100_000,
        ..params
    }
}

/// An evaluator of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct EvaluatorRole {
    /// Its strategy.
    pub strategy: Evaluator,
    /// Stake in base units.
    pub stake: u64,
    /// Whether its profit is studied.
    pub studied: bool,
}

/// An inference node of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct InferenceRole {
    /// Its strategy.
    pub strategy: Inference,
    /// Stake in base units.
    pub stake: u64,
    /// Whether its profit is studied.
    pub studied: bool,
    /// Whether a ring of evaluators praises it.
    pub accomplice: bool,
}

/// A user besides the ordinary one.
#[derive(Clone, Debug, PartialEq)]
pub struct UserRole {
    /// Its strategy. Studied nodes are its own.
    pub strategy: User,
    /// Number of its questions, relative to the ordinary user's.
    pub percent: u32,
    /// Whether its profit is studied.
    pub studied: bool,
}

/// The participants of a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cast {
    /// Evaluators.
    pub evaluators: Vec<EvaluatorRole>,
    /// Inference nodes.
    pub inference: Vec<InferenceRole>,
    /// Users besides the ordinary one.
    pub users: Vec<UserRole>,
}

impl Cast {
    /// Members of the chain: the ordinary user, the inference nodes, the evaluators, the other
    /// users.
    fn members(&self) -> Vec<Member> {
        let user = || Member {
            role: None,
            model: "",
            stake: 0,
        };
        let inference = self.inference.iter().map(|node| Member {
            role: Some(Role::Inference),
            model: MODEL,
            stake: node.stake,
        });
        let evaluators = self.evaluators.iter().map(|node| Member {
            role: Some(Role::Evaluator),
            model: SCORER,
            stake: node.stake,
        });
        [user()]
            .into_iter()
            .chain(inference)
            .chain(evaluators)
            .chain(self.users.iter().map(|_| user()))
            .collect()
    }

    /// All actors except the ordinary user, before the run.
    fn actors(&self) -> Vec<Actor> {
        let actor = |part, studied| Actor {
            part,
            studied,
            ..Actor::default()
        };
        let inference = self.inference.iter();
        let evaluators = self.evaluators.iter();
        inference
            .map(|node| actor(Part::Inference, node.studied))
            .chain(evaluators.map(|node| actor(Part::Evaluator, node.studied)))
            .chain(
                self.users
                    .iter()
                    .map(|user| actor(Part::User, user.studied)),
            )
            .collect()
    }
}

/// Runs every task of the setting to its end, on a new chain.
///
/// # Errors
/// If the chain refuses a transaction that it must accept, if money is not conserved, or if tasks
/// do not end.
pub fn run(setting: &Setting, cast: &Cast, seed: u64) -> Result<Episode> {
    let beginning = Beginning {
        params: setting.params.clone(),
        model: setting.world.model(),
        evaluator_model: setting.questions.evaluator_model(),
        members: cast.members(),
    };
    let reference = setting.questions.reference(setting.audits);
    let chain = Chain::begin(beginning, reference, seed)?;
    driver::Driver::new(setting, cast, chain, seed)?.run()
}
