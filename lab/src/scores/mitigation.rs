//! Corrections of scores that might make attacks pay less, to be measured before any becomes a rule
//! of the chain.

use std::collections::BTreeSet;

use serde::Serialize;

use super::baseline::length;
use super::data::Dataset;
use super::measure::{Settings, measure};
use super::scoring::Pair;
use crate::statistics::bootstrap::Interval;

/// Tried strengths of the length correction.
const STRENGTHS: [f64; 9] = [-1.0, -0.5, -0.25, -0.1, 0.0, 0.1, 0.25, 0.5, 1.0];
/// Consecutive words that count as copied.
const COPIED_WORDS: usize = 3;

/// A correction of scores.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Mitigation {
    /// Adds a term for the answer's length to the score.
    Length {
        /// Per unit of ln(1 + length in characters), in standard deviations of the score.
        strength: f64,
    },
    /// Subtracts the fraction of the answer that is copied from the prompt from the quality.
    Copied,
}

/// Effect of a correction on the agreement with labels.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Effect {
    /// The correction.
    pub mitigation: Mitigation,
    /// Name of the data.
    pub data: String,
    /// Name of the measure.
    pub measure: &'static str,
    /// Without the correction.
    pub before: Option<Interval>,
    /// With the correction.
    pub after: Option<Interval>,
}

impl Mitigation {
    /// The length correction that agrees best with the preferences of the data.
    pub fn fitted_length(dataset: &Dataset, values: &[f64], settings: Settings) -> Self {
        let settings = Settings {
            resamples: 0,
            ..settings
        };
        let accuracy = |strength: &f64| {
            let corrected = Self::Length {
                strength: *strength,
            };
            let values = corrected.apply(&dataset.pairs(), values);
            measure(dataset, &values, settings)
                .into_iter()
                .filter(|of| of.measure == super::measure::PREFERENCE)
                .find_map(|of| of.model)
                .map_or(0.0, |accuracy| accuracy.value)
        };
        let best = |best: f64, strength: f64| match accuracy(&strength) > accuracy(&best) {
            true => strength,
            false => best,
        };
        let strength = STRENGTHS.into_iter().fold(0.0, best);
        Self::Length { strength }
    }

    /// The corrected values of pairs.
    pub fn apply(self, pairs: &[Pair], values: &[f64]) -> Vec<f64> {
        let deviation = standard_deviation(values);
        let corrected = |((prompt, answer), value): (&Pair, &f64)| match self {
            Self::Length { strength } => value + strength * deviation * length(answer),
            Self::Copied => value * (1.0 - copied(prompt, answer)),
        };
        pairs.iter().zip(values).map(corrected).collect()
    }

    /// The effect on the agreement with labels. `values` are those of [`Dataset::pairs`].
    pub fn effects(self, dataset: &Dataset, values: &[f64], settings: Settings) -> Vec<Effect> {
        let after = self.apply(&dataset.pairs(), values);
        let before = measure(dataset, values, settings);
        before
            .into_iter()
            .zip(measure(dataset, &after, settings))
            .map(|(before, after)| Effect {
                mitigation: self,
                data: before.data,
                measure: before.measure,
                before: before.model,
                after: after.model,
            })
            .collect()
    }
}

/// Fraction of the answer's runs of three words that the prompt also contains, from 0 to 1. It is 0
/// for answers with fewer words, which may legitimately be words of the question.
pub(super) fn copied(prompt: &str, answer: &str) -> f64 {
    let (prompt, answer) = (words(prompt), words(answer));
    let of_prompt: BTreeSet<&[String]> = prompt.windows(COPIED_WORDS).collect();
    let of_answer = answer.windows(COPIED_WORDS);
    match of_answer.len() {
        0 => 0.0,
        all => of_answer.filter(|run| of_prompt.contains(run)).count() as f64 / all as f64,
    }
}

fn words(text: &str) -> Vec<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

fn standard_deviation(values: &[f64]) -> f64 {
    let number = values.len().max(1) as f64;
    let mean = values.iter().sum::<f64>() / number;
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (squares / number).sqrt()
}

#[cfg(test)]
mod tests {
    use super::super::data::sample;
    use super::*;

    #[test]
    fn copied_is_what_stands_in_the_prompt_in_a_row() {
        let prompt = "Why is the sky blue?";
        assert_eq!(copied(prompt, prompt), 1.0);
        assert_eq!(copied(prompt, "The sky is blue."), 0.0);
        assert_eq!(copied(prompt, "Blue."), 0.0);
        assert_eq!(copied(prompt, "Why is the sky so blue today?"), 0.4);
    }

    #[test]
    fn a_length_correction_is_in_deviations_of_the_score() {
        let pairs = [("p", ""), ("p", "ab")];
        let corrected = Mitigation::Length { strength: 0.5 }.apply(&pairs, &[1.0, 3.0]);
        assert_eq!(corrected[0], 1.0);
        assert!((corrected[1] - 3.0 - 0.5 * 3.0_f64.ln()).abs() < 1e-9);
    }

    /// With uninformative scores, the length that people prefer decides.
    #[test]
    fn the_length_correction_is_fitted_to_preferences() {
        let settings = Settings {
            resamples: 10,
            seed: 1,
        };
        let [mut dataset, _] = sample().unwrap().remove(1).halves();
        for preference in &mut dataset.preferences {
            let [a, b] = &preference.answers;
            preference.preferred = Some(usize::from(a.len() > b.len()));
        }
        let values: Vec<f64> = (0..dataset.pairs().len())
            .map(|at| (at % 7) as f64)
            .collect();
        let fitted = Mitigation::fitted_length(&dataset, &values, settings);
        assert!(matches!(fitted, Mitigation::Length { strength } if strength < 0.0));
        let effects = fitted.effects(&dataset, &values, settings);
        let (before, after) = (effects[0].before.unwrap(), effects[0].after.unwrap());
        assert!(after.value > before.value + 0.2, "{effects:?}");
    }
}
