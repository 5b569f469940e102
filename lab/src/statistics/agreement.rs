//! Statistics of agreement. Each is `None` if it is not defined.

use statrs::statistics::{Data, OrderStatistics, RankTieBreaker};

/// Ranks from 1; equal values share the mean of theirs.
fn ranks(values: impl Iterator<Item = f64>) -> Vec<f64> {
    Data::new(values.collect::<Vec<_>>()).ranks(RankTieBreaker::Average)
}

/// Spearman's rank correlation: Pearson's of the ranks. `None` if either side is constant.
pub fn spearman(pairs: &[(f64, f64)]) -> Option<f64> {
    let (one, other) = (
        pairs.iter().map(|pair| pair.0),
        pairs.iter().map(|pair| pair.1),
    );
    let pairs: Vec<_> = ranks(one).into_iter().zip(ranks(other)).collect();
    pearson(&pairs)
}

/// Pearson's correlation. `None` if either side is constant.
pub fn pearson(pairs: &[(f64, f64)]) -> Option<f64> {
    let count = pairs.len() as f64;
    let sums = pairs
        .iter()
        .fold((0.0, 0.0), |sum, pair| (sum.0 + pair.0, sum.1 + pair.1));
    let (mean_a, mean_b) = (sums.0 / count, sums.1 / count);
    let (mut products, mut squares_a, mut squares_b) = (0.0, 0.0, 0.0);
    for (a, b) in pairs {
        let (a, b) = (a - mean_a, b - mean_b);
        products += a * b;
        squares_a += a * a;
        squares_b += b * b;
    }
    let scale = (squares_a * squares_b).sqrt();
    (scale > 0.0).then(|| products / scale)
}

/// Arithmetic mean; `None` for an empty slice.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Area under the ROC curve: how often a value of the positive class is above one of the negative
/// class; a tie counts one half. `None` if one class is missing.
pub fn auc(values: &[(f64, bool)]) -> Option<f64> {
    let ranks = ranks(values.iter().map(|(value, _)| *value));
    let classes = values.iter().map(|(_, class)| *class);
    let of_positive = ranks.iter().zip(classes).filter(|(_, class)| *class);
    let positive = of_positive.clone().count() as f64;
    let negative = values.len() as f64 - positive;
    let sum: f64 = of_positive.map(|(rank, _)| rank).sum();
    let pairs = positive * negative;
    (pairs > 0.0).then(|| (sum - positive * (positive + 1.0) / 2.0) / pairs)
}

/// 1 if `better` is above `worse`, 0 if it is below, one half on a tie.
pub fn preference(better: f64, worse: f64) -> f64 {
    match better.total_cmp(&worse) {
        std::cmp::Ordering::Greater => 1.0,
        std::cmp::Ordering::Less => 0.0,
        std::cmp::Ordering::Equal => 0.5,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: Option<f64>, b: f64) {
        assert!((a.unwrap() - b).abs() < 1e-12, "{a:?} {b}");
    }

    /// From `scipy.stats.spearmanr`, version 1.16.
    #[test]
    fn spearman_has_its_known_values() {
        let a = [
            106.0, 86.0, 100.0, 101.0, 99.0, 103.0, 97.0, 113.0, 112.0, 110.0,
        ];
        let b = [7.0, 0.0, 27.0, 50.0, 28.0, 29.0, 20.0, 12.0, 6.0, 17.0];
        let pairs: Vec<_> = a.into_iter().zip(b).collect();
        close(spearman(&pairs), -0.175_757_575_757_575_75);
        let tied = [(1.0, 1.0), (2.0, 3.0), (2.0, 2.0), (4.0, 3.0)];
        close(spearman(&tied), 0.833_333_333_333_333_4);
        assert_eq!(spearman(&[(1.0, 1.0), (1.0, 2.0), (1.0, 3.0)]), None);
        assert_eq!(spearman(&[]), None);
    }

    #[test]
    fn pearson_is_of_the_values() {
        close(pearson(&[(1.0, 2.0), (2.0, 4.0), (3.0, 6.0)]), 1.0);
        close(pearson(&[(1.0, 1.0), (2.0, 0.0)]), -1.0);
        assert_eq!(pearson(&[(1.0, 1.0), (1.0, 0.0)]), None);
    }

    /// From `sklearn.metrics.roc_auc_score`.
    #[test]
    fn auc_has_its_known_values() {
        let four = [(0.1, false), (0.4, false), (0.35, true), (0.8, true)];
        close(auc(&four), 0.75);
        close(auc(&[(1.0, true), (1.0, false), (1.0, true)]), 0.5);
        let tied = [(0.5, true), (0.5, false), (0.2, false), (0.9, true)];
        close(auc(&tied), 0.875);
        assert_eq!(auc(&[(1.0, true), (2.0, true)]), None);
        assert_eq!(auc(&[]), None);
    }

    #[test]
    fn a_tie_is_half_a_preference() {
        assert_eq!(
            [
                preference(2.0, 1.0),
                preference(1.0, 2.0),
                preference(1.0, 1.0)
            ],
            [1.0, 0.0, 0.5]
        );
    }
}
