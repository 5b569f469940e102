//! An attack that queries the judge: it edits junk word by word while the score rises.

use std::collections::BTreeSet;

use rand::Rng;

use super::attacks::words;
use super::sample::Question;
use super::wordings::frequent;
use crate::error::Result;

/// Consecutive edits without improvement after which the search restarts.
const PATIENCE: u32 = 200;
/// Words of the junk that a search starts with.
const FEWEST: usize = 4;
const MOST: usize = 12;
/// Most words of a text.
const LONGEST: usize = 48;

/// The attacker's vocabulary. It never sees an answer to its own prompt.
#[derive(Clone, Debug)]
pub struct Words {
    prompt: Vec<String>,
    vocabulary: Vec<String>,
}

/// The result of a search.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Found {
    /// The text with the highest score.
    pub text: String,
    /// Its raw score by the queried judge.
    pub raw: i32,
}

impl Words {
    /// For the question at `place`: the words of the prompt, frequent English words, and those of
    /// the answers to all other questions.
    pub fn new(questions: &[Question], place: usize) -> Self {
        let others = questions.iter().enumerate().filter(|(of, _)| *of != place);
        let answers = others.flat_map(|(_, question)| [&question.right, &question.wrong]);
        let vocabulary: BTreeSet<&str> = answers
            .flat_map(|answer| words(answer))
            .chain(frequent())
            .collect();
        let owned = |word: &str| word.to_owned();
        Self {
            prompt: words(&questions[place].prompt).map(owned).collect(),
            vocabulary: vocabulary.into_iter().map(owned).collect(),
        }
    }

    /// The best text after `queries` scores: greedy steps uphill, with a restart when none is
    /// found. It depends only on its arguments.
    ///
    /// # Errors
    /// The errors of `score`.
    pub fn climb(
        &self,
        queries: u32,
        rng: &mut impl Rng,
        score: impl Fn(&str) -> Result<i32>,
    ) -> Result<Found> {
        let mut best = (i32::MIN, Vec::new());
        let mut current = best.clone();
        let mut failures = 0;
        for _ in 0..queries {
            if failures == PATIENCE {
                (current, failures) = ((i32::MIN, Vec::new()), 0);
            }
            let candidate = match current.1.is_empty() {
                true => self.junk(rng),
                false => self.edited(&current.1, rng),
            };
            let raw = score(&candidate.join(" "))?;
            if current.1.is_empty() || raw > current.0 {
                (current, failures) = ((raw, candidate), 0);
            } else {
                failures += 1;
            }
            if current.0 > best.0 {
                best = current.clone();
            }
        }
        Ok(Found {
            text: best.1.join(" "),
            raw: best.0,
        })
    }

    fn junk<'a>(&'a self, rng: &mut impl Rng) -> Vec<&'a str> {
        let count = rng.gen_range(FEWEST..=MOST);
        (0..count).map(|_| any(&self.vocabulary, rng)).collect()
    }

    /// The text with one word inserted, replaced, deleted or moved.
    fn edited<'a>(&'a self, text: &[&'a str], rng: &mut impl Rng) -> Vec<&'a str> {
        let mut text = text.to_vec();
        let place = rng.gen_range(0..text.len());
        match rng.gen_range(0..4) {
            0 if text.len() < LONGEST => {
                text.insert(rng.gen_range(0..=text.len()), self.word(rng));
            }
            1 if text.len() > 1 => {
                text.remove(place);
            }
            2 if text.len() > 1 => {
                let word = text.remove(place);
                text.insert(rng.gen_range(0..=text.len()), word);
            }
            _ => text[place] = self.word(rng),
        }
        text
    }

    /// A word of the prompt or another one, with equal probability.
    fn word<'a>(&'a self, rng: &mut impl Rng) -> &'a str {
        match !self.prompt.is_empty() && rng.gen_bool(0.5) {
            true => any(&self.prompt, rng),
            false => any(&self.vocabulary, rng),
        }
    }
}

fn any<'a>(words: &'a [String], rng: &mut impl Rng) -> &'a str {
    &words[rng.gen_range(0..words.len())]
}

#[cfg(test)]
mod tests {
    use super::super::sample::sample;
    use super::*;
    use crate::random::generator;

    /// From an answer to another prompt, and from the prompt.
    const PLANTED: [&str; 2] = ["carotenoids", "Australia"];

    /// One point for each of the planted words, minus a little for each word.
    fn score(text: &str) -> Result<i32> {
        let found = PLANTED
            .iter()
            .filter(|planted| words(text).any(|word| word == **planted));
        Ok(1000 * found.count() as i32 - words(text).count() as i32)
    }

    fn climb(queries: u32, seed: u64) -> Found {
        let source = Words::new(&sample().unwrap(), 0);
        let mut rng = generator(seed, "test", 0, 0);
        source.climb(queries, &mut rng, score).unwrap()
    }

    #[test]
    fn planted_words_are_found_and_the_others_thrown_away() {
        let found = climb(20_000, 1);
        let mut left: Vec<&str> = words(&found.text).collect();
        left.sort_unstable();
        assert_eq!(left, ["Australia", "carotenoids"]);
        assert_eq!(found.raw, 1_998);
    }

    #[test]
    fn equal_seeds_find_the_same_and_more_queries_nothing_worse() {
        assert_eq!(climb(300, 1), climb(300, 1));
        assert_ne!(climb(3, 1), climb(3, 2));
        let scores = [1, 30, 300, 3_000].map(|queries| climb(queries, 1).raw);
        assert!(scores.is_sorted(), "{scores:?}");
    }

    /// "Canberra" is in no other answer.
    #[test]
    fn the_attacker_never_sees_an_answer_to_its_prompt() {
        let questions = sample().unwrap();
        let knows = |place| {
            let source = Words::new(&questions, place);
            source.vocabulary.iter().any(|word| word == "Canberra")
        };
        assert!(!knows(0) && knows(1));
    }
}
