//! Confidence intervals by resampling.

use rand::Rng;
use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::SeedableRng;
use serde::Serialize;

/// An estimate and its 95 % confidence interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// The estimate from all data.
    pub value: f64,
    /// The 2.5th percentile of the resamples.
    pub low: f64,
    /// The 97.5th percentile.
    pub high: f64,
}

/// The statistic of all observations, with the percentile interval of `resamples` resamples.
///
/// `clusters` are the observations that belong together, such as the answers to one prompt. Whole
/// clusters are drawn with replacement, because observations of one cluster are not independent.
/// The same `seed` gives the same interval on every machine. `None` if the statistic of all
/// observations is.
pub fn interval(
    clusters: &[Vec<usize>],
    resamples: u32,
    seed: u64,
    statistic: impl Fn(&[usize]) -> Option<f64>,
) -> Option<Interval> {
    let value = statistic(&clusters.concat())?;
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut drawn = Vec::new();
    let mut values: Vec<f64> = (0..resamples)
        .filter_map(|_| {
            drawn.clear();
            for _ in clusters {
                drawn.extend(&clusters[random.gen_range(0..clusters.len())]);
            }
            statistic(&drawn)
        })
        .collect();
    values.sort_by(f64::total_cmp);
    Some(Interval {
        value,
        low: percentile(&values, 0.025).unwrap_or(value),
        high: percentile(&values, 0.975).unwrap_or(value),
    })
}

/// Percentile by nearest rank.
fn percentile(sorted: &[f64], part: f64) -> Option<f64> {
    let rank = (sorted.len() as f64 * part).ceil().max(1.0) as usize;
    sorted.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use super::super::agreement::mean;
    use super::*;

    fn mean_of(values: &[f64], clusters: &[Vec<usize>], seed: u64) -> Interval {
        let statistic =
            |drawn: &[usize]| mean(&drawn.iter().map(|at| values[*at]).collect::<Vec<_>>());
        interval(clusters, 10_000, seed, statistic).unwrap()
    }

    fn alone(observations: usize) -> Vec<Vec<usize>> {
        (0..observations)
            .map(|observation| vec![observation])
            .collect()
    }

    /// The standard error of a mean of 400 coins is 0.025.
    #[test]
    fn the_interval_of_a_mean_is_that_of_theory() {
        let coins: Vec<f64> = (0..400).map(|toss| f64::from(toss % 2)).collect();
        let estimate = mean_of(&coins, &alone(400), 1);
        assert_eq!(estimate.value, 0.5);
        assert!((estimate.low - 0.451).abs() < 0.006 && (estimate.high - 0.549).abs() < 0.006);
    }

    #[test]
    fn a_seed_gives_the_same_interval_again() {
        let values: Vec<f64> = (0..50).map(f64::from).collect();
        assert_eq!(
            mean_of(&values, &alone(50), 7),
            mean_of(&values, &alone(50), 7)
        );
        assert_ne!(
            mean_of(&values, &alone(50), 7),
            mean_of(&values, &alone(50), 8)
        );
    }

    #[test]
    fn what_belongs_together_is_drawn_together() {
        let values: Vec<f64> = (0..400).map(|toss| f64::from(toss / 200)).collect();
        let halves = [(0..200).collect(), (200..400).collect()];
        let estimate = mean_of(&values, &halves, 1);
        assert_eq!((estimate.low, estimate.high), (0.0, 1.0));
    }

    #[test]
    fn what_is_not_defined_has_no_estimate() {
        assert_eq!(interval(&alone(3), 10, 1, |_| None), None);
    }
}
