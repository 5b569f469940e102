//! Labelled answers, one JSON object a line.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::scoring::Pair;
use crate::error::{Error, Result};

/// Largest file of labelled answers in bytes: a hundred thousand answers.
const MAX_BYTES: u64 = 256 << 20;
/// The labelled answers that this project wrote itself.
const SAMPLE: [(&str, &str); 2] = [
    ("graded.jsonl", include_str!("../../sample/graded.jsonl")),
    (
        "preferences.jsonl",
        include_str!("../../sample/preferences.jsonl"),
    ),
];

/// One labelled answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Index of the prompt in [`Dataset::prompts`].
    pub prompt: usize,
    /// The answer.
    pub answer: String,
    /// Its score on any scale; higher is better.
    pub score: Option<f64>,
    /// Whether it does what the prompt asks.
    pub label: Option<bool>,
}

/// Two answers to one prompt.
#[derive(Clone, Debug, PartialEq)]
pub struct Preference {
    /// Index of the prompt in [`Dataset::prompts`].
    pub prompt: usize,
    /// The two answers.
    pub answers: [String; 2],
    /// Which of them is better; `None` is a tie.
    pub preferred: Option<usize>,
}

/// The labelled answers of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// Name of the file.
    pub name: String,
    /// Without duplicates.
    pub prompts: Vec<String>,
    /// In the file's order.
    pub items: Vec<Item>,
    /// In the file's order.
    pub preferences: Vec<Preference>,
}

/// A line; unknown fields are ignored.
#[derive(Deserialize)]
struct Line {
    prompt: String,
    answer: Option<String>,
    score: Option<f64>,
    label: Option<bool>,
    answer_a: Option<String>,
    answer_b: Option<String>,
    preferred: Option<Preferred>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Preferred {
    A,
    B,
    Tie,
}

/// Reads the labelled answers of a file.
pub fn read(path: &Path) -> Result<Dataset> {
    let failed = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let size = std::fs::metadata(path).map_err(failed)?.len();
    if size > MAX_BYTES {
        return Err(Error::Form {
            origin: path.display().to_string(),
            reason: format!("is larger than {MAX_BYTES} bytes; take a part of it"),
        });
    }
    let content = std::fs::read_to_string(path).map_err(failed)?;
    let name = path.file_name().unwrap_or(path.as_os_str());
    parse(&name.to_string_lossy(), &content)
}

/// The labelled answers that this project wrote itself.
pub fn sample() -> Result<Vec<Dataset>> {
    let parse = |(name, content): &(&str, &str)| parse(name, content);
    SAMPLE.iter().map(parse).collect()
}

/// Parses the labelled answers of a file with this content.
pub(crate) fn parse(name: &str, content: &str) -> Result<Dataset> {
    let mut dataset = Dataset {
        name: name.to_owned(),
        ..Dataset::default()
    };
    let mut prompts = BTreeMap::new();
    for (number, line) in content.lines().enumerate() {
        if !line.trim().is_empty() {
            let added = dataset.add(&mut prompts, line);
            added.map_err(|reason| Error::Form {
                origin: format!("{name}, line {}", number + 1),
                reason,
            })?;
        }
    }
    match dataset.prompts.is_empty() {
        true => Err(Error::Form {
            origin: name.to_owned(),
            reason: "has no labelled answers; see the README of poq-lab for their form".into(),
        }),
        false => Ok(dataset),
    }
}

/// Whether tables and corrections are fitted to a prompt; results are measured on the others. It
/// depends only on the first byte of the prompt's SHA-256, which is even for half of all prompts.
fn is_fitted(prompt: &str) -> bool {
    Sha256::digest(prompt.as_bytes())[0].is_multiple_of(2)
}

impl Dataset {
    /// The half for fitting, and the half for measuring.
    pub fn halves(&self) -> [Self; 2] {
        [true, false].map(|fitted| {
            let is_in = |prompt: usize| is_fitted(&self.prompts[prompt]) == fitted;
            let mut half = self.clone();
            half.items.retain(|item| is_in(item.prompt));
            half.preferences
                .retain(|preference| is_in(preference.prompt));
            half
        })
    }

    /// Every pair to score: the items, then both answers of each preference, then prompts with an
    /// answer to another prompt of the same [half](Self::halves).
    pub fn pairs(&self) -> Vec<Pair<'_>> {
        let prompt = |at: usize| self.prompts[at].as_str();
        let items = self
            .items
            .iter()
            .map(|item| (prompt(item.prompt), item.answer.as_str()));
        let answers = self.preferences.iter().flat_map(|preference| {
            let answers = preference.answers.iter();
            answers.map(move |answer| (prompt(preference.prompt), answer.as_str()))
        });
        items.chain(answers).chain(self.off_topic()).collect()
    }

    /// The prompt's index for each of [`Self::pairs`].
    pub fn prompts_of_pairs(&self) -> Vec<usize> {
        let places: BTreeMap<&str, usize> = (0..)
            .zip(&self.prompts)
            .map(|(place, prompt)| (prompt.as_str(), place))
            .collect();
        let place = |(prompt, _): &Pair| places.get(prompt).copied().unwrap_or_default();
        self.pairs().iter().map(place).collect()
    }

    /// For each of [`Self::pairs`], whether its answer was written for its prompt: an item's label,
    /// or true for preferences and false for swapped answers.
    pub fn on_topic(&self) -> Vec<Option<bool>> {
        let mut known: Vec<Option<bool>> = self.items.iter().map(|item| item.label).collect();
        known.extend(vec![Some(true); 2 * self.preferences.len()]);
        known.resize(self.pairs().len(), Some(false));
        known
    }

    /// The prompt of each preference with the first answer of the preference half its half's list
    /// away, or of the next one with another prompt.
    fn off_topic(&self) -> Vec<Pair<'_>> {
        let mut pairs = Vec::new();
        for fitted in [true, false] {
            let is_in = |prompt: usize| is_fitted(&self.prompts[prompt]) == fitted;
            let of_half = self.preferences.iter();
            let of_half: Vec<&Preference> = of_half.filter(|of| is_in(of.prompt)).collect();
            let all = of_half.len();
            for (at, preference) in of_half.iter().enumerate() {
                let mut others = (0..all).map(|step| of_half[(at + all / 2 + step) % all]);
                if let Some(other) = others.find(|other| other.prompt != preference.prompt) {
                    let prompt = self.prompts[preference.prompt].as_str();
                    pairs.push((prompt, other.answers[0].as_str()));
                }
            }
        }
        pairs
    }

    fn add(
        &mut self,
        prompts: &mut BTreeMap<String, usize>,
        line: &str,
    ) -> std::result::Result<(), String> {
        let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
        let known = prompts.len();
        let prompt = *prompts.entry(line.prompt.clone()).or_insert(known);
        if prompt == known {
            self.prompts.push(line.prompt);
        }
        match (line.answer, line.answer_a, line.answer_b, line.preferred) {
            (Some(answer), None, None, None) => {
                if line.score.is_none() && line.label.is_none() {
                    return Err("an `answer` needs a `score` or a `label`".to_owned());
                }
                self.items.push(Item {
                    prompt,
                    answer,
                    score: line.score,
                    label: line.label,
                });
                Ok(())
            }
            (None, Some(a), Some(b), Some(preferred)) => {
                self.preferences.push(Preference {
                    prompt,
                    answers: [a, b],
                    preferred: match preferred {
                        Preferred::A => Some(0),
                        Preferred::B => Some(1),
                        Preferred::Tie => None,
                    },
                });
                Ok(())
            }
            _ => Err("needs `answer` with `score` or `label`, or `answer_a`, `answer_b` and `preferred` (\"a\", \"b\" or \"tie\")".to_owned()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    fn refusal(content: &str) -> String {
        parse("file", content).unwrap_err().to_string()
    }

    #[test]
    fn both_forms_are_read_and_prompts_are_counted_once() {
        let content = concat!(
            r#"{"prompt":"p","answer":"x","score":2.5,"votes":[1]}"#,
            "\n\n",
            r#"{"prompt":"q","answer":"y","label":true}"#,
            "\n",
            r#"{"id":1,"prompt":"p","answer_a":"x","answer_b":"y","preferred":"tie"}"#,
        );
        let dataset = parse("file", content).unwrap();
        assert_eq!(dataset.prompts, ["p", "q"]);
        assert_eq!(dataset.items[0].score, Some(2.5));
        assert_eq!(
            (dataset.items[1].prompt, dataset.items[1].label),
            (1, Some(true))
        );
        assert_eq!(
            (
                dataset.preferences[0].prompt,
                dataset.preferences[0].preferred
            ),
            (0, None)
        );
    }

    #[test]
    fn a_bad_line_is_named_by_its_number() {
        let good = r#"{"prompt":"p","answer":"x","score":1}"#;
        let invalid = refusal(&format!("{good}\n{{not json}}"));
        assert!(invalid.starts_with("file, line 2: "), "{invalid}");
        for bad in [
            r#"{"answer":"x","score":1}"#,
            r#"{"prompt":"p","answer":"x"}"#,
            r#"{"prompt":"p","answer_a":"x","preferred":"a"}"#,
            r#"{"prompt":"p","answer_a":"x","answer_b":"y","preferred":"c"}"#,
            r#"{"prompt":"p","answer":"x","answer_a":"x","answer_b":"y","preferred":"a"}"#,
            r#"{"prompt":"p","answer":"x","score":"high"}"#,
        ] {
            let error = refusal(&format!("{good}\n{good}\n{bad}"));
            assert!(error.starts_with("file, line 3: "), "{bad}: {error}");
        }
    }

    #[test]
    fn a_file_without_answers_is_refused() {
        assert!(refusal("\n \n").contains("file: has no labelled answers"));
        let missing = read(Path::new("/nonexistent/data.jsonl")).unwrap_err();
        assert!(missing.to_string().contains("cannot read"), "{missing}");
    }

    #[test]
    fn halves_share_no_prompt_and_leave_no_pair_out() {
        let dataset = parse("file", SAMPLE[1].1).unwrap();
        let [fitted, held] = dataset.halves();
        let prompts =
            |half: &Dataset| -> BTreeSet<usize> { half.prompts_of_pairs().into_iter().collect() };
        assert!(prompts(&fitted).is_disjoint(&prompts(&held)));
        let mut both = [fitted.pairs(), held.pairs()].concat();
        let mut all = dataset.pairs();
        both.sort_unstable();
        all.sort_unstable();
        assert_eq!(both, all);
        assert_eq!(all.len(), 3 * dataset.preferences.len());
        let on_topic = dataset.on_topic();
        let off = dataset.pairs().into_iter().zip(&on_topic);
        for ((prompt, answer), _) in off.filter(|(_, on_topic)| **on_topic == Some(false)) {
            let own = dataset
                .preferences
                .iter()
                .filter(|of| dataset.prompts[of.prompt] == prompt);
            assert!(own.flat_map(|of| &of.answers).all(|own| own != answer));
        }
    }

    #[test]
    fn the_projects_own_sample_is_complete() {
        let [graded, preferences] = &sample().unwrap()[..] else {
            panic!("two files");
        };
        assert!(graded.items.len() >= 100 && preferences.preferences.len() >= 50);
        assert!(
            graded
                .items
                .iter()
                .all(|item| item.score.is_some() && item.label.is_some())
        );
    }
}
