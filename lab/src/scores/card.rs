//! The evaluator card: a model, the meaning of its scores, and their limits.

use std::fmt::{self, Display, Formatter};

use poq_proto::v1::{EvaluatorKind, EvaluatorModel};

use super::attack::AttackReport;
use super::calibration::Held;
use super::measure::Agreement;
use super::mitigation::{Effect, Mitigation};
use crate::statistics::bootstrap::Interval;

/// Time of one score.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Speed {
    /// Tokens of the pair.
    pub tokens: usize,
    /// Median, on one thread.
    pub milliseconds: f64,
}

/// Accuracy of the registry's table.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibrated {
    /// Name of the data.
    pub data: String,
    /// Whether the table is the result of `calibrate` on the other half of the data.
    pub is_fitted: bool,
    /// Accuracy on prompts that it was not fitted to.
    pub held: Held,
}

/// The content of a card, which is displayed as Markdown.
#[derive(Clone, Debug, PartialEq)]
pub struct Card {
    /// The registry entry.
    pub entry: EvaluatorModel,
    /// The machine of the measurements.
    pub machine: String,
    /// The method of the measurements.
    pub method: String,
    /// Arguments of the program that made the card.
    pub command: String,
    /// Accuracy of the registry's table.
    pub calibrated: Calibrated,
    /// Agreement of scores with labels.
    pub agreements: Vec<Agreement>,
    /// Effects of corrections.
    pub effects: Vec<Effect>,
    /// Results of attacks.
    pub attacks: Vec<AttackReport>,
    /// Times by length.
    pub speed: Vec<Speed>,
}

impl Display for Card {
    fn fmt(&self, f: &mut Formatter) -> fmt::Result {
        self.head(f)?;
        self.validity(f)?;
        self.calibration(f)?;
        self.attacks(f)?;
        self.mitigations(f)?;
        self.speed(f)
    }
}

impl Card {
    fn head(&self, f: &mut Formatter) -> fmt::Result {
        let entry = &self.entry;
        let (what, unit) = match entry.kind() {
            EvaluatorKind::BiEncoder => (
                "A bi-encoder: prompt and answer are embedded each by itself, the score is the cosine of the embeddings.",
                "millionths of a cosine",
            ),
            _ => (
                "A cross-encoder: it reads prompt and answer together, the score is its logit.",
                "micro-logits",
            ),
        };
        writeln!(f, "# Evaluator card: {}\n", entry.id)?;
        writeln!(
            f,
            "{what} The rule is in the README of `poq-evaluator`, \"The score\".\n"
        )?;
        writeln!(f, "property | is\n--- | ---")?;
        writeln!(f, "model.onnx, SHA-256 | `{}`", entry.weights_sha256)?;
        writeln!(f, "tokenizer.json, SHA-256 | `{}`", entry.tokenizer_sha256)?;
        writeln!(f, "tokens of a window | {}", entry.max_tokens)?;
        writeln!(f, "windows of a long answer | {}", entry.max_windows.max(1))?;
        if entry.caps_junk {
            writeln!(f, "plain junk | gets the least raw score, unread")?;
        }
        writeln!(f, "raw score | {unit}")?;
        writeln!(f, "audit tolerance | {} of them", entry.audit_tolerance)?;
        writeln!(f, "made by | `poq-lab {}`", self.command)?;
        writeln!(f, "machine | {}", self.machine)?;
        writeln!(f, "method | {}\n", self.method)
    }

    fn validity(&self, f: &mut Formatter) -> fmt::Result {
        writeln!(f, "## Agreement with people\n")?;
        writeln!(
            f,
            "Nothing was fitted to these labels here. An accuracy or AUC of 0.5 is chance; intervals are of 95 %, \
             from resampled prompts. A model that is not above its baselines adds nothing to them there.\n"
        )?;
        writeln!(
            f,
            "data | measure | cases | model | answer's length | word overlap"
        )?;
        writeln!(f, "--- | --- | --- | --- | --- | ---")?;
        for of in &self.agreements {
            let (model, length, overlap) = (shown(of.model), shown(of.length), shown(of.overlap));
            let (data, measure, cases) = (&of.data, of.measure, of.cases);
            writeln!(
                f,
                "{data} | {measure} | {cases} | {model} | {length} | {overlap}"
            )?;
        }
        writeln!(f)
    }

    fn calibration(&self, f: &mut Formatter) -> fmt::Result {
        let Calibrated {
            data,
            is_fitted,
            held,
        } = &self.calibrated;
        writeln!(f, "## Calibration\n")?;
        writeln!(
            f,
            "The quality estimates the probability that an answer with this score was written for its prompt, when that is so \
             for half of all answers. It does not say how good an answer is that is on its topic."
        )?;
        let origin = match is_fitted {
            true => format!("The table is what `calibrate` makes of the fitted half of {data}."),
            false => format!("The table is not what `calibrate` makes of {data}."),
        };
        writeln!(
            f,
            "{origin} On {} pairs of the other prompts: Brier score {:.4} (0.25 is always one half), calibration error {:.4}, AUC {:.4}.\n",
            held.pairs, held.brier, held.calibration_error, held.auc
        )?;
        writeln!(f, "raw score | quality, ppm\n--- | ---")?;
        for point in &self.entry.calibration {
            writeln!(f, "{} | {}", point.raw_score, point.quality)?;
        }
        writeln!(f)
    }

    fn attacks(&self, f: &mut Formatter) -> fmt::Result {
        let prompts = self.attacks.first().map_or(0, |of| of.prompts);
        writeln!(f, "## Attacks\n")?;
        writeln!(
            f,
            "Answers that are made to please the evaluator, on {prompts} prompts of the project's own sample; qualities from 0 to 1. \
             *Base* is the quality of the answer that the attack starts from, *beats right* how often the attack scores above the right answer.\n"
        )?;
        writeln!(f, "attack | base | gets | beats right")?;
        writeln!(f, "--- | --- | --- | ---")?;
        for of in &self.attacks {
            let (attack, base) = (of.attack, of.base_quality);
            let (quality, beats) = (shown(Some(of.quality)), shown(Some(of.beats_right)));
            writeln!(f, "{attack} | {base:.3} | {quality} | {beats}")?;
        }
        writeln!(f)
    }

    fn mitigations(&self, f: &mut Formatter) -> fmt::Result {
        writeln!(f, "## Mitigations\n")?;
        writeln!(
            f,
            "Windows are in force: without them, only the first window of a long answer is read. The others are measured here and are \
             not in force.\n"
        )?;
        writeln!(
            f,
            "attack | one window | in force | without what is copied | beats right without what is copied"
        )?;
        writeln!(f, "--- | --- | --- | --- | ---")?;
        for of in &self.attacks {
            writeln!(
                f,
                "{} | {:.3} | {:.3} | {:.3} | {:.3}",
                of.attack,
                of.quality_one_window,
                of.quality.value,
                of.quality_without_copied,
                of.beats_right_without_copied
            )?;
        }
        writeln!(
            f,
            "\ncorrection | data | measure | before | after\n--- | --- | --- | --- | ---"
        )?;
        for of in &self.effects {
            let correction = match of.mitigation {
                Mitigation::Length { strength } => format!("length, {strength:+} deviations"),
                Mitigation::Copied => "without what is copied".to_owned(),
            };
            let (before, after) = (shown(of.before), shown(of.after));
            writeln!(
                f,
                "{correction} | {} | {} | {before} | {after}",
                of.data, of.measure
            )?;
        }
        writeln!(
            f,
            "\nThe strength of the length correction is the best for preferences of the fitted half of the data; the effect is measured on \
             the other half and on the project's own sample.\n"
        )
    }

    fn speed(&self, f: &mut Formatter) -> fmt::Result {
        writeln!(f, "## Speed\n")?;
        writeln!(f, "One pair on one thread, median.\n")?;
        writeln!(f, "tokens | milliseconds\n--- | ---")?;
        for of in &self.speed {
            writeln!(f, "{} | {:.0}", of.tokens, of.milliseconds)?;
        }
        Ok(())
    }
}

fn shown(estimate: Option<Interval>) -> String {
    match estimate {
        Some(Interval { value, low, high }) => format!("{value:.3} ({low:.3} to {high:.3})"),
        None => "not defined".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use poq_proto::v1::CalibrationPoint;

    use super::super::attack::Base;
    use super::*;

    fn estimate(value: f64) -> Option<Interval> {
        Some(Interval {
            value,
            low: value - 0.1,
            high: value + 0.1,
        })
    }

    #[test]
    fn a_card_says_what_was_measured() {
        let mut entry = EvaluatorModel {
            id: "m".into(),
            audit_tolerance: 50,
            calibration: vec![CalibrationPoint {
                raw_score: -5,
                quality: 7,
            }],
            ..EvaluatorModel::default()
        };
        entry.set_kind(EvaluatorKind::BiEncoder);
        let card = Card {
            entry,
            machine: "2 x test".into(),
            method: "by hand".into(),
            command: "scores card --model m".into(),
            calibrated: Calibrated {
                data: "d.jsonl".into(),
                is_fitted: true,
                held: Held {
                    pairs: 9,
                    brier: 0.2,
                    calibration_error: 0.1,
                    auc: 0.8,
                },
            },
            agreements: vec![Agreement {
                data: "d.jsonl".into(),
                measure: "preference accuracy",
                cases: 3,
                model: estimate(0.5),
                length: None,
                overlap: estimate(0.4),
            }],
            effects: vec![Effect {
                mitigation: Mitigation::Length { strength: 0.5 },
                data: "d.jsonl".into(),
                measure: "preference accuracy",
                before: estimate(0.5),
                after: estimate(0.6),
            }],
            attacks: vec![AttackReport {
                attack: "praise",
                base: Base::Wrong,
                prompts: 30,
                base_quality: 0.1,
                quality: estimate(0.3).unwrap(),
                quality_one_window: 0.35,
                quality_without_copied: 0.2,
                beats_right: estimate(0.9).unwrap(),
                beats_right_without_copied: 0.8,
            }],
            speed: vec![Speed {
                tokens: 128,
                milliseconds: 49.6,
            }],
        };
        let text = card.to_string();
        for line in [
            "# Evaluator card: m",
            "raw score | millionths of a cosine",
            "made by | `poq-lab scores card --model m`",
            "d.jsonl | preference accuracy | 3 | 0.500 (0.400 to 0.600) | not defined | 0.400 (0.300 to 0.500)",
            "-5 | 7",
            "praise | 0.100 | 0.300 (0.200 to 0.400) | 0.900 (0.800 to 1.000)",
            "praise | 0.350 | 0.300 | 0.200 | 0.800",
            "length, +0.5 deviations | d.jsonl | preference accuracy | 0.500 (0.400 to 0.600) | 0.600 (0.500 to 0.700)",
            "128 | 50",
        ] {
            assert!(text.lines().any(|of| of == line), "{line}\n{text}");
        }
    }
}
