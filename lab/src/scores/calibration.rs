//! The monotone table from raw scores to qualities.

use poq_proto::calibrate;
use poq_proto::v1::CalibrationPoint;
use poq_reference_evaluator::LEAST;
use serde::Serialize;

use super::data::Dataset;
use crate::statistics::agreement::auc;
use crate::statistics::isotonic::{Point, regression};

/// Number of bins of equal weight whose means are fitted: more would fit the noise of a few hundred
/// prompts.
const BINS: usize = 20;
/// Qualities are rounded to this many ppm.
const STEP: f64 = 1000.0;
/// Bins of the expected calibration error.
const ERROR_BINS: usize = 10;

/// A raw score, whether its answer was written for its prompt, and its weight.
type Observation = (i32, bool, f64);

/// A fitted table and its accuracy.
#[derive(Clone, Debug, PartialEq)]
pub struct Fit {
    /// From raw scores to qualities.
    pub table: Vec<CalibrationPoint>,
    /// Number of pairs that it was fitted to.
    pub fitted: usize,
}

/// Accuracy of a table.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Held {
    /// Number of pairs.
    pub pairs: usize,
    /// Mean squared difference between quality and class; a constant one half gives 0.25.
    pub brier: f64,
    /// Mean difference between quality and frequency over ten bins.
    pub calibration_error: f64,
    /// Area under the ROC curve.
    pub auc: f64,
}

/// Fits a table to the raw scores of [`Dataset::pairs`], in ppm: the probability that an answer
/// with this score was written for its prompt, if half of all answers are. Capped answers are
/// excluded, because no model scored them; every table gives them the least quality. `None` if all
/// answers have the same class or the same score.
pub fn fit(dataset: &Dataset, raw: &[i32]) -> Option<Fit> {
    let observations = observations(dataset, raw, |raw| raw != LEAST)?;
    let fitted = observations.len();
    let blocks = regression(bins(observations.clone()));
    let quality = |y: f64| ((y * 1e6 / STEP).round() * STEP) as u32;
    let mut table: Vec<CalibrationPoint> = Vec::new();
    let lowest = observations.iter().map(|of| of.0).min()?;
    let highest = observations.iter().map(|of| of.0).max()?;
    // A higher score never has the same quality, except beyond the ends.
    let mut add = |raw_score: i32, quality: u32| {
        let rises = |last: &CalibrationPoint| last.raw_score < raw_score && last.quality < quality;
        if table.last().is_none_or(rises) {
            table.push(CalibrationPoint { raw_score, quality });
        }
    };
    // Beyond the observed range, a score is worth nothing or everything.
    add(lowest, 0);
    for block in &blocks {
        let x = block.x.round() as i32;
        if x < highest {
            add(x, quality(block.y));
        }
    }
    add(highest, 1_000_000);
    (table.len() > 1).then_some(Fit { table, fitted })
}

/// Accuracy of a table for the raw scores of [`Dataset::pairs`]. `None` if all answers have the
/// same class.
pub fn held(dataset: &Dataset, raw: &[i32], table: &[CalibrationPoint]) -> Option<Held> {
    let observations = observations(dataset, raw, |_| true)?;
    let predicted = observations.iter().map(|(raw, on_topic, weight)| {
        let quality = f64::from(calibrate(table, *raw)) / 1e6;
        (quality, f64::from(u8::from(*on_topic)), *weight)
    });
    let total: f64 = observations.iter().map(|of| of.2).sum();
    let mut brier = 0.0;
    let mut of_bins = [(0.0, 0.0); ERROR_BINS];
    for (quality, class, weight) in predicted.clone() {
        brier += weight * (quality - class).powi(2);
        let bin = ((quality * ERROR_BINS as f64) as usize).min(ERROR_BINS - 1);
        of_bins[bin].0 += weight * quality;
        of_bins[bin].1 += weight * class;
    }
    let error: f64 = of_bins
        .iter()
        .map(|(quality, class)| (quality - class).abs())
        .sum();
    let values: Vec<(f64, bool)> = predicted.map(|of| (of.0, of.1 > 0.0)).collect();
    Some(Held {
        pairs: observations.len(),
        brier: brier / total,
        calibration_error: error / total,
        auc: auc(&values)?,
    })
}

/// Weights that give both classes the same total, 1 each on average. `None` if a class is missing.
fn observations(
    dataset: &Dataset,
    raw: &[i32],
    counts: impl Fn(i32) -> bool,
) -> Option<Vec<Observation>> {
    let known: Vec<(i32, bool)> = raw
        .iter()
        .zip(dataset.on_topic())
        .filter_map(|(raw, on_topic)| Some((*raw, on_topic?)))
        .filter(|(raw, _)| counts(*raw))
        .collect();
    let all = known.len() as f64;
    let on = known.iter().filter(|of| of.1).count() as f64;
    if on == 0.0 || on == all {
        return None;
    }
    let weight = |is_on: bool| all / 2.0 / if is_on { on } else { all - on };
    let weighted = known.into_iter().map(|(raw, on)| (raw, on, weight(on)));
    Some(weighted.collect())
}

/// Means of about equal weight, in the order of raw scores. Half an observation of each class is
/// added to each bin, because a few observations cannot make a frequency of 0 or 1 certain.
fn bins(mut observations: Vec<Observation>) -> Vec<Point> {
    observations.sort_by_key(|of| of.0);
    let total: f64 = observations.iter().map(|of| of.2).sum();
    let mut before = 0.0;
    let mut bins: Vec<(usize, Point)> = Vec::new();
    for same in observations.chunk_by(|a, b| a.0 == b.0) {
        let bin = (before / total * BINS as f64) as usize;
        for (raw, on_topic, weight) in same {
            let (x, y) = (f64::from(*raw), f64::from(u8::from(*on_topic)));
            before += weight;
            match bins.last_mut() {
                Some((last, sums)) if *last == bin => {
                    sums.x += weight * x;
                    sums.y += weight * y;
                    sums.weight += weight;
                }
                _ => bins.push((
                    bin,
                    Point {
                        x: weight * x,
                        y: weight * y,
                        weight: *weight,
                    },
                )),
            }
        }
    }
    let mean = |(_, sums): (usize, Point)| Point {
        x: sums.x / sums.weight,
        y: (sums.y + 0.5) / (sums.weight + 1.0),
        weight: sums.weight,
    };
    bins.into_iter().map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::super::data::Item;
    use super::*;

    /// Answers with scores from 0 to 999, whose on-topic frequency equals their score.
    fn dataset() -> (Dataset, Vec<i32>) {
        let mut dataset = Dataset::default();
        let mut raw = Vec::new();
        for number in 0..4000_usize {
            let score = (number * 7919) % 1000;
            dataset.prompts.push(number.to_string());
            dataset.items.push(Item {
                prompt: number,
                answer: String::new(),
                score: None,
                label: Some((number * 104_729) % 1000 < score),
            });
            raw.push(score as i32 * 1000);
        }
        (dataset, raw)
    }

    #[test]
    fn the_table_is_that_of_the_frequencies() {
        let (dataset, raw) = dataset();
        let fit = fit(&dataset, &raw).unwrap();
        let table = &fit.table;
        assert!(table.is_sorted_by(|a, b| a.raw_score < b.raw_score && a.quality < b.quality));
        assert_eq!(fit.fitted, 4000);
        for score in [100_000, 300_000, 500_000, 700_000, 900_000] {
            let quality = calibrate(table, score);
            assert!(quality.abs_diff(score as u32) < 80_000, "{score} {quality}");
        }
        let held = held(&dataset, &raw, table).unwrap();
        assert_eq!(held.pairs, 4000);
        // E[p(1 − p)] of a uniform p is 1/6.
        assert!((held.brier - 1.0 / 6.0).abs() < 0.02, "{held:?}");
        assert!(held.calibration_error < 0.08, "{held:?}");
    }

    #[test]
    fn what_is_capped_changes_no_table() {
        let (mut dataset, mut raw) = dataset();
        let before = fit(&dataset, &raw).unwrap();
        for label in [true, false, false] {
            let last = dataset.items[0].clone();
            dataset.items.push(Item {
                label: Some(label),
                ..last
            });
            raw.push(LEAST);
        }
        assert_eq!(fit(&dataset, &raw).unwrap(), before);
        assert_eq!(held(&dataset, &raw, &before.table).unwrap().pairs, 4003);
    }

    #[test]
    fn one_class_has_no_table() {
        let (mut dataset, raw) = dataset();
        for item in &mut dataset.items {
            item.label = Some(true);
        }
        assert_eq!(fit(&dataset, &raw), None);
        assert_eq!(held(&dataset, &raw, &[]), None);
        for item in &mut dataset.items {
            item.label = None;
        }
        assert_eq!(fit(&dataset, &raw), None);
    }

    #[test]
    fn equal_scores_have_no_table() {
        let (dataset, raw) = dataset();
        assert_eq!(fit(&dataset, &vec![5; raw.len()]), None);
    }
}
