//! Scores that need no model: a model's scores must be better than these.

use std::collections::BTreeSet;

/// Natural logarithm of 1 + the answer's length in characters.
pub(super) fn length(answer: &str) -> f64 {
    (answer.chars().count() as f64).ln_1p()
}

/// Fraction of the prompt's distinct words that the answer contains; 0 for a prompt without words.
pub(super) fn overlap(prompt: &str, answer: &str) -> f64 {
    let (prompt, answer) = (words(prompt), words(answer));
    match prompt.len() {
        0 => 0.0,
        all => prompt.intersection(&answer).count() as f64 / all as f64,
    }
}

/// The distinct words of a text in lower case.
pub(super) fn words(text: &str) -> BTreeSet<String> {
    text.split(|c: char| !c.is_alphanumeric())
        .filter(|word| !word.is_empty())
        .map(str::to_lowercase)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn length_is_in_characters() {
        assert_eq!(length(""), 0.0);
        assert_eq!(length("Ü"), 2.0_f64.ln());
    }

    #[test]
    fn overlap_is_of_the_prompts_words() {
        assert_eq!(
            overlap("Why is the sky blue?", "The sky is BLUE, blue!"),
            0.8
        );
        assert_eq!(overlap("?!", "anything"), 0.0);
        assert_eq!(overlap("Why?", ""), 0.0);
    }
}
