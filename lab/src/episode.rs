//! One run: a cast of participants, a chain, and tasks from prompt to payout.

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

/// Part of the highest price that a dear task costs.
const DEAR: u64 = 2;

/// What all participants meet.
#[derive(Clone, Debug, PartialEq)]
pub struct Setting {
    /// The chain's parameters.
    pub params: Params,
    /// Prices and costs.
    pub world: World,
    /// Where prompts and answers come from.
    pub questions: Questions,
    /// Whether audits can find anything.
    pub audits: bool,
    /// Questions of the ordinary user.
    pub tasks: u32,
    /// Questions that it asks in one block.
    pub batch: u32,
}

impl Setting {
    /// The chain's default parameters in all that concerns money, with the windows and limits of
    /// [`fast`].
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

/// The same economics with short windows and wide limits, so that a run needs few blocks. Nobody
/// in the laboratory is late, except who means to be.
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
    /// What it does.
    pub strategy: Evaluator,
    /// Base units.
    pub stake: u64,
    /// Whether the experiment is about its profit.
    pub studied: bool,
}

/// An inference node of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct InferenceRole {
    /// What it does.
    pub strategy: Inference,
    /// Base units.
    pub stake: u64,
    /// Whether the experiment is about its profit.
    pub studied: bool,
    /// Whether a ring of evaluators praises it.
    pub accomplice: bool,
}

/// A user of a run, beside the ordinary one.
#[derive(Clone, Debug, PartialEq)]
pub struct UserRole {
    /// What it does. Nodes that are studied are its own.
    pub strategy: User,
    /// Its questions, as a part of the ordinary user's.
    pub percent: u32,
    /// Whether the experiment is about its profit.
    pub studied: bool,
}

/// Who takes part in a run.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Cast {
    /// Evaluators.
    pub evaluators: Vec<EvaluatorRole>,
    /// Inference nodes.
    pub inference: Vec<InferenceRole>,
    /// Users beside the ordinary one.
    pub users: Vec<UserRole>,
}

impl Cast {
    /// Members of the chain: the ordinary user, the inference nodes, the evaluators, the other users.
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

    /// Everybody but the ordinary user, before the run.
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

/// Runs every task of the setting to its end, on a chain of its own.
///
/// # Errors
/// If the chain refuses what it must take, if money is not conserved, or if tasks do not end.
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
