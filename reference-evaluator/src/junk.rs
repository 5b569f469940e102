//! Detects plain junk, which a model need not read, with integer arithmetic.
//!
//! The rules match only answers that hardly anybody would defend; the model judges the rest. They are
//! part of consensus and must not change with versions of Unicode: words are separated by white space,
//! control characters and ASCII punctuation, and only ASCII letters are lower-cased. A text in a script
//! without spaces has few words and never matches.

#![deny(clippy::float_arithmetic)]
#![allow(
    clippy::arithmetic_side_effects,
    clippy::indexing_slicing,
    reason = "positions in one answer's words, and ten times their number"
)]

use std::fmt;

/// A repetition has at least this many words.
const REPETITION_WORDS: usize = 24;
/// The repeated unit has at most this many words.
const UNIT_WORDS: usize = 64;
/// The unit occurs at least this many times in a row.
const TIMES: usize = 4;
/// Only prompts of at least this many words count as copied.
const PROMPT_WORDS: usize = 4;

/// The reason why an answer is plain junk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Junk {
    /// It has no words.
    Wordless,
    /// It repeats one unit.
    Repetition,
    /// It is a copy of the prompt, once or several times.
    Copy,
}

impl Junk {
    /// A one-word name for output and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Wordless => "wordless",
            Self::Repetition => "repetition",
            Self::Copy => "copy",
        }
    }
}

impl fmt::Display for Junk {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wordless => "the answer has no words",
            Self::Repetition => "the answer repeats itself",
            Self::Copy => "the answer copies the prompt",
        })
    }
}

/// Returns why an answer is plain junk: the first reason that applies, in the order of [`Junk`].
/// `evaluator/README.md` has the rules.
#[must_use]
pub fn junk(prompt: &str, answer: &str) -> Option<Junk> {
    if answer.chars().all(says_nothing) {
        return Some(Junk::Wordless);
    }
    let (prompt, answer) = (prompt.to_ascii_lowercase(), answer.to_ascii_lowercase());
    let (prompt, answer) = (words(&prompt), words(&answer));
    if is_repetition(&prompt, &answer) {
        return Some(Junk::Repetition);
    }
    is_copy(&prompt, &answer).then_some(Junk::Copy)
}

/// Whether a character carries no meaning alone. Other punctuation can be an answer: a bracket, an
/// operator, a drawing.
fn says_nothing(character: char) -> bool {
    is_blank(character) || ".,;:!?'\"".contains(character)
}

fn words(text: &str) -> Vec<&str> {
    let words = text.split(is_between_words);
    words.filter(|word| !word.is_empty()).collect()
}

fn is_between_words(character: char) -> bool {
    is_blank(character) || character.is_ascii_punctuation()
}

/// The characters of `char::is_whitespace` and `char::is_control` today, fixed here.
fn is_blank(character: char) -> bool {
    matches!(
        character,
        '\0'..=' '
            | '\u{7f}'..='\u{a0}'
            | '\u{1680}'
            | '\u{2000}'..='\u{200a}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{202f}'
            | '\u{205f}'
            | '\u{3000}'
    )
}

fn is_repetition(prompt: &[&str], answer: &[&str]) -> bool {
    if answer.len() < REPETITION_WORDS {
        return false;
    }
    let unit = (1..=UNIT_WORDS).find_map(|length| repeated(answer, length));
    unit.is_some_and(|unit| unit.iter().any(is_language) && !is_asked_for(prompt, unit))
}

/// The unit of `unit` words that fills nearly all of the answer, at least [`TIMES`] in a row. A start may
/// come before it; a truncated unit and an end may follow it.
fn repeated<'a, 't>(answer: &'a [&'t str], unit: usize) -> Option<&'a [&'t str]> {
    let later = answer.get(unit..)?;
    // Consecutive words that equal the word one unit earlier.
    let (mut row, mut longest, mut start) = (0, 0, 0);
    for (place, (word, again)) in answer.iter().zip(later).enumerate() {
        row = if word == again { row + 1 } else { 0 };
        if row > longest {
            longest = row;
            start = place + 1 - row;
        }
    }
    let stretch = longest + unit;
    let fills = stretch >= TIMES * unit && 10 * stretch >= 9 * answer.len();
    fills.then_some(&answer[start..start + unit])
}

/// Whether a word belongs to prose: tables, formulas, chords and drawings may repeat the same signs.
fn is_language(word: &&str) -> bool {
    word.chars().count() >= 3 && !word.starts_with(|c: char| c.is_ascii_digit())
}

/// Whether the prompt asks for the repetition, as in `Write "never again" fifty times`.
fn is_asked_for(prompt: &[&str], unit: &[&str]) -> bool {
    unit.len() < prompt.len() && unit.iter().all(|word| prompt.contains(word))
}

/// Whether the answer consists of the prompt's words in order, once or more, and of nothing else.
fn is_copy(prompt: &[&str], answer: &[&str]) -> bool {
    let over_and_over = prompt.iter().cycle().take(answer.len());
    prompt.len() >= PROMPT_WORDS && prompt.len() <= answer.len() && answer.iter().eq(over_and_over)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const PROMPT: &str = "What is the capital of France?";
    const SENTENCE: &str = "Paris has many museums, and all of them are closed today. ";

    fn of(answer: &str) -> Option<Junk> {
        junk(PROMPT, answer)
    }

    #[test]
    fn an_answer_without_words_is_junk() {
        for answer in ["", " \n\t", "...", "?!", "\"'", "\0\u{7f}\u{85}\u{3000}, ."] {
            assert_eq!(of(answer), Some(Junk::Wordless), "{answer:?}");
        }
    }

    #[test]
    fn signs_that_say_something_are_left_alone() {
        for answer in [
            "4",
            "x",
            "+",
            "] } ]",
            "👍",
            "¿",
            "巴黎",
            "*\n**\n***",
            "```\n```",
        ] {
            assert_eq!(of(answer), None, "{answer:?}");
        }
    }

    #[test]
    fn the_same_again_and_again_is_junk() {
        let long: String = (0..UNIT_WORDS).map(|n| format!("word{n} ")).collect();
        for answer in [
            SENTENCE.repeat(4),
            format!("Well: {}", SENTENCE.repeat(4)),
            format!("{} Paris HAS many", SENTENCE.to_uppercase().repeat(5)),
            "paris ".repeat(24),
            "да, Париж! ".repeat(12),
            long.repeat(4),
        ] {
            assert_eq!(of(&answer), Some(Junk::Repetition), "{answer}");
        }
    }

    #[test]
    fn what_returns_now_and_then_is_left_alone() {
        let longer: String = (0..=UNIT_WORDS).map(|n| format!("word{n} ")).collect();
        let verses = |n| format!("Verse {n} says something new about the old town. {SENTENCE}");
        for answer in [
            SENTENCE.repeat(3),
            "paris ".repeat(23),
            longer.repeat(4),
            (1..9).map(verses).collect(),
            // The start is longer than a tenth of the answer.
            format!("It is Paris, on the Seine. {}", SENTENCE.repeat(4)),
            // The repetition is interrupted.
            format!("{}No. {}", SENTENCE.repeat(2), SENTENCE.repeat(2)),
        ] {
            assert_eq!(of(&answer), None, "{answer}");
        }
    }

    #[test]
    fn tables_formulas_and_what_was_asked_for_are_left_alone() {
        for answer in [
            "[0, 0, 0, 1], ",
            "0x00, ",
            "| 1st | 2nd |",
            "Am G C F ",
            "X O ",
        ] {
            assert_eq!(of(&answer.repeat(24)), None, "{answer}");
        }
        let lines = "I am sorry. ".repeat(20);
        assert_eq!(of(&lines), Some(Junk::Repetition));
        assert_eq!(junk("Write \"I am sorry\" 20 times!", &lines), None);
        assert_eq!(junk("test", &"Test ".repeat(30)), Some(Junk::Repetition));
    }

    #[test]
    fn the_prompt_itself_is_junk() {
        for answer in [
            PROMPT,
            "what is the capital of france",
            "> **What is the capital of France?**\n\n\"What is the capital of France!\"",
            "What is the capital of France? What is the capital",
        ] {
            assert_eq!(of(answer), Some(Junk::Copy), "{answer}");
        }
        assert_eq!(junk("Who are you?", "Who are you?"), None);
    }

    #[test]
    fn an_answer_with_the_words_of_the_prompt_is_left_alone() {
        for answer in [
            "The capital of France is Paris.",
            "What is the capital of France? Paris.",
            "What, Paris, is the capital of France?",
            "What is the capital",
            "Paris. What is the capital of France?",
            "the capital of France is what?",
        ] {
            assert_eq!(of(answer), None, "{answer}");
        }
        let task = "Correct the grammar of this: she go to school every day";
        assert_eq!(junk(task, "She goes to school every day."), None);
        assert_eq!(junk(task, "she go to school every day"), None);
        let gap = "The ____ School holds that law is what is correct.";
        assert_eq!(
            junk(gap, "The Natural School holds that law is what is correct."),
            None
        );
    }

    #[test]
    fn every_reason_has_its_words() {
        let all = [Junk::Wordless, Junk::Repetition, Junk::Copy];
        assert_eq!(all.map(Junk::name), ["wordless", "repetition", "copy"]);
        assert_eq!(Junk::Copy.to_string(), "the answer copies the prompt");
    }

    proptest! {
        #[test]
        fn any_texts_are_judged(prompt in any::<String>(), answer in any::<String>()) {
            let _ = junk(&prompt, &answer);
        }

        /// Runs over few distinct words produce units, starts and ends of all lengths.
        #[test]
        fn any_repetitions_are_judged(words in proptest::collection::vec("[ab.]{1,3}", 0..400)) {
            let _ = junk("a b ab ba", &words.join(" "));
        }

        #[test]
        fn copies_are_junk(prompt in "\\PC{0,9}( [a-z]{1,5}){4,40}", copies in 1_usize..12) {
            let answer = vec![prompt.as_str(); copies].join("\n");
            prop_assert!(junk(&prompt, &answer).is_some());
            prop_assert!(junk(&prompt, &answer.to_ascii_uppercase()).is_some());
        }

        #[test]
        fn repetitions_are_junk(unit in "( [a-z]{3,5}){1,64}", times in 24_usize..40) {
            prop_assert_eq!(junk(PROMPT, &unit.repeat(times)), Some(Junk::Repetition));
        }

        #[test]
        fn a_word_more_than_the_prompt_is_an_answer(prompt in "( [a-z]{1,5}){4,23}", place in 0_usize..24) {
            let mut words: Vec<&str> = prompt.split_whitespace().collect();
            words.insert(place.min(words.len()), "Paris");
            prop_assert_eq!(junk(&prompt, &words.join(" ")), None);
        }
    }

    #[test]
    fn blanks_are_those_of_the_standard_library() {
        let of_library = |c: char| c.is_whitespace() || c.is_control();
        assert!(('\0'..=char::MAX).all(|c| is_blank(c) == of_library(c)));
    }
}
