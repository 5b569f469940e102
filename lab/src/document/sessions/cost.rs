//! The section on what an answer costs its user.

use poq_app::modules::params::default_params;
use poq_lab::experiments::Effort;
use poq_lab::experiments::sessions::{ANSWERS, Cost, Way, answers_of_run};
use poq_lab::world::World;
use poq_proto::v1::SessionParams;

use crate::report::sessions::costs_table;
use crate::report::{head, line, money};

/// The model whose answers earn about what the goals assume.
const MODEL: &str = "poor";
/// Part of their full pay that answers earn by the goals' assumption.
const EARNED: f64 = 0.547;
/// Base units for an answer without gas: what was aimed at.
const GOALS: [(Way, u32); 3] = [
    (Way::Task, 31_000),
    (Way::Sampled(300), 23_500),
    (Way::All(256), 32_600),
];

pub(super) fn section(costs: &[Cost], defaults: &SessionParams, effort: Effort) -> String {
    [
        introduction(effort),
        costs_table(costs),
        reasons(costs, defaults),
        goals(costs, defaults),
    ]
    .join("\n")
}

fn introduction(effort: Effort) -> String {
    format!(
        "## What an answer costs its user\n\n\
         All in: the price after the refund, of which the node, the evaluators and the protocol have their shares, and \
         the gas of every transaction that the user signs. That is one for each task, or one to open and one to close \
         each session, at the default gas price and with the limit that the client library sets, 1.3 times the gas \
         needed. Orders, vouchers and receipts are signed off the chain and cost nothing. Everybody is honest, and the \
         answers of a seed are the same in all rows of a model: {} in a run, or as many more as fill the last \
         session. The parts sum up to the decrease of the user's balance exactly; a run in which they do not fails. \
         *Beside a task* is the difference to the first row of the model, seed by seed.\n",
        answers_of_run(effort)
    )
}

fn reasons(costs: &[Cost], defaults: &SessionParams) -> String {
    let gas = |way| find(costs, way).map_or(0.0, |cost| cost.gas.mean);
    let of_session = gas(Way::Sampled(ANSWERS)) * f64::from(ANSWERS);
    format!(
        "Three things make the difference. *Scores*: a committee earns up to a fifth of an answer's price, {:.0}, and \
         the user pays that for scored answers only. A task and `ALL` score every answer. `SAMPLED` scores {} of a \
         session, or one for each {} of its value if these are more: longer sessions are cheaper until the value \
         decides. *The floor*: a session's node keeps φ of the share that an answer does not earn, at most {:.0}; a \
         task returns all of it. So worse answers make sessions dearer beside tasks. *Gas*: a task's transaction costs \
         {:.0}; opening and closing a session cost {of_session:.0} in both tiers, however many answers share it. The \
         intervals of `SAMPLED` beside a task are wider than those of `ALL`, because few answers decide about the pay \
         of all; on average the node earns the same in both tiers. A session that \
         ends before its user ordered all answers shares gas and least samples among fewer, and burnt orders cost in \
         addition.\n",
        price() * part(default_params().evaluator_share),
        defaults.min_samples,
        defaults.sample_value,
        full_pay() * part(defaults.floor_share),
        gas(Way::Task),
    )
}

fn goals(costs: &[Cost], defaults: &SessionParams) -> String {
    let earned = find(costs, Way::Task).map_or(0.0, |cost| cost.node.mean / full_pay());
    let more = (earned - EARNED) * full_pay();
    let above_floor = 1.0 - part(defaults.floor_share);
    let mut table = head(&["way", "goal", "goal at this part", "measured"]);
    for (way, goal) in GOALS {
        let Some(cost) = find(costs, way) else {
            continue;
        };
        let (name, more) = match way {
            Way::Task => ("a task each".to_owned(), more),
            Way::Sampled(answers) => (format!("`SAMPLED` at {answers}"), more * above_floor),
            Way::All(answers) => (format!("`ALL` at {answers}"), more * above_floor),
        };
        table += &line(&[
            name,
            goal.to_string(),
            format!("{:.0}", f64::from(goal) + more),
            money(&cost.without_gas),
        ]);
    }
    format!(
        "Goals were estimated before anything was built: without gas, and for answers that earn {EARNED} of their full \
         pay. The {MODEL} model's earn {earned:.3}, so each goal is also given at this part.\n\n{table}"
    )
}

fn find(costs: &[Cost], way: Way) -> Option<&Cost> {
    let mut costs = costs.iter();
    costs.find(|cost| (cost.model, cost.way) == (MODEL, way))
}

/// Price of a usual answer, base units.
fn price() -> f64 {
    World::default().price() as f64
}

/// The node's share in that price, if an answer earns all of it, base units.
fn full_pay() -> f64 {
    let params = default_params();
    price() * (1.0 - part(params.evaluator_share) - part(params.protocol_share))
}

fn part(share: u32) -> f64 {
    f64::from(share) / 1e6
}
