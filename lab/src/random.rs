//! Random numbers that depend only on their purpose, so that two runs that differ in one strategy
//! see the same tasks, noise and blocks.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use sha2::{Digest, Sha256};
use statrs::distribution::{ContinuousCDF, Normal};

/// 32 bytes derived from `seed` for a purpose and up to two indices.
pub fn bytes(seed: u64, purpose: &str, first: u64, second: u64) -> [u8; 32] {
    Sha256::new()
        .chain_update("poq/lab")
        .chain_update(seed.to_be_bytes())
        .chain_update((purpose.len() as u64).to_be_bytes())
        .chain_update(purpose)
        .chain_update(first.to_be_bytes())
        .chain_update(second.to_be_bytes())
        .finalize()
        .into()
}

/// A generator for a purpose and up to two indices.
pub fn generator(seed: u64, purpose: &str, first: u64, second: u64) -> ChaCha8Rng {
    ChaCha8Rng::from_seed(bytes(seed, purpose, first, second))
}

/// A standard normal number.
pub fn normal(rng: &mut impl Rng) -> f64 {
    let uniform: f64 = rng.gen_range(1e-12..1.0 - 1e-12);
    Normal::standard().inverse_cdf(uniform)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn purposes_and_indices_are_independent_streams() {
        let base = bytes(1, "a", 2, 3);
        assert_eq!(base, bytes(1, "a", 2, 3));
        for other in [
            bytes(2, "a", 2, 3),
            bytes(1, "b", 2, 3),
            bytes(1, "a", 3, 3),
            bytes(1, "a", 2, 4),
        ] {
            assert_ne!(base, other);
        }
    }

    #[test]
    fn normal_numbers_have_mean_0_and_deviation_1() {
        let mut rng = generator(1, "test", 0, 0);
        let numbers: Vec<f64> = (0..20_000).map(|_| normal(&mut rng)).collect();
        let mean = numbers.iter().sum::<f64>() / 20_000.0;
        let variance = numbers.iter().map(|number| number * number).sum::<f64>() / 20_000.0;
        assert!(
            mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05,
            "{mean} {variance}"
        );
    }
}
