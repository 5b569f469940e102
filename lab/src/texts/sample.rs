//! Prompts with right and wrong answers, from the labelled answers of `poq-lab scores`.

use std::path::Path;

use rand::seq::SliceRandom;

use crate::error::{Error, Result};
use crate::random::generator;
use crate::scores::{self, Dataset, Item};

/// Longer prompts and answers are skipped: a block contains a whole batch of them.
const MAX_BYTES: usize = 8 << 10;

/// A prompt with its possible answers.
#[derive(Clone, Debug, PartialEq)]
pub struct Question {
    /// The prompt.
    pub prompt: String,
    /// The answer of an honest node.
    pub right: String,
    /// A worse answer on the topic.
    pub wrong: String,
    /// The right answer to another prompt.
    pub other: String,
}

/// Every prompt of a file that has a right and a wrong answer, in the file's order.
///
/// # Errors
/// If the file cannot be read, or a line has neither form.
pub fn read(path: &Path) -> Result<Vec<Question>> {
    questions(&scores::read(path)?)
}

/// The project's own sample.
///
/// # Errors
/// None: a test checks it.
pub fn sample() -> Result<Vec<Question>> {
    questions(&scores::sample()?.swap_remove(0))
}

/// At most `count` of the questions, drawn by the seed, in their order.
pub fn draw(mut questions: Vec<Question>, count: usize, seed: u64) -> Vec<Question> {
    let mut places: Vec<usize> = (0..questions.len()).collect();
    places.shuffle(&mut generator(seed, "questions", 0, 0));
    places.truncate(count);
    let mut place = 0..;
    questions.retain(|_| place.next().is_some_and(|place| places.contains(&place)));
    questions
}

fn questions(dataset: &Dataset) -> Result<Vec<Question>> {
    let mut known = vec![Known::default(); dataset.prompts.len()];
    for item in &dataset.items {
        known[item.prompt].items.push(item);
    }
    for preference in &dataset.preferences {
        let pair = preference
            .preferred
            .map(|right| [right, 1 - right].map(|place| preference.answers[place].as_str()));
        let first = &mut known[preference.prompt].pair;
        *first = first.or(pair);
    }
    let is_short = |text: &String| text.len() <= MAX_BYTES;
    let answers = known.into_iter().map(Known::right_and_wrong);
    let complete: Vec<(String, (String, String))> = dataset
        .prompts
        .iter()
        .zip(answers)
        .filter_map(|(prompt, answers)| Some((prompt.clone(), answers?)))
        .filter(|(prompt, (right, wrong))| [prompt, right, wrong].into_iter().all(is_short))
        .collect();
    if complete.len() < 2 {
        return Err(Error::Form {
            origin: dataset.name.clone(),
            reason: "needs two prompts with a right and a wrong answer each".into(),
        });
    }
    Ok(with_others(complete))
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

/// The labelled answers to a prompt.
#[derive(Clone, Default)]
struct Known<'a> {
    items: Vec<&'a Item>,
    /// Right and wrong, from the first preference that is not a tie.
    pair: Option<[&'a str; 2]>,
}

impl Known<'_> {
    /// The best answer, and the best one that is labelled as wrong, or else the worst; those of the
    /// preference if no answer is better than another.
    fn right_and_wrong(mut self) -> Option<(String, String)> {
        let score = |item: &Item| item.score.unwrap_or(f64::from(item.label == Some(true)));
        self.items
            .sort_by(|one, other| score(one).total_cmp(&score(other)));
        let graded = || {
            let right = self.items.last()?;
            let worse = |item: &&&Item| score(item) < score(right);
            let mut worse = self.items.iter().filter(worse);
            let labelled = worse.clone().rfind(|item| item.label == Some(false));
            let wrong = labelled.or_else(|| worse.next())?;
            Some([&*right.answer, &*wrong.answer])
        };
        let [right, wrong] = graded().or(self.pair)?;
        Some((right.to_owned(), wrong.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scores::parse;

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
        let questions = questions(&parse("file", content).unwrap()).unwrap();
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
        let refusal = |content| {
            let read = parse("file", content).and_then(|dataset| questions(&dataset));
            read.unwrap_err().to_string()
        };
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
