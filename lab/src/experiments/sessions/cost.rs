//! What an answer costs its user, all in: by a task each, and in sessions of both tiers.

use poq_app::modules::params::{default_params, default_sessions};
use poq_proto::v1::{Params, SessionScoring};
use serde::Serialize;

use super::search::POOR;
use super::{ANSWERS, on_every_seed};
use crate::episode::Setting;
use crate::error::Result;
use crate::experiments::Effort;
use crate::sessions::{Bill, Play, bill, bill_of_tasks};
use crate::statistics::Estimate;
use crate::world::STANDARD;

/// Answers of a run relative to the effort's tasks. Runs of whole sessions then have nearly the same
/// questions, whatever the length of a session.
const ANSWERS_PER_TASK: u32 = 3;
/// Answers of sessions in the tier `SAMPLED`.
const SAMPLED: [u32; 3] = [ANSWERS, 140, 300];

/// How a user gets answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Way {
    /// A task for each answer.
    Task,
    /// Sessions with so many answers, of which a sample is scored.
    Sampled(u32),
    /// Sessions with so many answers, which are all scored.
    All(u32),
}

impl Way {
    /// All ways; the first is a task each.
    fn all() -> Vec<Self> {
        let most = default_sessions().max_all_leaves;
        let sampled = SAMPLED.map(Self::Sampled);
        let all = [ANSWERS, most].map(Self::All);
        [Self::Task].into_iter().chain(sampled).chain(all).collect()
    }
}

/// A way to get answers. Money is base units per answer.
#[derive(Clone, Debug, Serialize)]
pub struct Cost {
    /// The node's model.
    pub model: &'static str,
    /// The way.
    pub way: Way,
    /// Part of the answers that committees scored.
    pub scored: Estimate,
    /// What the user paid: the decrease of its balance.
    pub paid: Estimate,
    /// The same, minus what the answers cost by a task each.
    pub beside_task: Estimate,
    /// What it paid without the fees of its transactions.
    pub without_gas: Estimate,
    /// To the node.
    pub node: Estimate,
    /// To the evaluators.
    pub evaluators: Estimate,
    /// The protocol's share.
    pub protocol: Estimate,
    /// Fees of the user's transactions.
    pub gas: Estimate,
}

/// Measures every way with two models, by the default parameters of sessions and the default gas price.
pub fn costs(base: &Setting, effort: Effort) -> Result<Vec<Cost>> {
    let orders: Vec<(Way, Play)> = [STANDARD, POOR]
        .into_iter()
        .flat_map(|class| Way::all().into_iter().map(move |way| (class, way)))
        .map(|(class, way)| {
            let play = play(base, way, effort);
            (way, Play { class, ..play })
        })
        .collect();
    let bills = on_every_seed(&orders, effort, |(way, play), seed| match way {
        Way::Task => bill_of_tasks(play, seed),
        Way::Sampled(_) | Way::All(_) => bill(play, seed),
    })?;
    let ways = Way::all().len();
    let mut costs = Vec::new();
    for (orders, bills) in orders.chunks(ways).zip(bills.chunks(ways)) {
        let tasks = bills.first().map_or(&[][..], Vec::as_slice);
        let of_model = orders.iter().zip(bills);
        costs.extend(of_model.map(|((way, play), bills)| cost(play, *way, bills, tasks)));
    }
    Ok(costs)
}

/// The least answers of a run; whole sessions may have more.
pub fn answers_of_run(effort: Effort) -> u32 {
    effort.tasks * ANSWERS_PER_TASK
}

/// Honest sessions, or tasks, with at least the effort's answers.
fn play(base: &Setting, way: Way, effort: Effort) -> Play {
    let least = answers_of_run(effort);
    let (answers, scoring) = match way {
        Way::Task => (1, SessionScoring::Unspecified),
        Way::Sampled(answers) => (answers, SessionScoring::Sampled),
        Way::All(answers) => (answers, SessionScoring::All),
    };
    let play = Play::honest(base, least.div_ceil(answers), answers);
    Play {
        params: Params {
            gas_price: default_params().gas_price,
            ..play.params
        },
        scoring,
        ..play
    }
}

fn cost(play: &Play, way: Way, bills: &[Bill], tasks: &[Bill]) -> Cost {
    let each = |bills: &[Bill], amount: fn(&Bill) -> u64| -> Vec<f64> {
        let of = |bill: &Bill| amount(bill) as f64 / bill.answers.max(1) as f64;
        bills.iter().map(of).collect()
    };
    let of = |amount| Estimate::of(&each(bills, amount));
    let (paid, by_tasks) = (each(bills, |bill| bill.paid), each(tasks, |bill| bill.paid));
    Cost {
        model: play.class.name,
        way,
        scored: of(|bill| bill.scored),
        paid: Estimate::of(&paid),
        beside_task: Estimate::of_difference(&paid, &by_tasks),
        without_gas: of(|bill| bill.paid - bill.gas),
        node: of(|bill| bill.node),
        evaluators: of(|bill| bill.evaluators),
        protocol: of(|bill| bill.protocol),
        gas: of(|bill| bill.gas),
    }
}
