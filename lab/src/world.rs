//! The world outside the chain: the true worth of answers, and the cost of work.

use std::sync::OnceLock;

use poq_app::{ReferenceScorer, ScoreError};
use poq_proto::v1::{
    CalibrationPoint, EvaluatorKind, EvaluatorModel, Model, Terms, WeightedEvaluatorModel,
};
use poq_proto::{PPM, calibrate};

use crate::error::Error;
use crate::random::{generator, normal};

/// Id of the only language model of a laboratory's chain.
pub const MODEL: &str = "llm";
/// Id of its evaluator model.
pub const SCORER: &str = "scorer";
/// Raw scores (micro-logits) and qualities (ppm) of ms-marco-MiniLM-L-12-v2, which local networks
/// used before they had judges; `poq-lab texts` has those of judges.
const CALIBRATION: [(i32, u32); 13] = [
    (-11_400_000, 0),
    (-11_300_000, 100_000),
    (-11_000_000, 250_000),
    (-10_500_000, 330_000),
    (-9_500_000, 450_000),
    (-8_000_000, 520_000),
    (-6_000_000, 620_000),
    (-4_000_000, 720_000),
    (-2_000_000, 770_000),
    (0, 820_000),
    (2_000_000, 900_000),
    (5_000_000, 960_000),
    (9_000_000, 1_000_000),
];
/// Largest difference between two honest computations of one score, in micro-logits.
const AUDIT_TOLERANCE: u32 = 500;
/// Worth of an answer that deserves its full price, as a multiple of that price: it must exceed 1,
/// or nobody would ask.
const ANSWER_WORTH: u64 = 2;
/// Largest difference of an honest score from the reference, in micro-logits.
pub const HONEST_NOISE: i32 = 10;
/// Fraction of the variance of an answer's score that comes from its question.
const SHARED_VARIANCE: f64 = 0.5;
/// Seed of the estimate of the prior; constant, so that all runs share it.
const PRIOR_SEED: u64 = 0;
const PRIOR_SAMPLES: u64 = 4_000;

/// The answers of a language model, and their cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelClass {
    /// Name in reports.
    pub name: &'static str,
    /// Mean raw score of its answers, in logits.
    pub mean: f64,
    /// Standard deviation of the raw scores, in logits.
    pub deviation: f64,
    /// Cost in base units per answer.
    pub cost: u64,
    /// Length of an answer in bytes.
    pub answer_bytes: usize,
}

/// The model that a node registers for.
pub const STANDARD: ModelClass = ModelClass {
    name: "standard",
    mean: -3.0,
    deviation: 4.0,
    cost: 15_000,
    // From 512 bytes on, an answer's worth counts in its node's reputation (ADR 34).
    answer_bytes: 512,
};

/// A model that scores as well at a third of the cost.
pub const CHEAPER: ModelClass = ModelClass {
    name: "cheaper",
    cost: 5_000,
    ..STANDARD
};

/// Prices and costs, in base units.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct World {
    /// Price of a task without its answer.
    pub base_price: u64,
    /// Price of each byte of the answer.
    pub price_per_answer_byte: u64,
    /// An evaluator's cost of computing one score.
    pub evaluation_cost: u64,
    /// Quality (ppm) up to which an answer earns nothing.
    pub quality_floor: u32,
    /// Quality (ppm) from which an answer earns everything.
    pub quality_target: u32,
}

impl Default for World {
    /// The template's prices for a prompt of 140 bytes and an answer of 512: 47,000 base units, of
    /// which a seat of five earns 1,880 and spends 400.
    fn default() -> Self {
        Self {
            base_price: 21_400,
            price_per_answer_byte: 50,
            evaluation_cost: 400,
            quality_floor: 200_000,
            quality_target: 700_000,
        }
    }
}

impl World {
    /// Prices times `factor`; costs stay the same.
    pub fn dearer(self, factor: u64) -> Self {
        Self {
            base_price: self.base_price.saturating_mul(factor),
            price_per_answer_byte: self.price_per_answer_byte.saturating_mul(factor),
            ..self
        }
    }

    /// Gives answers of every length the price of a task with an answer of the standard length, so
    /// that pay depends on quality alone.
    pub fn flat(self) -> Self {
        Self {
            base_price: self.price(),
            price_per_answer_byte: 0,
            ..self
        }
    }

    /// Answers earn nothing up to a quality of `floor` (ppm), and everything from `target`.
    pub fn paying(self, floor: u32, target: u32) -> Self {
        Self {
            quality_floor: floor,
            quality_target: target,
            ..self
        }
    }

    /// Price of a task with an answer of the standard length.
    pub fn price(&self) -> u64 {
        self.base_price + self.price_per_answer_byte * STANDARD.answer_bytes as u64
    }

    /// Worth of an answer of a quality (ppm) for its user.
    pub fn worth(&self, quality: u32) -> u64 {
        let delivered = self.terms().delivered_part(quality);
        let worth = u128::from(self.price()) * u128::from(ANSWER_WORTH) * u128::from(delivered);
        (worth / u128::from(PPM)) as u64
    }

    fn terms(&self) -> Terms {
        Terms {
            base_price: self.base_price,
            price_per_answer_byte: self.price_per_answer_byte,
            quality_floor: self.quality_floor,
            quality_target: self.quality_target,
            ..Terms::default()
        }
    }

    /// The registry entry of the language model.
    pub fn model(&self) -> Model {
        Model {
            id: MODEL.into(),
            architecture: "llama".into(),
            weights_sha256: "ab".repeat(32),
            context_tokens: 8_192,
            base_price: self.base_price,
            price_per_answer_byte: self.price_per_answer_byte,
            quality_floor: self.quality_floor,
            quality_target: self.quality_target,
            evaluator_models: vec![WeightedEvaluatorModel {
                id: SCORER.into(),
                weight: 1,
            }],
            ..Model::default()
        }
    }
}

/// The registry entry of the evaluator model.
pub fn scorer() -> EvaluatorModel {
    EvaluatorModel {
        id: SCORER.into(),
        kind: EvaluatorKind::CrossEncoder.into(),
        weights_sha256: "cd".repeat(32),
        tokenizer_sha256: "ef".repeat(32),
        max_tokens: 512,
        calibration: calibration(),
        audit_tolerance: AUDIT_TOLERANCE,
        ..EvaluatorModel::default()
    }
}

/// Replaces the reference evaluator: reads the score in the answer's [`text`]. If audits are off it
/// has no score for any answer, so that audits find nothing; the rest of the state machine is the
/// same.
#[derive(Clone, Copy, Debug)]
pub struct Reference {
    /// Whether it has scores.
    pub audits: bool,
}

impl ReferenceScorer for Reference {
    fn score(&self, _: &EvaluatorModel, _: &str, answer: &str) -> Result<i32, ScoreError> {
        match self.audits {
            true => score(answer).map_err(|error| ScoreError::NoScore(error.to_string())),
            false => Err(ScoreError::NoScore("audits are off".into())),
        }
    }
}

fn calibration() -> Vec<CalibrationPoint> {
    let point = |(raw_score, quality)| CalibrationPoint { raw_score, quality };
    CALIBRATION.map(point).to_vec()
}

/// The conversion between raw scores and qualities, as in the chain's registry.
pub struct Scale(Vec<CalibrationPoint>);

impl Default for Scale {
    fn default() -> Self {
        Self(calibration())
    }
}

impl Scale {
    /// The conversion of a registry entry.
    pub fn of(entry: &EvaluatorModel) -> Self {
        Self(entry.calibration.clone())
    }

    /// Quality (ppm) of a raw score (micro-logits).
    pub fn quality(&self, raw: i32) -> u32 {
        calibrate(&self.0, raw)
    }

    /// A raw score whose quality is `quality` (ppm) up to rounding; beyond the table, its ends.
    pub fn raw(&self, quality: u32) -> i32 {
        for pair in self.0.windows(2) {
            let [low, high] = [pair[0], pair[1]];
            if quality <= high.quality {
                let offset = i64::from(quality.saturating_sub(low.quality));
                let width = i64::from(high.raw_score) - i64::from(low.raw_score);
                let rise = i64::from(high.quality - low.quality).max(1);
                return (i64::from(low.raw_score) + offset * width / rise) as i32;
            }
        }
        self.0.last().map_or(0, |point| point.raw_score)
    }

    /// A raw score whose quality differs by `by` (ppm) from that of `raw`, within the table.
    pub fn shifted(&self, raw: i32, by: i64) -> i32 {
        let quality = (i64::from(self.quality(raw)) + by).clamp(0, PPM as i64);
        self.raw(quality as u32)
    }
}

/// Raw score (micro-logits) of a model's answer to a task of a run.
pub fn truth(class: &ModelClass, seed: u64, task: u64) -> i32 {
    let shared = normal(&mut generator(seed, "question", task, 0));
    let own = normal(&mut generator(seed, "answer", task, 0));
    let sum = SHARED_VARIANCE.sqrt() * shared + (1.0 - SHARED_VARIANCE).sqrt() * own;
    to_raw(class.mean + class.deviation * sum)
}

/// Converts logits to micro-logits.
pub fn to_raw(logits: f64) -> i32 {
    (logits * 1e6).round() as i32
}

/// Qualities (ppm) of the standard model's answers: a sample, the same in every run.
pub fn prior() -> &'static [u32] {
    static PRIOR: OnceLock<Vec<u32>> = OnceLock::new();
    PRIOR.get_or_init(|| {
        let scale = Scale::default();
        (0..PRIOR_SAMPLES)
            .map(|task| scale.quality(truth(&STANDARD, PRIOR_SEED, task)))
            .collect()
    })
}

/// Mean quality (ppm) of the standard model's answers: a lazy evaluator's guess.
pub fn prior_mean() -> u32 {
    let sum: u64 = prior().iter().map(|quality| u64::from(*quality)).sum();
    (sum / PRIOR_SAMPLES) as u32
}

/// The text of an answer with the score `raw` by the laboratory's reference evaluator: the score,
/// and padding up to `bytes`.
pub fn text(raw: i32, bytes: usize) -> String {
    format!("{raw:.<bytes$}", raw = format!("{raw} "))
}

/// Reads the score in a [`text`].
///
/// # Errors
/// [`Error::Unreadable`] if the text has none.
pub fn score(answer: &str) -> Result<i32, Error> {
    let first = answer.split(' ').next().unwrap_or_default();
    first
        .parse()
        .map_err(|error| Error::unreadable("answer", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_carry_their_score() {
        for raw in [0, -11_400_000, i32::MAX, i32::MIN] {
            let text = text(raw, 100);
            assert_eq!((score(&text).unwrap(), text.len()), (raw, 100));
        }
        assert!(score("no number").is_err());
    }

    #[test]
    fn scales_invert_themselves() {
        let scale = Scale::default();
        for quality in (0..=1_000_000).step_by(10_007) {
            assert!(scale.quality(scale.raw(quality)).abs_diff(quality) <= 1_000);
        }
        assert_eq!(scale.quality(scale.raw(1_000_000)), 1_000_000);
        assert_eq!(scale.quality(scale.shifted(0, -5_000_000)), 0);
        assert_eq!(scale.quality(scale.shifted(0, 5_000_000)), 1_000_000);
    }

    #[test]
    fn worlds_depend_on_the_seed_and_the_task_only() {
        assert_eq!(truth(&STANDARD, 1, 1), truth(&CHEAPER, 1, 1));
        assert_ne!(truth(&STANDARD, 1, 1), truth(&STANDARD, 1, 2));
        assert_ne!(truth(&STANDARD, 1, 1), truth(&STANDARD, 2, 1));
    }

    #[test]
    fn the_prior_is_not_at_an_end_of_the_scale() {
        assert!(
            (500_000..800_000).contains(&prior_mean()),
            "{}",
            prior_mean()
        );
    }

    #[test]
    fn the_default_price_is_that_of_the_template() {
        assert_eq!(World::default().price(), 47_000);
        assert_eq!(World::default().dearer(10).price(), 470_000);
        assert_eq!(World::default().flat().price(), 47_000);
    }

    #[test]
    fn an_answer_is_worth_more_than_it_costs() {
        let world = World::default();
        assert_eq!(world.worth(700_000), 94_000);
        assert_eq!(world.worth(450_000), 47_000);
        assert_eq!(world.worth(200_000), 0);
    }
}
