//! Answers that are meant to please a judge, for one prompt each.

use rand::Rng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::sample::Question;
use super::wordings::{
    ELOQUENCE, MARKDOWN, ORDERS, OTHER_LANGUAGES, PRAISE, QUESTIONS_BACK, REFUSALS,
};
use crate::error::Result;
use crate::world::STANDARD;

/// Number of texts among which [`best`] chooses.
pub const CHOICES: usize = 8;
/// Words of gibberish.
const GIBBERISH: usize = 14;
/// Fewest letters of a keyword.
const KEYWORD: usize = 4;

/// A way to answer without the registered model.
#[derive(Clone, Copy, Debug)]
pub struct Attack {
    /// Name in reports.
    pub name: &'static str,
    /// Whether none of its texts is an answer to the prompt, not even a wrong one.
    pub junk: bool,
    /// Cost of a text, in base units.
    pub cost: u64,
    make: fn(&Question, &mut ChaCha8Rng) -> String,
}

/// All attacks; the first [`CHOICES`] need nothing but the prompt.
pub const ATTACKS: [Attack; 17] = [
    free("the prompt, copied", |question, _| question.prompt.clone()),
    free("the prompt, copied twice", |question, _| {
        twice(&question.prompt)
    }),
    free("the prompt as a question back", |question, rng| {
        pick(&QUESTIONS_BACK, rng).replace("{}", &question.prompt)
    }),
    free("words of the prompt, shuffled", |question, rng| {
        shuffled(words(&question.prompt), rng)
    }),
    free("keywords of the prompt", |question, _| {
        keywords(&question.prompt)
    }),
    free("canned eloquence", |_, rng| {
        pick(&ELOQUENCE, rng).to_owned()
    }),
    free("praise of itself", |_, rng| pick(&PRAISE, rng).to_owned()),
    free("gibberish with the prompt's words", |question, rng| {
        let mut mixed: Vec<String> = words(&question.prompt).map(str::to_owned).collect();
        mixed.extend(gibberish(rng));
        shuffled(mixed.iter().map(String::as_str), rng)
    }),
    free("an order to the judge", |_, rng| {
        pick(&ORDERS, rng).to_owned()
    }),
    free("a refusal", |_, rng| pick(&REFUSALS, rng).to_owned()),
    free("gibberish", |_, rng| gibberish(rng).join(" ")),
    free("markdown alone", |_, rng| pick(&MARKDOWN, rng).to_owned()),
    free("another language", |_, rng| {
        pick(&OTHER_LANGUAGES, rng).to_owned()
    }),
    free("an answer to another prompt", |question, _| {
        question.other.clone()
    }),
    Attack {
        junk: false,
        ..free("a wrong answer", |question, _| question.wrong.clone())
    },
    Attack {
        name: "half an answer",
        junk: false,
        cost: STANDARD.cost / 2,
        make: |question, _| half(&question.right),
    },
    Attack {
        name: "the right answer twice",
        junk: false,
        cost: STANDARD.cost,
        make: |question, _| twice(&question.right),
    },
];

const fn free(name: &'static str, make: fn(&Question, &mut ChaCha8Rng) -> String) -> Attack {
    Attack {
        name,
        junk: true,
        cost: 0,
        make,
    }
}

impl Attack {
    /// The text. It depends only on its arguments.
    pub fn text(&self, question: &Question, rng: &mut ChaCha8Rng) -> String {
        (self.make)(question, rng)
    }
}

/// The text that `score` rates highest among the first [`CHOICES`] attacks.
///
/// # Errors
/// The errors of `score`.
pub fn best(
    question: &Question,
    rng: &mut ChaCha8Rng,
    score: impl Fn(&str) -> Result<i32>,
) -> Result<String> {
    let mut found = (i32::MIN, String::new());
    for attack in &ATTACKS[..CHOICES] {
        let text = attack.text(question, rng);
        let raw = score(&text)?;
        if raw > found.0 {
            found = (raw, text);
        }
    }
    Ok(found.1)
}

/// The words of a text, without surrounding punctuation.
pub fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
        .map(|word| word.trim_matches(|letter: char| !letter.is_alphanumeric()))
        .filter(|word| !word.is_empty())
}

fn pick<'a>(wordings: &[&'a str], rng: &mut ChaCha8Rng) -> &'a str {
    wordings[rng.gen_range(0..wordings.len())]
}

fn twice(text: &str) -> String {
    format!("{text} {text}")
}

fn shuffled<'a>(words: impl Iterator<Item = &'a str>, rng: &mut ChaCha8Rng) -> String {
    let mut words: Vec<&str> = words.collect();
    words.shuffle(rng);
    words.join(" ")
}

/// The prompt's distinct long words, or all of them if it has no long ones.
fn keywords(prompt: &str) -> String {
    let mut found: Vec<&str> = Vec::new();
    for word in words(prompt).filter(|word| word.chars().count() >= KEYWORD) {
        if !found.contains(&word) {
            found.push(word);
        }
    }
    match found.is_empty() {
        true => words(prompt).collect::<Vec<_>>().join(", "),
        false => found.join(", "),
    }
}

/// Invented words.
fn gibberish(rng: &mut ChaCha8Rng) -> Vec<String> {
    let letter = |letters: &str, rng: &mut ChaCha8Rng| {
        let place = rng.gen_range(0..letters.len());
        letters[place..=place].to_owned()
    };
    let syllable = |rng: &mut ChaCha8Rng| letter("bdfgklmnprstvz", rng) + &letter("aeiou", rng);
    let word = |rng: &mut ChaCha8Rng| -> String {
        (0..rng.gen_range(2..=4)).map(|_| syllable(rng)).collect()
    };
    (0..GIBBERISH).map(|_| word(rng)).collect()
}

/// The first half of the words; for a single word, of its letters.
fn half(text: &str) -> String {
    let words: Vec<&str> = text.split_whitespace().collect();
    match words.len() {
        0 | 1 => text.chars().take(text.chars().count() / 2).collect(),
        all => words[..all / 2].join(" "),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::random::generator;

    fn question() -> Question {
        Question {
            prompt: "Why is the sky blue, and why is it red?".into(),
            right: "Air scatters blue light more.".into(),
            wrong: "The sea is reflected.".into(),
            other: "Canberra.".into(),
        }
    }

    fn text(name: &str, seed: u64) -> String {
        let attack = ATTACKS.iter().find(|attack| attack.name == name).unwrap();
        attack.text(&question(), &mut generator(seed, "test", 0, 0))
    }

    fn sorted(text: &str) -> Vec<&str> {
        let mut sorted: Vec<&str> = words(text).collect();
        sorted.sort_unstable();
        sorted
    }

    #[test]
    fn attacks_are_reproducible_and_have_names_of_their_own() {
        let names: BTreeSet<&str> = ATTACKS.iter().map(|attack| attack.name).collect();
        assert_eq!(names.len(), ATTACKS.len());
        for attack in &ATTACKS {
            assert_eq!(text(attack.name, 1), text(attack.name, 1));
            assert!(!text(attack.name, 1).is_empty(), "{}", attack.name);
        }
        assert_ne!(text("gibberish", 1), text("gibberish", 2));
    }

    #[test]
    fn attacks_do_what_they_are_called() {
        let prompt = question().prompt;
        assert_eq!(text("the prompt, copied", 1), prompt);
        assert_eq!(
            text("the prompt, copied twice", 1),
            format!("{prompt} {prompt}")
        );
        assert!(text("the prompt as a question back", 1).contains(&prompt));
        let mixed = text("words of the prompt, shuffled", 1);
        assert!(
            mixed != prompt && sorted(&mixed) == sorted(&prompt),
            "{mixed}"
        );
        assert_eq!(text("keywords of the prompt", 1), "blue");
        let gibberish = text("gibberish with the prompt's words", 1);
        assert_eq!(
            words(&gibberish).count(),
            words(&prompt).count() + GIBBERISH
        );
        assert_eq!(text("half an answer", 1), "Air scatters");
        assert_eq!(half("42."), "4");
    }

    /// Only these two are made from the right answer, and they are not free.
    #[test]
    fn attackers_do_not_know_the_right_answer_for_nothing() {
        let mut blind = question();
        blind.right = String::new();
        for attack in &ATTACKS {
            let rng = || generator(1, "test", 0, 0);
            let needs_it = attack.text(&blind, &mut rng()) != attack.text(&question(), &mut rng());
            assert_eq!(needs_it, attack.cost > 0, "{}", attack.name);
        }
    }

    #[test]
    fn the_best_is_the_one_that_the_judge_likes() {
        let likes = |wanted: &'static str| {
            let score = move |text: &str| Ok(i32::from(text.starts_with(wanted)));
            best(&question(), &mut generator(1, "test", 0, 0), score).unwrap()
        };
        assert_eq!(likes("blue"), "blue");
        assert_eq!(likes("nothing"), question().prompt);
    }

    #[test]
    fn words_have_nothing_around_them() {
        let found: Vec<&str> = words(" (Why?) -- it's 4.5 Ünï ").collect();
        assert_eq!(found, ["Why", "it's", "4.5", "Ünï"]);
    }
}
