//! Statistics of agreement. Each is `None` where it is not defined.

/// Ranks from 1; equal values share the mean of theirs.
fn ranks(values: &[f64]) -> Vec<f64> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    order.sort_by(|a, b| values[*a].total_cmp(&values[*b]));
    let mut ranks = vec![0.0; values.len()];
    let mut first = 0;
    for tied in order.chunk_by(|a, b| values[*a] == values[*b]) {
        // The mean of first + 1 ..= first + n.
        let mean = first as f64 + (tied.len() + 1) as f64 / 2.0;
        for place in tied {
            ranks[*place] = mean;
        }
        first += tied.len();
    }
    ranks
}

/// Spearman's rank correlation: Pearson's of the ranks. `None` if either is constant.
pub fn spearman(a: &[f64], b: &[f64]) -> Option<f64> {
    pearson(&ranks(a), &ranks(b))
}

fn pearson(a: &[f64], b: &[f64]) -> Option<f64> {
    let (mean_a, mean_b) = (mean(a)?, mean(b)?);
    let (mut products, mut squares_a, mut squares_b) = (0.0, 0.0, 0.0);
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a - mean_a, b - mean_b);
        products += a * b;
        squares_a += a * a;
        squares_b += b * b;
    }
    let scale = (squares_a * squares_b).sqrt();
    (scale > 0.0).then(|| products / scale)
}

/// Arithmetic mean; `None` of nothing.
pub fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Area under the ROC curve: how often a value of the positive class is above one of the negative
/// class; a tie counts one half. `None` if there is one class only.
pub fn auc(values: &[f64], classes: &[bool]) -> Option<f64> {
    let ranks = ranks(values);
    let of_positive = ranks.iter().zip(classes).filter(|(_, class)| **class);
    let positive = of_positive.clone().count() as f64;
    let negative = classes.len() as f64 - positive;
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

    #[test]
    fn equal_values_share_their_ranks() {
        assert_eq!(ranks(&[3.0, 1.0, 3.0, 2.0, 3.0]), [4.0, 1.0, 4.0, 2.0, 4.0]);
        assert!(ranks(&[]).is_empty());
    }

    /// Of `scipy.stats.spearmanr`, version 1.16.
    #[test]
    fn spearman_has_its_known_values() {
        let a = [
            106.0, 86.0, 100.0, 101.0, 99.0, 103.0, 97.0, 113.0, 112.0, 110.0,
        ];
        let b = [7.0, 0.0, 27.0, 50.0, 28.0, 29.0, 20.0, 12.0, 6.0, 17.0];
        close(spearman(&a, &b), -0.175_757_575_757_575_75);
        close(
            spearman(&[1.0, 2.0, 2.0, 4.0], &[1.0, 3.0, 2.0, 3.0]),
            0.833_333_333_333_333_4,
        );
        assert_eq!(spearman(&[1.0, 1.0, 1.0], &[1.0, 2.0, 3.0]), None);
        assert_eq!(spearman(&[], &[]), None);
    }

    /// Of `sklearn.metrics.roc_auc_score`.
    #[test]
    fn auc_has_its_known_values() {
        close(
            auc(&[0.1, 0.4, 0.35, 0.8], &[false, false, true, true]),
            0.75,
        );
        close(auc(&[1.0, 1.0, 1.0], &[true, false, true]), 0.5);
        close(
            auc(&[0.5, 0.5, 0.2, 0.9], &[true, false, false, true]),
            0.875,
        );
        assert_eq!(auc(&[1.0, 2.0], &[true, true]), None);
        assert_eq!(auc(&[], &[]), None);
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
