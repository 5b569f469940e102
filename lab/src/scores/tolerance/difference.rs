//! Differences of scores, and the tolerance that they require.

use serde::Serialize;

/// Factor of a tolerance over the largest observed difference: for other processors, other versions
/// of ONNX Runtime, and untested pairs.
const MARGIN: u32 = 50;
/// The smallest tolerance, in micro-logits or millionths of a cosine.
const LEAST: u32 = 50;

/// Distribution of the magnitudes of differences, in millionths.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Differences {
    /// Name of the comparison.
    pub of: &'static str,
    /// Number of pairs.
    pub pairs: usize,
    /// The median; percentiles are by nearest rank.
    pub p50: u32,
    /// The 90th percentile.
    pub p90: u32,
    /// The 99th percentile.
    pub p99: u32,
    /// The 99.9th percentile.
    pub p999: u32,
    /// The largest.
    pub max: u32,
}

impl Differences {
    /// Compares scores of the same pairs.
    pub fn new(of: &'static str, a: &[i32], b: &[i32]) -> Self {
        let mut sorted: Vec<u32> = a.iter().zip(b).map(|(a, b)| a.abs_diff(*b)).collect();
        sorted.sort_unstable();
        let at = |per_mille: usize| {
            let rank = (sorted.len() * per_mille).div_ceil(1000).max(1);
            sorted.get(rank - 1).copied().unwrap_or(0)
        };
        Self {
            of,
            pairs: sorted.len(),
            p50: at(500),
            p90: at(900),
            p99: at(990),
            p999: at(999),
            max: at(1000),
        }
    }
}

/// The tolerance and its derivation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Derivation {
    /// Largest difference between any of the settings and the reference evaluator.
    pub largest: u32,
    /// Factor for other processors, other versions and untested pairs.
    pub margin: u32,
    /// `largest · margin`, rounded up to 1, 2 or 5 times a power of ten, and at least 50.
    pub audit_tolerance: u32,
}

impl Derivation {
    /// From the largest observed difference.
    pub fn new(largest: u32) -> Self {
        let product = u64::from(largest) * u64::from(MARGIN);
        let product = product.max(u64::from(LEAST));
        let power = 10_u64.pow(product.ilog10());
        let round = [1, 2, 5, 10].map(|digit| digit * power);
        let enough = round.into_iter().find(|value| *value >= product);
        Self {
            largest,
            margin: MARGIN,
            audit_tolerance: enough
                .map_or(u32::MAX, |value| u32::try_from(value).unwrap_or(u32::MAX)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_of_magnitudes() {
        let a: Vec<i32> = (1..=1000).collect();
        let b = vec![0; 1000];
        let of = Differences::new("test", &b, &a);
        assert_eq!((of.pairs, of.p50, of.p90, of.p99), (1000, 500, 900, 990));
        assert_eq!((of.p999, of.max), (999, 1000));
        assert_eq!(
            Differences::new("test", &[i32::MIN], &[i32::MAX]).max,
            u32::MAX
        );
        assert_eq!(Differences::new("test", &[], &[]).max, 0);
    }

    #[test]
    fn a_tolerance_is_a_round_number_with_a_margin() {
        let tolerance = |largest| Derivation::new(largest).audit_tolerance;
        assert_eq!([0, 1, 2, 3, 8].map(tolerance), [50, 50, 100, 200, 500]);
        assert_eq!([10, 11, 20, 21].map(tolerance), [500, 1000, 1000, 2000]);
        assert_eq!(tolerance(u32::MAX), u32::MAX);
    }
}
