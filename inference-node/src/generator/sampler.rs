//! Seeded sampling. mistral.rs draws from one generator for all requests, so a request's seed
//! would not decide its answer; this picks the token before mistral.rs does.

use std::sync::atomic::{AtomicU64, Ordering};

use mistralrs::{CustomLogitsProcessor, Result, Tensor};
use sha2::{Digest, Sha256};

use super::Sampling;

const DOMAIN: &[u8] = b"poq/sample/v1";

/// Leaves one token possible: the one that temperature, nucleus and seed choose.
///
/// The random number of a step depends on the seed and on the number of steps before it only,
/// so equal requests get equal answers whatever ran before or beside them.
pub struct SeededSampler {
    sampling: Sampling,
    steps: AtomicU64,
}

impl SeededSampler {
    /// A sampler for one request; `sampling.temperature` is above 0.
    pub fn new(sampling: Sampling) -> Self {
        Self {
            sampling,
            steps: AtomicU64::new(0),
        }
    }
}

impl CustomLogitsProcessor for SeededSampler {
    fn apply(&self, logits: &Tensor, _context: &[u32]) -> Result<Tensor> {
        let mut logits: Vec<f32> = logits.to_vec1()?;
        let step = self.steps.fetch_add(1, Ordering::Relaxed);
        let chosen = choose(&logits, &self.sampling, uniform(self.sampling.seed, step));
        logits.fill(f32::NEG_INFINITY);
        logits[chosen] = 0.0;
        let length = logits.len();
        Tensor::from_vec(logits, length, &mistralrs::Device::Cpu)
    }
}

/// A number in `0..1` with 53 random bits.
fn uniform(seed: u64, step: u64) -> f64 {
    let mut hash = Sha256::new();
    hash.update(DOMAIN);
    hash.update(seed.to_be_bytes());
    hash.update(step.to_be_bytes());
    let digest = hash.finalize();
    let bits = digest[..8]
        .iter()
        .fold(0u64, |bits, byte| bits << 8 | u64::from(*byte));
    (bits >> 11) as f64 / (1u64 << 53) as f64
}

/// The token at the quantile `draw` of the tempered distribution cut to its nucleus.
fn choose(logits: &[f32], sampling: &Sampling, draw: f64) -> usize {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |logit: f32| (f64::from(logit - highest) / sampling.temperature).exp();
    let total: f64 = logits.iter().map(|logit| weight(*logit)).sum();

    // No token below this weight can be in the nucleus: all of them together weigh less than
    // what the nucleus leaves out. Sorting the few others is cheap.
    let least = total * (1.0 - sampling.top_p) / logits.len() as f64;
    let mut candidates: Vec<(usize, f64)> = logits
        .iter()
        .map(|logit| weight(*logit))
        .enumerate()
        .filter(|(_, weight)| *weight >= least)
        .collect();
    if sampling.top_p < 1.0 {
        candidates.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
        let mut mass = 0.0;
        let nucleus = candidates
            .iter()
            .position(|(_, weight)| {
                mass += weight;
                mass >= total * sampling.top_p
            })
            .map_or(candidates.len(), |last| last + 1);
        candidates.truncate(nucleus);
    }

    let mut left = draw * candidates.iter().map(|(_, weight)| weight).sum::<f64>();
    let mut chosen = 0;
    for (token, weight) in candidates {
        chosen = token;
        left -= weight;
        if left < 0.0 {
            break;
        }
    }
    chosen
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 4] = [1.0, 3.0, 2.0, -8.0];

    fn sampling(temperature: f64, top_p: f64) -> Sampling {
        Sampling {
            temperature,
            top_p,
            seed: 0,
        }
    }

    fn frequencies(sampling: &Sampling, seed: u64) -> [f64; 4] {
        let mut counts = [0.0; 4];
        for step in 0..20_000 {
            counts[choose(&LOGITS, sampling, uniform(seed, step))] += 1.0 / 20_000.0;
        }
        counts
    }

    #[test]
    fn follows_the_tempered_distribution() {
        for temperature in [0.5, 1.0, 2.0] {
            let weights = LOGITS.map(|logit| (f64::from(logit) / temperature).exp());
            let total: f64 = weights.iter().sum();
            let seen = frequencies(&sampling(temperature, 1.0), 7);
            for (seen, weight) in seen.iter().zip(weights) {
                assert!(
                    (seen - weight / total).abs() < 0.015,
                    "{seen} {}",
                    weight / total
                );
            }
        }
    }

    #[test]
    fn never_leaves_the_nucleus() {
        // At temperature 1 the shares are 0.09, 0.665, 0.245, 0.00001.
        let seen = frequencies(&sampling(1.0, 0.6), 7);
        assert_eq!(seen[1], seen.iter().sum::<f64>());
        let seen = frequencies(&sampling(1.0, 0.9), 7);
        assert_eq!((seen[0], seen[3]), (0.0, 0.0));
        assert!(seen[2] > 0.2);
    }

    #[test]
    fn seed_and_step_decide() {
        assert_eq!(uniform(1, 2), uniform(1, 2));
        assert_ne!(uniform(1, 2), uniform(2, 2));
        assert_ne!(uniform(1, 2), uniform(1, 3));
    }

    #[test]
    fn processor_leaves_one_token() {
        let logits = Tensor::new(&LOGITS, &mistralrs::Device::Cpu).unwrap();
        let out = SeededSampler::new(sampling(0.01, 1.0))
            .apply(&logits, &[5, 6])
            .unwrap();
        let out: Vec<f32> = out.to_vec1().unwrap();
        assert_eq!(out[1], 0.0);
        assert!(
            out.iter()
                .enumerate()
                .all(|(i, x)| i == 1 || *x == f32::NEG_INFINITY)
        );
    }
}
