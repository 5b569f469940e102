//! Chooses the tokens of an answer. mistral.rs draws from one random generator for all requests, so
//! a request's seed would not determine its answer; the token is therefore chosen here first.

use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use mistralrs::{CustomLogitsProcessor, Result, Tensor};
use sha2::{Digest, Sha256};

use super::Sampling;

const DOMAIN: &[u8] = b"poq/sample/v1";

/// Leaves one token possible: the one chosen by the sampling settings and the seed.
///
/// The random number of a step depends only on the seed and the number of earlier steps, so equal
/// requests get equal answers whatever else runs before or in parallel.
#[derive(Clone)]
pub(super) struct Sampler {
    sampling: Sampling,
    margins: Arc<Mutex<Vec<f32>>>,
    first: Arc<OnceLock<u32>>,
}

impl Sampler {
    /// A sampler for one request.
    pub(super) fn new(sampling: Sampling) -> Self {
        Self {
            sampling,
            margins: Arc::default(),
            first: Arc::default(),
        }
    }

    /// The first chosen token.
    pub(super) fn first(&self) -> Option<u32> {
        self.first.get().copied()
    }

    /// Margin between the two highest logits at each step so far, after penalties.
    pub(super) fn margins(&self) -> Vec<f32> {
        self.lock().clone()
    }

    /// Number of tokens chosen so far.
    pub(super) fn steps(&self) -> usize {
        self.lock().len()
    }

    fn note(&self, margin: f32) {
        self.lock().push(margin);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<f32>> {
        self.margins.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl CustomLogitsProcessor for Sampler {
    fn apply(&self, logits: &Tensor, context: &[u32]) -> Result<Tensor> {
        let mut logits: Vec<f32> = logits.to_vec1()?;
        let step = self.steps();
        let answer = &context[context.len().saturating_sub(step)..];
        penalise(&mut logits, answer, self.sampling.repetition_penalty as f32);
        self.note(margin(&logits));
        let chosen = match self.sampling.temperature > 0.0 {
            true => choose(
                &logits,
                &self.sampling,
                uniform(self.sampling.seed, step as u64),
            ),
            false => highest(&logits),
        };
        self.first.get_or_init(|| chosen as u32);
        logits.fill(f32::NEG_INFINITY);
        logits[chosen] = 0.0;
        let length = logits.len();
        Tensor::from_vec(logits, length, &mistralrs::Device::Cpu)
    }
}

/// The first index of the highest logit.
fn highest(logits: &[f32]) -> usize {
    let mut best = 0;
    for (token, logit) in logits.iter().enumerate() {
        if *logit > logits[best] {
            best = token;
        }
    }
    best
}

/// The margin between the two highest logits.
fn margin(logits: &[f32]) -> f32 {
    let two = logits.iter().fold([f32::NEG_INFINITY; 2], |[a, b], logit| {
        [a.max(*logit), b.max(a.min(*logit))]
    });
    two[0] - two[1]
}

/// Makes tokens of the answer so far less likely (CTRL, arXiv 1909.05858, section 4.1). Tokens of
/// the prompt are exempt: an answer has to name its subject, and the end token also ends the
/// prompt.
fn penalise(logits: &mut [f32], answer: &[u32], penalty: f32) {
    if penalty == 1.0 {
        return;
    }
    let mut said = answer.to_vec();
    said.sort_unstable();
    said.dedup();
    for token in said {
        if let Some(logit) = logits.get_mut(token as usize) {
            *logit = match *logit > 0.0 {
                true => *logit / penalty,
                false => *logit * penalty,
            };
        }
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

/// The token at quantile `draw` of the tempered distribution, cut to its nucleus.
fn choose(logits: &[f32], sampling: &Sampling, draw: f64) -> usize {
    let highest = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let weight = |logit: f32| (f64::from(logit - highest) / sampling.temperature).exp();
    let total: f64 = logits.iter().map(|logit| weight(*logit)).sum();

    // Tokens below this weight cannot be in the nucleus: together they weigh less than the part
    // that the nucleus leaves out. Sorting the few others is cheap.
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
            ..Sampling::GREEDY
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

    /// The only token that a processor leaves possible.
    fn left_by(sampler: &Sampler, context: &[u32]) -> usize {
        let logits = Tensor::new(&LOGITS, &mistralrs::Device::Cpu).unwrap();
        let out = sampler.apply(&logits, context).unwrap();
        let out: Vec<f32> = out.to_vec1().unwrap();
        let possible: Vec<usize> = (0..out.len()).filter(|i| out[*i] == 0.0).collect();
        let excluded = out.iter().filter(|logit| **logit == f32::NEG_INFINITY);
        assert_eq!((possible.len(), excluded.count()), (1, out.len() - 1));
        possible[0]
    }

    #[test]
    fn the_processor_leaves_one_token_and_notes_its_margin() {
        for temperature in [0.0, 0.01] {
            let sampler = Sampler::new(sampling(temperature, 1.0));
            assert_eq!(left_by(&sampler, &[5, 6]), 1);
            assert_eq!(left_by(&sampler, &[5, 6, 1]), 1);
            assert_eq!(sampler.margins(), [1.0, 1.0]);
            assert_eq!(sampler.first(), Some(1));
        }
        assert_eq!(margin(&[2.0, 2.0, 1.0]), 0.0);
        assert_eq!(highest(&[2.0, 2.0, 1.0]), 0);
    }

    #[test]
    fn what_was_said_is_penalised_and_what_was_asked_is_not() {
        let sampler = Sampler::new(Sampling {
            repetition_penalty: 2.0,
            ..Sampling::GREEDY
        });
        // Token 1 in the prompt, then in the answer, then next to token 2.
        assert_eq!(left_by(&sampler, &[1, 1]), 1);
        assert_eq!(left_by(&sampler, &[1, 1, 1]), 2);
        assert_eq!(left_by(&sampler, &[1, 1, 1, 2]), 1);
        assert_eq!(sampler.margins(), [1.0, 0.5, 0.5]);

        let mut logits = LOGITS;
        penalise(&mut logits, &[3, 3, 0, 99], 2.0);
        assert_eq!(logits, [0.5, 3.0, 2.0, -16.0]);
    }
}
