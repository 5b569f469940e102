//! Strategies by their percentage of all evaluators, over aggregations and committee sizes.

use clap::ValueEnum;
use poq_proto::v1::{Aggregation, Params};
use serde::Serialize;

use super::{Case, Comparison, Effort, run_all};
use crate::casts::{STAKE, accomplices, evaluators, honest};
use crate::episode::{Cast, Setting};
use crate::error::Result;
use crate::strategy::{Evaluator, Inference, Ring};

/// Stakes of neighbouring evaluators, in units of the minimum.
const STAKES: [u64; 4] = [1, 2, 4, 1];

/// How reveals become a quality. The median of heads is the chain's weighted median with a cap that
/// makes all weights equal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// Unweighted mean
    Mean,
    /// Mean without the lowest and the highest quarter
    TrimmedMean,
    /// Median of heads (unweighted)
    Median,
    /// Median weighted by stake
    WeightedMedian,
}

impl Rule {
    /// The chain's parameters with this rule.
    pub fn apply(self, params: Params) -> Params {
        let (aggregation, stake_cap) = match self {
            Self::Mean => (Aggregation::Mean, params.stake_cap),
            Self::TrimmedMean => (Aggregation::TrimmedMean, params.stake_cap),
            Self::Median => (Aggregation::WeightedMedian, STAKE),
            Self::WeightedMedian => (Aggregation::WeightedMedian, params.stake_cap),
        };
        Params {
            aggregation: aggregation.into(),
            stake_cap,
            ..params
        }
    }

    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::TrimmedMean => "trimmed mean",
            Self::Median => "median",
            Self::WeightedMedian => "weighted median",
        }
    }
}

/// Strategies of a sweep's liars.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Attack {
    /// Always 0.5, without computing
    Constant,
    /// The mean quality, without computing
    PriorMean,
    /// A random score, without computing
    Random,
    /// The last consensus, without computing
    CopyLast,
    /// The score plus 0.3
    Boost,
    /// The score minus 0.3
    Sabotage,
    /// The score plus normal noise of 0.2
    Noise,
    /// The mean quality in half of the tasks
    Intermittent,
    /// Reveal the mean quality, only if it pays
    RevealIfItPays,
    /// Praise the junk of the ring's own inference node
    Praise,
    /// The same, only with more than half of the seats
    PraiseWithMajority,
}

impl Attack {
    /// Name in reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Constant => "constant 0.5",
            Self::PriorMean => "prior mean",
            Self::Random => "random",
            Self::CopyLast => "copy last",
            Self::Boost => "boost 0.3",
            Self::Sabotage => "sabotage 0.3",
            Self::Noise => "noise 0.2",
            Self::Intermittent => "intermittent 50 %",
            Self::RevealIfItPays => "reveal if it pays",
            Self::Praise => "praise junk",
            Self::PraiseWithMajority => "praise junk with majority",
        }
    }

    fn strategy(self) -> Evaluator {
        match self {
            Self::Constant => Evaluator::Constant(500_000),
            Self::PriorMean => Evaluator::PriorMean,
            Self::Random => Evaluator::Random,
            Self::CopyLast => Evaluator::CopyLast,
            Self::Boost => Evaluator::Boost(300_000),
            Self::Sabotage => Evaluator::Sabotage(300_000),
            Self::Noise => Evaluator::Noise(200_000),
            Self::Intermittent => Evaluator::Intermittent(500_000),
            Self::RevealIfItPays => Evaluator::RevealIfItPays,
            Self::Praise => Evaluator::Ring(Ring::Praise),
            Self::PraiseWithMajority => Evaluator::Ring(Ring::PraiseWithMajority),
        }
    }

    /// The participants with this many liars among the evaluators. Stakes differ, but the liars'
    /// average equals that of all.
    fn cast(self, liars: usize, total: usize) -> Cast {
        let mut cast = match self.strategy() {
            strategy @ Evaluator::Ring(_) => accomplices(strategy, Inference::Junk, liars, total),
            strategy => evaluators(strategy, liars, total),
        };
        for (evaluator, stake) in cast.evaluators.iter_mut().zip(STAKES.iter().cycle()) {
            evaluator.stake = STAKE * stake;
        }
        cast
    }
}

/// The grid of a sweep; every combination runs.
#[derive(Clone, Debug, Serialize)]
pub struct Grid {
    /// The liars' strategies.
    pub attacks: Vec<Attack>,
    /// Percentages of the evaluators that lie.
    pub shares: Vec<u32>,
    /// How reveals become a quality.
    pub rules: Vec<Rule>,
    /// Committee sizes.
    pub committees: Vec<u32>,
    /// With audits, without, or both.
    pub audits: Vec<bool>,
    /// Number of evaluators.
    pub evaluators: usize,
}

/// A point of the grid.
#[derive(Clone, Debug, Serialize)]
pub struct Point {
    /// The liars' strategy.
    pub attack: Attack,
    /// Percentage of the evaluators that lie.
    pub share: u32,
    /// How reveals become a quality.
    pub rule: Rule,
    /// Committee size.
    pub committee: u32,
    /// Whether audits were on.
    pub audits: bool,
    /// The result.
    pub result: Comparison,
}

/// Runs every point of the grid and its honest twin.
pub fn run(grid: &Grid, base: &Setting, effort: Effort) -> Result<Vec<Point>> {
    let mut cases = Vec::new();
    let mut points = Vec::new();
    for &audits in &grid.audits {
        for &committee in &grid.committees {
            for &rule in &grid.rules {
                let setting = Setting {
                    params: rule.apply(Params {
                        committee_size: committee,
                        ..base.params.clone()
                    }),
                    audits,
                    ..base.clone()
                };
                for &attack in &grid.attacks {
                    for &share in &grid.shares {
                        let liars = grid.evaluators * share as usize / 100;
                        let lying = attack.cast(liars, grid.evaluators);
                        for cast in [honest(&lying), lying] {
                            let setting = setting.clone();
                            cases.push(Case { setting, cast });
                        }
                        points.push((attack, share, rule, committee, audits));
                    }
                }
            }
        }
    }
    let figures = run_all(&cases, effort)?;
    let point = |((attack, share, rule, committee, audits), pair): (_, &[Vec<_>])| Point {
        attack,
        share,
        rule,
        committee,
        audits,
        result: Comparison::of(&pair[0], &pair[1]),
    };
    Ok(points
        .into_iter()
        .zip(figures.chunks(2))
        .map(point)
        .collect())
}
