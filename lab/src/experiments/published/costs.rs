//! The Monte Carlo simulation of arXiv 2512.16317: 5,000 rounds over five model classes, with the
//! reward R = α · quality − β · cost. Its constants are not published, so only orderings and signs
//! can be compared. Here the qualities come from committees of the chain, and R is compared with
//! the chain's own payments.

use serde::Serialize;

use super::super::{Case, Effort, run_all};
use crate::casts::{evaluators, honest_inference};
use crate::episode::{Cast, Episode, InferenceRole, Setting};
use crate::error::Result;
use crate::statistics::Estimate;
use crate::statistics::agreement::spearman;
use crate::strategy::{Evaluator, Inference};
use crate::world::{ModelClass, STANDARD};

/// Five classes with every combination that the paper mentions. Qualities and costs are our choice.
pub const CLASSES: [ModelClass; 5] = [
    ModelClass {
        name: "good and cheap",
        mean: 1.0,
        cost: 9_000,
        ..STANDARD
    },
    ModelClass {
        name: "good and dear",
        mean: 1.0,
        cost: 22_000,
        ..STANDARD
    },
    ModelClass {
        name: "middling",
        mean: -3.0,
        cost: 12_000,
        ..STANDARD
    },
    ModelClass {
        name: "poor and cheap",
        mean: -8.0,
        cost: 6_000,
        ..STANDARD
    },
    ModelClass {
        name: "poor and slow",
        mean: -8.0,
        cost: 20_000,
        ..STANDARD
    },
];
/// β for a cost relative to the dearest class's; α is 1.
pub const BETAS: [f64; 3] = [0.25, 0.5, 1.0];
const PPM: f64 = 1e6;

/// Results of a class.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The class.
    pub name: &'static str,
    /// Consensus quality of its answers, 0..=1.
    pub quality: Estimate,
    /// Base units per answer.
    pub cost: u64,
    /// R for each of [`BETAS`].
    pub rewards: Vec<Estimate>,
    /// Its node's profit on the chain, in base units per answer.
    pub profit: Estimate,
}

/// The rows, and how far both rewards agree.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// In the order of [`CLASSES`].
    pub rows: Vec<Row>,
    /// For each of [`BETAS`]: rank correlation of R with the chain's profit.
    pub agreement: Vec<f64>,
}

/// Runs an inference node of each class on one chain.
pub fn run(base: &Setting, effort: Effort) -> Result<Comparison> {
    let cast = Cast {
        inference: CLASSES
            .map(|class| InferenceRole {
                strategy: Inference::Honest(class),
                ..honest_inference()
            })
            .to_vec(),
        ..evaluators(Evaluator::Honest, 0, 12)
    };
    let case = Case {
        setting: base.clone(),
        cast,
    };
    let runs = run_all::<Episode>(&[case], effort)?.concat();
    let dearest = CLASSES
        .map(|class| class.cost)
        .into_iter()
        .max()
        .unwrap_or(1) as f64;
    let rows: Vec<Row> = CLASSES
        .iter()
        .enumerate()
        .map(|(node, class)| {
            let qualities: Vec<f64> = runs.iter().map(|run| quality(run, node)).collect();
            let reward = |beta: f64| {
                let cost = beta * class.cost as f64 / dearest;
                Estimate::of(
                    &qualities
                        .iter()
                        .map(|quality| quality - cost)
                        .collect::<Vec<_>>(),
                )
            };
            let profits: Vec<f64> = runs
                .iter()
                .map(|run| {
                    let actor = &run.actors[node];
                    actor.profit as f64 / f64::from(actor.duties.max(1))
                })
                .collect();
            Row {
                name: class.name,
                quality: Estimate::of(&qualities),
                cost: class.cost,
                rewards: BETAS.map(reward).to_vec(),
                profit: Estimate::of(&profits),
            }
        })
        .collect();
    let profits: Vec<f64> = rows.iter().map(|row| row.profit.mean).collect();
    let agreement = (0..BETAS.len())
        .map(|index| {
            let rewards = rows.iter().map(|row| row.rewards[index].mean);
            let pairs = rewards.zip(profits.iter().copied());
            spearman(&pairs.collect::<Vec<_>>()).unwrap_or(0.0)
        })
        .collect();
    Ok(Comparison { rows, agreement })
}

/// Mean paid quality of a node's answers, 0..=1.
fn quality(run: &Episode, node: usize) -> f64 {
    let of_node = run.tasks.iter().filter(|task| task.node == node);
    let qualities: Vec<f64> = of_node
        .filter_map(|task| task.paid_by)
        .map(|quality| f64::from(quality) / PPM)
        .collect();
    qualities.iter().sum::<f64>() / qualities.len().max(1) as f64
}
