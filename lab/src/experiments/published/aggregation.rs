//! Four attacks, aggregations and committee sizes as in arXiv 2601.21189, and its trust weights.
//!
//! In the paper evaluators differ, but here a uniform committee agrees to a few micro-logits.
//! Honest evaluators therefore get normal noise in this experiment. Means and medians are the
//! chain's; the trust weights, which the chain does not have, are computed from the same reveals.

use poq_proto::v1::Params;
use serde::Serialize;

use super::super::sweep::Rule;
use super::super::{Case, Effort, run_all};
use crate::casts::evaluators;
use crate::episode::{Cast, Episode, Setting};
use crate::error::Result;
use crate::statistics::Estimate;
use crate::statistics::agreement::pearson;
use crate::strategy::Evaluator;

/// Standard deviation of an honest evaluator's noise, in ppm.
const HONEST_DEVIATION: u32 = 50_000;
const EVALUATORS: usize = 30;
const PPM: f64 = 1e6;

/// The attacks, with the paper's names.
const ATTACKS: [(&str, Evaluator); 4] = [
    ("noise", Evaluator::Noise(300_000)),
    ("boost", Evaluator::Boost(300_000)),
    ("sabotage", Evaluator::Sabotage(300_000)),
    ("intermittent", Evaluator::Intermittent(500_000)),
];

/// The trust weights of arXiv 2601.21189. After each task every member's weight is multiplied by
/// `1 + rate · (0.5 − d)` and clipped, where d is its distance from the weighted mean as a fraction
/// of the scale. A member within half the scale on average ends at the highest weight.
#[derive(Clone, Debug)]
pub struct TrustWeights(Vec<f64>);

impl TrustWeights {
    /// How fast weights move. The paper does not specify it; our choice.
    const RATE: f64 = 0.1;
    /// Our choice.
    const LOWEST: f64 = 0.1;
    /// Our choice.
    pub const HIGHEST: f64 = 2.0;

    /// Equal weights of 1.
    pub fn new(evaluators: usize) -> Self {
        Self(vec![1.0; evaluators])
    }

    /// Returns the consensus (0..=1) of the reveals (0..=1) by index, then updates the weights.
    pub fn settle(&mut self, revealed: &[(usize, f64)]) -> f64 {
        let total: f64 = revealed.iter().map(|(index, _)| self.0[*index]).sum();
        let sum: f64 = revealed
            .iter()
            .map(|(index, score)| self.0[*index] * score)
            .sum();
        let consensus = if total > 0.0 { sum / total } else { 0.0 };
        for (index, score) in revealed {
            let factor = 1.0 + Self::RATE * (0.5 - (score - consensus).abs());
            self.0[*index] = (self.0[*index] * factor).clamp(Self::LOWEST, Self::HIGHEST);
        }
        consensus
    }

    /// Fraction of `members` with the highest weight.
    pub fn saturated(&self, members: std::ops::Range<usize>) -> f64 {
        let weights = &self.0[members];
        let highest = weights.iter().filter(|weight| **weight >= Self::HIGHEST);
        highest.count() as f64 / weights.len().max(1) as f64
    }
}

/// How well a rule finds the truth under an attack.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// The paper's name.
    pub attack: &'static str,
    /// Percentage of the evaluators that attack.
    pub share: u32,
    /// Size of the committee.
    pub committee: u32,
    /// The rule.
    pub rule: &'static str,
    /// Mean distance of the consensus from the truth, 0..=1.
    pub error: Estimate,
    /// Pearson's correlation between consensus and truth.
    pub correlation: Estimate,
    /// With trust weights: fraction of the attackers that end at the highest weight.
    pub saturated: Option<Estimate>,
}

/// Runs every attack, without audits, for the given percentages and committee sizes.
pub fn run(base: &Setting, shares: &[u32], committees: &[u32], effort: Effort) -> Result<Vec<Row>> {
    let rules = [Rule::Mean, Rule::TrimmedMean, Rule::Median];
    let mut cases = Vec::new();
    let mut names = Vec::new();
    for (attack, strategy) in ATTACKS {
        for &share in shares {
            for &committee in committees {
                for rule in rules {
                    let liars = EVALUATORS * share as usize / 100;
                    names.push((attack, share, committee, rule, liars));
                    let params = rule.apply(Params {
                        committee_size: committee,
                        ..base.params.clone()
                    });
                    cases.push(Case {
                        setting: Setting {
                            params,
                            audits: false,
                            ..base.clone()
                        },
                        cast: noisy(strategy, liars),
                    });
                }
            }
        }
    }
    let episodes = run_all::<Episode>(&cases, effort)?;
    let mut rows = Vec::new();
    for ((attack, share, committee, rule, liars), runs) in names.into_iter().zip(&episodes) {
        let row = |rule, fits: &[Fit]| Row {
            attack,
            share,
            committee,
            rule,
            error: Estimate::of(&fits.iter().map(|fit| fit.error).collect::<Vec<_>>()),
            correlation: Estimate::of(&fits.iter().map(|fit| fit.correlation).collect::<Vec<_>>()),
            saturated: None,
        };
        rows.push(row(
            rule.name(),
            &runs.iter().map(Fit::of_chain).collect::<Vec<_>>(),
        ));
        if rule == Rule::Mean {
            let trusted: Vec<(Fit, f64)> = runs
                .iter()
                .map(|run| Fit::of_trust_weights(run, liars))
                .collect();
            let fits: Vec<Fit> = trusted.iter().map(|(fit, _)| *fit).collect();
            let saturated: Vec<f64> = trusted.iter().map(|(_, part)| *part).collect();
            rows.push(Row {
                saturated: (liars > 0).then(|| Estimate::of(&saturated)),
                ..row("trust weights", &fits)
            });
        }
    }
    Ok(rows)
}

fn noisy(attack: Evaluator, liars: usize) -> Cast {
    let mut cast = evaluators(attack, liars, EVALUATORS);
    for evaluator in &mut cast.evaluators {
        if evaluator.strategy == Evaluator::Honest {
            evaluator.strategy = Evaluator::Noise(HONEST_DEVIATION);
        }
    }
    cast
}

/// How well a series of consensus qualities fits the truth.
#[derive(Clone, Copy, Debug)]
struct Fit {
    error: f64,
    correlation: f64,
}

impl Fit {
    fn of(pairs: &[(f64, f64)]) -> Self {
        let distance: f64 = pairs.iter().map(|(one, other)| (one - other).abs()).sum();
        Self {
            error: distance / pairs.len().max(1) as f64,
            correlation: pearson(pairs).unwrap_or(0.0),
        }
    }

    fn of_chain(run: &Episode) -> Self {
        let settled = run.tasks.iter().filter_map(|task| {
            let settled = task.settled?;
            Some((f64::from(task.truth) / PPM, f64::from(settled) / PPM))
        });
        Self::of(&settled.collect::<Vec<_>>())
    }

    fn of_trust_weights(run: &Episode, liars: usize) -> (Self, f64) {
        let mut weights = TrustWeights::new(EVALUATORS);
        let mut pairs = Vec::new();
        for task in run.tasks.iter().filter(|task| task.settled.is_some()) {
            let revealed: Vec<(usize, f64)> = task
                .revealed
                .iter()
                .map(|(index, quality)| (*index, f64::from(*quality) / PPM))
                .collect();
            pairs.push((f64::from(task.truth) / PPM, weights.settle(&revealed)));
        }
        (Self::of(&pairs), weights.saturated(0..liars))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The published flaw: a liar that is always off by 0.4 of the scale is trusted most.
    #[test]
    fn trust_weights_trust_whoever_is_within_half_the_scale() {
        let mut weights = TrustWeights::new(3);
        for _ in 0..1_000 {
            weights.settle(&[(0, 0.5), (1, 0.5), (2, 0.9)]);
        }
        assert_eq!(weights.saturated(0..3), 1.0);
    }

    #[test]
    fn trust_weights_fall_only_beyond_half_the_scale() {
        let mut weights = TrustWeights::new(4);
        for _ in 0..1_000 {
            weights.settle(&[(0, 0.0), (1, 0.0), (2, 0.0), (3, 1.0)]);
        }
        assert_eq!(
            (weights.saturated(0..3), weights.saturated(3..4)),
            (1.0, 0.0)
        );
    }
}
