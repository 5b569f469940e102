//! arXiv 2405.17934 (PQML) claims that lazy and dishonest participants earn less than honest ones.

use serde::Serialize;

use super::super::{Case, Effort, run_all};
use crate::casts::{STAKE, honest_evaluator, honest_inference};
use crate::episode::{Cast, Episode, EvaluatorRole, InferenceRole, Setting};
use crate::error::Result;
use crate::statistics::Estimate;
use crate::strategy::{Evaluator, Inference};
use crate::world::STANDARD;

const HONEST_EVALUATORS: usize = 12;
const LIARS_OF_EACH_KIND: usize = 4;

/// Earnings of a kind of participant.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// Name in reports.
    pub name: &'static str,
    /// Whether audits were on.
    pub audits: bool,
    /// Profit of one participant, in base units per task asked.
    pub profit: Estimate,
    /// The difference from an honest one of the same role.
    pub advantage: Estimate,
}

/// A mixed population: honest, lazy and dishonest participants of both roles.
fn cast() -> Cast {
    let evaluator = |strategy| EvaluatorRole {
        strategy,
        ..honest_evaluator()
    };
    let node = |strategy| InferenceRole {
        strategy,
        stake: STAKE,
        ..honest_inference()
    };
    let mut evaluators = vec![evaluator(Evaluator::Honest); HONEST_EVALUATORS];
    evaluators.extend(vec![evaluator(Evaluator::PriorMean); LIARS_OF_EACH_KIND]);
    evaluators.extend(vec![evaluator(Evaluator::Random); LIARS_OF_EACH_KIND]);
    Cast {
        evaluators,
        inference: vec![
            node(Inference::Honest(STANDARD)),
            node(Inference::Honest(STANDARD)),
            node(Inference::Canned),
            node(Inference::Junk),
        ],
        ..Cast::default()
    }
}

/// The groups by their indexes among the actors: inference nodes first.
const GROUPS: [(&str, std::ops::Range<usize>, usize); 6] = [
    ("honest inference node", 0..2, 0),
    ("lazy inference node (canned answer)", 2..3, 0),
    ("dishonest inference node (junk)", 3..4, 0),
    ("honest evaluator", 4..16, 3),
    ("lazy evaluator (prior mean)", 16..20, 3),
    ("dishonest evaluator (random)", 20..24, 3),
];

/// Runs the mixed population without audits and with them.
pub fn run(base: &Setting, effort: Effort) -> Result<Vec<Group>> {
    let cases = [false, true].map(|audits| Case {
        setting: Setting {
            audits,
            ..base.clone()
        },
        cast: cast(),
    });
    let episodes = run_all::<Episode>(&cases, effort)?;
    let mut groups = Vec::new();
    for (audits, runs) in [false, true].into_iter().zip(&episodes) {
        let profits = GROUPS.map(|(_, members, _)| profits(runs, members));
        for ((name, _, reference), own) in GROUPS.iter().zip(&profits) {
            groups.push(Group {
                name,
                audits,
                profit: Estimate::of(own),
                advantage: Estimate::of_difference(own, &profits[*reference]),
            });
        }
    }
    Ok(groups)
}

/// Mean profit of the members per task, for each run.
fn profits(runs: &[Episode], members: std::ops::Range<usize>) -> Vec<f64> {
    let count = (members.len() as f64).max(1.0);
    runs.iter()
        .map(|run| {
            let sum: i64 = run.actors[members.clone()]
                .iter()
                .map(|actor| actor.profit)
                .sum();
            sum as f64 / count / run.tasks.len().max(1) as f64
        })
        .collect()
}
