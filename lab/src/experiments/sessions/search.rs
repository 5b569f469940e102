//! A search over the parameters of sessions: what junk gains, and what a user costs its node whose
//! prompts the judge scores low.

use poq_app::modules::params::{default_sessions, max_price, validate};
use poq_proto::PPM;
use poq_proto::v1::{Params, SessionParams};
use serde::Serialize;

use super::{ANSWERS, of_run, pick, run_all};
use crate::episode::Setting;
use crate::error::Result;
use crate::experiments::Effort;
use crate::sessions::{Node, Outcome, Play, User};
use crate::statistics::Estimate;
use crate::world::{ModelClass, STANDARD};

/// A model whose answers earn about half of their price, as the judges of local networks pay right
/// answers; at the standard cost.
pub(super) const POOR: ModelClass = ModelClass {
    name: "poor",
    mean: -8.0,
    ..STANDARD
};

/// The values of a search; every combination runs.
#[derive(Clone, Debug, Serialize)]
pub struct Grid {
    /// φ, ppm.
    pub floors: Vec<u32>,
    /// Base units for one point.
    pub sample_values: Vec<u64>,
    /// The least points of a session.
    pub min_samples: Vec<u32>,
}

impl Default for Grid {
    /// The chain's defaults and values around them.
    fn default() -> Self {
        Self {
            floors: vec![0, 50_000, 100_000, 150_000, 200_000, 300_000, 450_000],
            sample_values: vec![500_000, 1_000_000, 1_500_000],
            min_samples: vec![4, 8, 16],
        }
    }
}

/// A set of parameters, with one model. Money is base units per ordered answer.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// The node's model.
    pub model: &'static str,
    /// φ, ppm.
    pub floor_share: u32,
    /// Base units for one point.
    pub sample_value: u64,
    /// The highest price of an order that the stakes leave room for.
    pub max_order_price: u64,
    /// The least points of a session.
    pub min_samples: u32,
    /// Part of the answers that committees scored.
    pub scored: Estimate,
    /// What users paid for honest answers.
    pub paid: Estimate,
    /// Profit of an honest node.
    pub honest: Estimate,
    /// Standard deviation of an honest session's earned part.
    pub spread: Estimate,
    /// What a node gains by junk instead of answers.
    pub junk: Estimate,
    /// What it gains by junk in half of the answers, at random.
    pub hidden: Estimate,
    /// Profit of an honest node whose user's prompts score low.
    pub low: Estimate,
}

/// Tries every set of the grid with two models.
pub fn search(grid: &Grid, base: &Setting, effort: Effort) -> Result<Vec<Point>> {
    let sessions = of_run(effort);
    let mut points = Vec::new();
    let mut plays = Vec::new();
    for class in [STANDARD, POOR] {
        for limits in sets(grid, base) {
            let honest = Play {
                class,
                ..Play::honest(base, sessions, ANSWERS).with(limits)
            };
            validate(&honest.params)?;
            let of = |node, user| Play {
                node,
                user,
                ..honest.clone()
            };
            plays.extend([
                of(Node::Honest, User::Plain),
                of(Node::Junk, User::Plain),
                of(Node::JunkAtRandom(50), User::Plain),
                of(Node::Honest, User::LowPrompts),
            ]);
            points.push((class.name, limits));
        }
    }
    let results = run_all(&plays, effort)?;
    let sets = points.into_iter().zip(results.chunks(4));
    Ok(sets
        .map(|((model, limits), runs)| point(model, &limits, runs))
        .collect())
}

/// The sets that the stakes secure; the others have no highest price.
fn sets(grid: &Grid, base: &Setting) -> Vec<SessionParams> {
    let mut sets = Vec::new();
    for &sample_value in &grid.sample_values {
        for &min_samples in &grid.min_samples {
            for &floor_share in &grid.floors {
                let stake = highest_stake(&base.params, floor_share);
                let left = stake.checked_sub(sample_value.saturating_mul(2));
                let Some(max_order_price) = left.filter(|left| *left > 0) else {
                    continue;
                };
                sets.push(SessionParams {
                    floor_share,
                    sample_value,
                    max_order_price,
                    min_samples,
                    ..default_sessions()
                });
            }
        }
    }
    sets
}

/// The most that may be at stake in a leaf, base units, by both conditions on the parameters: audits
/// secure it, and silence costs more than the node's part of it above the floor.
fn highest_stake(params: &Params, floor_share: u32) -> u64 {
    let secured = max_price(params);
    let shares = u64::from(params.evaluator_share) + u64::from(params.protocol_share);
    let moved = (PPM - shares) * (PPM - u64::from(floor_share)) / PPM;
    let by_silence = u128::from(secured / 2) * u128::from(PPM) / u128::from(moved.max(1));
    secured.min(u64::try_from(by_silence).unwrap_or(u64::MAX))
}

fn point(model: &'static str, limits: &SessionParams, runs: &[Vec<Outcome>]) -> Point {
    let figure = |case: usize, figure: fn(&Outcome) -> f64| {
        runs.get(case)
            .map_or_else(Vec::new, |runs| pick(runs, figure))
    };
    let node = |case| figure(case, |run: &Outcome| run.node);
    let of = |figure_of: fn(&Outcome) -> f64| Estimate::of(&figure(0, figure_of));
    Point {
        model,
        floor_share: limits.floor_share,
        sample_value: limits.sample_value,
        max_order_price: limits.max_order_price,
        min_samples: limits.min_samples,
        scored: of(|run| run.scored),
        paid: of(|run| run.paid),
        honest: of(|run| run.node),
        spread: of(|run| run.spread),
        junk: Estimate::of_difference(&node(1), &node(0)),
        hidden: Estimate::of_difference(&node(2), &node(0)),
        low: Estimate::of(&node(3)),
    }
}
