//! Agreement of scores with labels, compared with baselines.

use std::collections::BTreeMap;

use serde::Serialize;

use super::baseline;
use super::data::Dataset;
use crate::statistics::agreement::{auc, mean, preference, spearman};
use crate::statistics::bootstrap::{Interval, interval};

/// How intervals are computed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Number of resamples.
    pub resamples: u32,
    /// Seed of the random numbers.
    pub seed: u64,
}

/// A measure of agreement, for the model and the baselines.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Agreement {
    /// Name of the data.
    pub data: String,
    /// Name of the measure.
    pub measure: &'static str,
    /// Number of answers, or of pairs of answers.
    pub cases: usize,
    /// The model's value, if it is defined.
    pub model: Option<Interval>,
    /// The value of the answer's length.
    pub length: Option<Interval>,
    /// The value of the fraction of the prompt's words.
    pub overlap: Option<Interval>,
}

/// Name of the measure that compares two answers to one prompt.
pub(super) const PREFERENCE: &str = "preference accuracy";

/// The observations of a measure, by index in [`Dataset::pairs`].
enum Cases {
    /// Scores of people.
    Spearman(Vec<(usize, f64)>),
    /// A better answer and a worse one.
    Preference(Vec<(usize, usize)>),
    /// Whether an answer is of the positive class.
    Auc(Vec<(usize, bool)>),
}

/// Assigns observations to prompts.
struct Question {
    measure: &'static str,
    cases: Cases,
    clusters: Vec<Vec<usize>>,
}

impl Dataset {
    fn questions(&self) -> Vec<Question> {
        let items = || self.items.iter().enumerate();
        let scored = items().filter_map(|(at, item)| Some((at, item.score?)));
        let labelled = items().filter_map(|(at, item)| Some((at, item.label?)));
        let on_topic = self.on_topic();
        let topics = (self.items.len()..on_topic.len()).filter_map(|at| Some((at, on_topic[at]?)));
        let prompts = self.prompts_of_pairs();
        let question = |measure, cases: Cases| {
            let of_case: Vec<usize> = match &cases {
                Cases::Spearman(cases) => cases.iter().map(|case| prompts[case.0]).collect(),
                Cases::Preference(cases) => cases.iter().map(|case| prompts[case.0]).collect(),
                Cases::Auc(cases) => cases.iter().map(|case| prompts[case.0]).collect(),
            };
            Question {
                measure,
                clusters: clusters(&of_case),
                cases,
            }
        };
        let all = [
            question("Spearman, score", Cases::Spearman(scored.collect())),
            question(PREFERENCE, Cases::Preference(self.preferred())),
            question("AUC, label", Cases::Auc(labelled.collect())),
            question("AUC, own prompt or another", Cases::Auc(topics.collect())),
        ];
        all.into_iter()
            .filter(|question| !question.clusters.is_empty())
            .collect()
    }

    /// The better and the worse of two answers to one prompt: preferences, and items with different
    /// scores.
    fn preferred(&self) -> Vec<(usize, usize)> {
        let first = self.items.len();
        let of_pairs = self.preferences.iter().enumerate();
        let mut all: Vec<(usize, usize)> = of_pairs
            .filter_map(|(at, preference)| {
                let better = preference.preferred?;
                Some((first + 2 * at + better, first + 2 * at + 1 - better))
            })
            .collect();
        let of_items: Vec<usize> = self.items.iter().map(|item| item.prompt).collect();
        for of_prompt in clusters(&of_items) {
            for better in &of_prompt {
                let is_worse = |other: &&usize| {
                    let scores = [*better, **other].map(|at| self.items[at].score);
                    matches!(scores, [Some(better), Some(worse)] if better > worse)
                };
                all.extend(
                    of_prompt
                        .iter()
                        .filter(is_worse)
                        .map(|worse| (*better, *worse)),
                );
            }
        }
        all
    }
}

/// Observations grouped by prompt.
fn clusters(prompts: &[usize]) -> Vec<Vec<usize>> {
    let mut clusters: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (observation, prompt) in prompts.iter().enumerate() {
        clusters.entry(*prompt).or_default().push(observation);
    }
    clusters.into_values().collect()
}

impl Question {
    fn estimate(&self, values: &[f64], settings: Settings) -> Option<Interval> {
        let Settings { resamples, seed } = settings;
        interval(&self.clusters, resamples, seed, |drawn| match &self.cases {
            Cases::Spearman(cases) => {
                let scores = drawn.iter().map(|at| (values[cases[*at].0], cases[*at].1));
                spearman(&scores.collect::<Vec<_>>())
            }
            Cases::Preference(cases) => {
                let won = drawn.iter().map(|at| {
                    let (better, worse) = cases[*at];
                    preference(values[better], values[worse])
                });
                mean(&won.collect::<Vec<_>>())
            }
            Cases::Auc(cases) => {
                let scores = drawn.iter().map(|at| (values[cases[*at].0], cases[*at].1));
                auc(&scores.collect::<Vec<_>>())
            }
        })
    }

    fn cases(&self) -> usize {
        self.clusters.iter().map(Vec::len).sum()
    }
}

/// All measures of `values`, which are the scores of [`Dataset::pairs`].
pub fn measure(dataset: &Dataset, values: &[f64], settings: Settings) -> Vec<Agreement> {
    let pairs = dataset.pairs();
    let lengths: Vec<f64> = pairs
        .iter()
        .map(|(_, answer)| baseline::length(answer))
        .collect();
    let overlaps: Vec<f64> = pairs
        .iter()
        .map(|(prompt, answer)| baseline::overlap(prompt, answer))
        .collect();
    let agreement = |question: Question| Agreement {
        data: dataset.name.clone(),
        measure: question.measure,
        cases: question.cases(),
        model: question.estimate(values, settings),
        length: question.estimate(&lengths, settings),
        overlap: question.estimate(&overlaps, settings),
    };
    dataset.questions().into_iter().map(agreement).collect()
}

#[cfg(test)]
mod tests {
    use super::super::data::{Item, Preference};
    use super::*;

    const PROMPTS: [&str; 3] = ["one", "four", "five"];
    const SETTINGS: Settings = Settings {
        resamples: 200,
        seed: 1,
    };

    fn dataset(
        items: &[(usize, &str, f64)],
        preferences: &[(usize, [&str; 2], Option<usize>)],
    ) -> Dataset {
        Dataset {
            name: "test".into(),
            // All in the same half.
            prompts: PROMPTS.map(String::from).into(),
            items: items
                .iter()
                .map(|(prompt, answer, score)| Item {
                    prompt: *prompt,
                    answer: (*answer).into(),
                    score: Some(*score),
                    label: Some(*score > 0.0),
                })
                .collect(),
            preferences: preferences
                .iter()
                .map(|(prompt, answers, preferred)| Preference {
                    prompt: *prompt,
                    answers: answers.map(String::from),
                    preferred: *preferred,
                })
                .collect(),
        }
    }

    fn values(agreements: &[Agreement]) -> Vec<(&'static str, usize, Option<f64>)> {
        agreements
            .iter()
            .map(|of| (of.measure, of.cases, of.model.map(|model| model.value)))
            .collect()
    }

    #[test]
    fn items_are_compared_with_their_scores_and_with_those_of_the_same_prompt() {
        let items = [(0, "a", 1.0), (0, "b", 0.0), (1, "c", 2.0), (1, "d", 2.0)];
        let report = measure(&dataset(&items, &[]), &[3.0, 2.0, 9.0, 8.0], SETTINGS);
        assert_eq!(
            values(&report),
            [
                ("Spearman, score", 4, Some(0.948_683_298_050_513_8)),
                ("preference accuracy", 1, Some(1.0)),
                ("AUC, label", 4, Some(1.0))
            ]
        );
    }

    #[test]
    fn preferences_give_off_topic_pairs_and_ties_are_left_out() {
        let preferences = [
            (0, ["a", "b"], Some(0)),
            (0, ["c", "d"], Some(1)),
            (1, ["e", "f"], None),
            (2, ["g", "h"], Some(1)),
        ];
        let dataset = dataset(&[], &preferences);
        let [one, two, three] = PROMPTS;
        let off = &dataset.pairs()[8..];
        assert_eq!(off, [(one, "e"), (one, "g"), (two, "a"), (three, "c")]);
        let scores = [
            2.0, 1.0, 3.0, 3.0, 0.0, 0.0, 1.0, 0.0, -1.0, -1.0, -1.0, -1.0,
        ];
        let report = measure(&dataset, &scores, SETTINGS);
        assert_eq!(
            values(&report),
            [
                ("preference accuracy", 3, Some(0.5)),
                ("AUC, own prompt or another", 12, Some(1.0))
            ]
        );
    }

    #[test]
    fn what_is_not_defined_is_not_given() {
        let tied = dataset(&[(0, "a", 1.0), (1, "b", 1.0)], &[]);
        let report = measure(&tied, &[1.0, 2.0], SETTINGS);
        assert_eq!(
            values(&report),
            [("Spearman, score", 2, None), ("AUC, label", 2, None)]
        );
        // Off-topic answers need two prompts.
        let one = dataset(&[], &[(0, ["a", "b"], None)]);
        let report = measure(&one, &[1.0, 2.0], SETTINGS);
        assert_eq!(values(&report), [("AUC, own prompt or another", 2, None)]);
    }
}
