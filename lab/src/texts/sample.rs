//! Prompts with right and wrong answers, from labelled answers as `lab/sample` has them.

use std::collections::BTreeMap;
use std::path::Path;

use rand::seq::SliceRandom;
use serde::Deserialize;

use crate::error::{Error, Result};
use crate::random::generator;

/// The labelled answers that this project wrote itself.
const SAMPLE: &str = include_str!("../../sample/graded.jsonl");
/// Longer prompts and answers are left out: a block has as many of them as a batch.
const MAX_BYTES: usize = 8 << 10;

/// A prompt with what can be answered to it.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// What is asked.
    pub prompt: String,
    /// What an honest node answers.
    pub right: String,
    /// A worse answer on the topic.
    pub wrong: String,
    /// The right answer to another prompt.
    pub other: String,
}

/// A line of either form; other fields are ignored.
#[derive(Deserialize)]
struct Line {
    prompt: String,
    #[serde(flatten)]
    labelled: Labelled,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "needs `answer` with `score` or `label`, or `answer_a`, `answer_b` and `preferred` (\"a\", \"b\" or \"tie\")"
)]
enum Labelled {
    One {
        answer: String,
        score: Option<f64>,
        label: Option<bool>,
    },
    Two {
        answer_a: String,
        answer_b: String,
        preferred: Preferred,
    },
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Preferred {
    A,
    B,
    Tie,
}

/// An answer with how good it is, and whether it does what was asked.
struct Graded {
    answer: String,
    score: f64,
    label: Option<bool>,
}

/// What is known of a prompt.
#[derive(Default)]
struct Known {
    graded: Vec<Graded>,
    /// Right and wrong, of the first pair that has a better one.
    pair: Option<(String, String)>,
}

/// Every prompt of a file that has a right and a wrong answer, in the order of the file.
///
/// # Errors
/// If the file cannot be read, or a line has neither form.
pub fn read(path: &Path) -> Result<Vec<Question>> {
    let content = std::fs::read_to_string(path).map_err(|source| Error::Read {
        path: path.to_owned(),
        source,
    })?;
    parse(&path.display().to_string(), &content)
}

/// The project's own sample.
///
/// # Errors
/// None: it is checked by a test.
pub fn sample() -> Result<Vec<Question>> {
    parse("the project's own sample", SAMPLE)
}

/// `count` of the questions at most, drawn by the seed, in their order.
pub fn draw(mut questions: Vec<Question>, count: usize, seed: u64) -> Vec<Question> {
    let mut places: Vec<usize> = (0..questions.len()).collect();
    places.shuffle(&mut generator(seed, "questions", 0, 0));
    places.truncate(count);
    let mut place = 0..;
    questions.retain(|_| place.next().is_some_and(|place| places.contains(&place)));
    questions
}

fn parse(origin: &str, content: &str) -> Result<Vec<Question>> {
    let mut prompts: Vec<(String, Known)> = Vec::new();
    let mut places = BTreeMap::new();
    let lines = content.lines().zip(1..);
    for (line, number) in lines.filter(|(line, _)| !line.trim().is_empty()) {
        let line = labelled(line).map_err(|reason| Error::Form {
            origin: format!("{origin}, line {number}"),
            reason,
        })?;
        let place = *places.entry(line.prompt.clone()).or_insert(prompts.len());
        if place == prompts.len() {
            prompts.push((line.prompt, Known::default()));
        }
        prompts[place].1.add(line.labelled);
    }
    let complete: Vec<(String, (String, String))> = prompts
        .into_iter()
        .filter_map(|(prompt, known)| Some((prompt, known.right_and_wrong()?)))
        .filter(|(prompt, (right, wrong))| {
            [prompt, right, wrong]
                .iter()
                .all(|text| text.len() <= MAX_BYTES)
        })
        .collect();
    if complete.len() < 2 {
        return Err(Error::Form {
            origin: origin.to_owned(),
            reason: "needs two prompts with a right and a wrong answer each".into(),
        });
    }
    Ok(with_others(complete))
}

fn labelled(line: &str) -> std::result::Result<Line, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
    match line.labelled {
        Labelled::One {
            score: None,
            label: None,
            ..
        } => Err("an `answer` needs a `score` or a `label`".into()),
        _ => Ok(line),
    }
}

/// The other prompt is half of the list away, where topics are likely to differ.
fn with_others(complete: Vec<(String, (String, String))>) -> Vec<Question> {
    let all = complete.len();
    let question = |(place, (prompt, (right, wrong))): (usize, &(String, (String, String)))| {
        let (_, (other, _)) = &complete[(place + all / 2) % all];
        Question {
            prompt: prompt.clone(),
            right: right.clone(),
            wrong: wrong.clone(),
            other: other.clone(),
        }
    };
    complete.iter().enumerate().map(question).collect()
}

impl Known {
    fn add(&mut self, labelled: Labelled) {
        match labelled {
            Labelled::One {
                answer,
                score,
                label,
            } => {
                let score = score.unwrap_or(match label {
                    Some(true) => 1.0,
                    _ => 0.0,
                });
                self.graded.push(Graded {
                    answer,
                    score,
                    label,
                });
            }
            Labelled::Two {
                answer_a,
                answer_b,
                preferred,
            } => {
                let pair = match preferred {
                    Preferred::A => (answer_a, answer_b),
                    Preferred::B => (answer_b, answer_a),
                    Preferred::Tie => return,
                };
                self.pair.get_or_insert(pair);
            }
        }
    }

    /// The best answer, and the best one that is labelled as wrong, or else the worst.
    fn right_and_wrong(mut self) -> Option<(String, String)> {
        self.graded
            .sort_by(|one, other| one.score.total_cmp(&other.score));
        let graded = || {
            let right = self.graded.last()?;
            let worse = |graded: &&Graded| graded.score < right.score;
            let mut false_ones = self.graded.iter().filter(worse);
            let labelled = false_ones.rfind(|graded| graded.label == Some(false));
            let wrong = labelled.or_else(|| self.graded.iter().find(worse))?;
            Some((right.answer.clone(), wrong.answer.clone()))
        };
        graded().or(self.pair)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_projects_own_sample_is_complete() {
        let questions = sample().unwrap();
        assert_eq!(questions.len(), 30);
        assert_eq!(questions[0].right, "Canberra.");
        assert!(
            questions[0]
                .wrong
                .starts_with("The capital of Australia is Sydney")
        );
        for question in &questions {
            assert_ne!(question.right, question.wrong);
            assert_ne!(question.right, question.other);
        }
    }

    #[test]
    fn both_forms_are_read() {
        let content = concat!(
            r#"{"prompt":"p","answer":"best","score":3}"#,
            "\n\n",
            r#"{"prompt":"p","answer":"false","score":1,"label":false}"#,
            "\n",
            r#"{"prompt":"p","answer":"off","score":0}"#,
            "\n",
            r#"{"prompt":"tied","answer_a":"x","answer_b":"y","preferred":"tie"}"#,
            "\n",
            r#"{"id":7,"prompt":"q","answer_a":"worse","answer_b":"better","preferred":"b"}"#,
        );
        let questions = parse("file", content).unwrap();
        let texts = |question: &Question| {
            [
                &question.prompt,
                &question.right,
                &question.wrong,
                &question.other,
            ]
            .map(Clone::clone)
        };
        assert_eq!(questions.len(), 2);
        assert_eq!(texts(&questions[0]), ["p", "best", "false", "better"]);
        assert_eq!(texts(&questions[1]), ["q", "better", "worse", "best"]);
    }

    #[test]
    fn bad_files_are_named() {
        let refusal = |content| parse("file", content).unwrap_err().to_string();
        for bad in [
            "{}",
            r#"{"prompt":"p","answer":"x"}"#,
            r#"{"prompt":"p","score":1}"#,
        ] {
            assert!(
                refusal(bad).starts_with("file, line 1: "),
                "{}",
                refusal(bad)
            );
        }
        let one = r#"{"prompt":"p","answer_a":"x","answer_b":"y","preferred":"a"}"#;
        assert!(refusal(one).contains("two prompts"), "{}", refusal(one));
        let missing = read(Path::new("/nonexistent/data.jsonl")).unwrap_err();
        assert!(missing.to_string().contains("/nonexistent"), "{missing}");
    }

    #[test]
    fn draws_keep_the_order_and_depend_on_the_seed() {
        let all = sample().unwrap();
        let drawn = draw(all.clone(), 5, 1);
        assert_eq!(drawn.len(), 5);
        assert_eq!(drawn, draw(all.clone(), 5, 1));
        assert_ne!(drawn, draw(all.clone(), 5, 2));
        let place = |question| all.iter().position(|of| of == question);
        assert!(drawn.iter().map(place).is_sorted());
        assert_eq!(draw(all.clone(), 1000, 1), all);
    }
}
