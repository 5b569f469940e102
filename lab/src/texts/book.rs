//! Answers of nodes to real prompts, and their scores by a judge.

use std::collections::BTreeMap;
use std::sync::Arc;

use rand::Rng;

use super::judge::Judge;
use crate::error::{Error, Result};
use crate::questions::Answer;
use crate::random::generator;
use crate::strategy::Inference;
use crate::world::{STANDARD, Scale};

/// Name of the honest nodes' texts.
pub const HONEST: &str = "the right answer";

/// Prompts, and under each name an answer to every one of them, scored by one judge.
#[derive(Debug)]
pub struct Book {
    judge: Arc<Judge>,
    prompts: Vec<String>,
    pages: BTreeMap<&'static str, Vec<Answer>>,
}

/// A book is equal only to itself: the judges of two books cannot be compared.
impl PartialEq for Book {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

impl Book {
    /// Every page is a name, the cost of a text (base units), and one text per prompt. There must
    /// be one for [`HONEST`].
    ///
    /// # Errors
    /// [`Error::NoTexts`] if there is no prompt or a text is missing, and the judge's errors.
    pub fn new(
        judge: Arc<Judge>,
        prompts: Vec<String>,
        pages: &[(&'static str, u64, &[String])],
    ) -> Result<Self> {
        let mut scored = BTreeMap::new();
        for &(name, cost, texts) in pages {
            if prompts.is_empty() || texts.len() != prompts.len() {
                return Err(Error::NoTexts(name.into()));
            }
            let answer = |(prompt, text): (&String, &String)| {
                Ok(Answer {
                    raw: judge.score(prompt, text)?,
                    text: text.clone(),
                    cost,
                })
            };
            let answers: Result<Vec<Answer>> = prompts.iter().zip(texts).map(answer).collect();
            scored.insert(name, answers?);
        }
        if !scored.contains_key(HONEST) {
            return Err(Error::NoTexts(HONEST.into()));
        }
        Ok(Self {
            judge,
            prompts,
            pages: scored,
        })
    }

    /// The judge.
    pub fn judge(&self) -> Arc<Judge> {
        Arc::clone(&self.judge)
    }

    /// The prompt of a task in a run.
    pub fn prompt(&self, seed: u64, task: u64) -> &str {
        &self.prompts[self.place(seed, task)]
    }

    /// A node's answer to a task in a run.
    ///
    /// # Errors
    /// [`Error::NoTexts`] if the book has no page for the strategy.
    pub fn answer(&self, strategy: &Inference, seed: u64, task: u64) -> Result<&Answer> {
        let page = match strategy {
            Inference::Texts(name) => self.pages.get(name),
            Inference::Honest(class) if *class == STANDARD => self.pages.get(HONEST),
            _ => None,
        };
        page.map(|answers| &answers[self.place(seed, task)])
            .ok_or_else(|| Error::NoTexts(format!("{strategy:?}")))
    }

    /// Length of the longest answer.
    pub fn max_answer_bytes(&self) -> u32 {
        let answers = self.pages.values().flatten();
        answers.map(|answer| answer.text.len()).max().unwrap_or(0) as u32
    }

    /// Mean quality (ppm) of the honest answers.
    pub fn prior_mean(&self) -> u32 {
        let scale: Scale = self.judge.scale();
        let honest = self.pages.get(HONEST).into_iter().flatten();
        let sum: u64 = honest
            .map(|answer| u64::from(scale.quality(answer.raw)))
            .sum();
        (sum / self.prompts.len() as u64) as u32
    }

    fn place(&self, seed: u64, task: u64) -> usize {
        generator(seed, "prompt", task, 0).gen_range(0..self.prompts.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::world::{CHEAPER, scorer};

    fn book(pages: &[(&'static str, u64, &[String])]) -> Result<Book> {
        let length = |_: &str, answer: &str| Ok(answer.len() as i32);
        let judge = Arc::new(Judge::new(scorer(), length));
        Book::new(judge, vec!["p".into(), "q".into()], pages)
    }

    #[test]
    fn answers_belong_to_their_prompts() {
        let right = ["to p".to_owned(), "answers q".to_owned()];
        let copy = ["p".to_owned(), "q".to_owned()];
        let book = book(&[(HONEST, 15_000, &right), ("copy", 0, &copy)]).unwrap();
        assert_eq!(book.max_answer_bytes(), 9);
        let mut seen = std::collections::BTreeSet::new();
        for task in 1..50 {
            let prompt = book.prompt(3, task);
            let honest = book.answer(&Inference::Honest(STANDARD), 3, task).unwrap();
            assert!(honest.text.ends_with(prompt) && honest.cost == 15_000);
            assert_eq!(honest.raw, honest.text.len() as i32);
            let copy = book.answer(&Inference::Texts("copy"), 3, task).unwrap();
            assert_eq!((copy.text.as_str(), copy.cost), (prompt, 0));
            seen.insert(prompt);
        }
        assert_eq!(seen.len(), 2);
    }

    #[test]
    fn what_is_not_written_is_an_error() {
        let right = ["a".to_owned(), "b".to_owned()];
        assert!(book(&[(HONEST, 0, &right[..1])]).is_err());
        assert!(book(&[("copy", 0, &right)]).is_err());
        let book = book(&[(HONEST, 0, &right)]).unwrap();
        for strategy in [Inference::Texts("copy"), Inference::Honest(CHEAPER)] {
            let error = book.answer(&strategy, 1, 1).unwrap_err();
            assert!(matches!(error, Error::NoTexts(_)), "{error}");
        }
    }
}
