//! Measures how certain a model is of right answers.
//!
//! Processors round differently, because matrix products are split into blocks by cache sizes. A
//! greedy answer changes if the margin of a token over the next is smaller than the difference. A
//! type of weights is therefore judged by the margins of its answers, not by their text.

use serde::{Deserialize, Serialize};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::generator::{Error, Generator, Prompt, Request, Sampling};

/// Token limit of an answer; a right one has its word earlier.
const TOKENS: usize = 40;

/// A question with a known answer.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Question {
    /// The prompt.
    pub prompt: String,
    /// Words that make an answer right; one of them suffices.
    words: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Questions {
    question: Vec<Question>,
}

/// All questions.
///
/// # Errors
/// If the list is malformed, which a test rules out.
pub(crate) fn questions() -> anyhow::Result<Vec<Question>> {
    let questions: Questions = toml::from_str(include_str!("../questions.toml"))?;
    Ok(questions.question)
}

/// A token of an answer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Token {
    /// Its text.
    pub text: String,
    /// Margin of its logit over the next highest.
    pub margin: f32,
}

/// A greedy answer.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Answered {
    /// The prompt.
    pub prompt: String,
    /// Whether the answer is right.
    pub is_right: bool,
    /// The smallest margin of the tokens up to the one that makes it right, or of all.
    pub margin: f32,
    /// The answer's text.
    pub tokens: Vec<Token>,
}

/// Asks a question, greedily and with the penalty that the model's makers recommend.
///
/// # Errors
/// As in [`Generator::generate`].
pub(crate) async fn ask(generator: &dyn Generator, question: &Question) -> Result<Answered, Error> {
    let request = Request {
        prompt: Prompt::question(&question.prompt),
        sampling: Sampling {
            repetition_penalty: generator.recommended().repetition_penalty,
            ..Sampling::GREEDY
        },
        max_tokens: TOKENS,
        max_bytes: usize::MAX,
        stop: Vec::new(),
    };
    // Room for the whole answer, which is read when it is complete.
    let (sender, mut deltas) = mpsc::channel(TOKENS);
    let completion = generator
        .generate(&request, &CancellationToken::new(), Some(sender))
        .await?;
    let mut tokens = Vec::new();
    let mut margins = completion.margins.into_iter();
    while let Some(text) = deltas.recv().await {
        let margin = margins.next().unwrap_or_default();
        tokens.push(Token { text, margin });
    }
    Ok(Answered::new(question, tokens))
}

impl Answered {
    fn new(question: &Question, tokens: Vec<Token>) -> Self {
        let mut text = String::new();
        let decisive = tokens.iter().position(|token| {
            text.push_str(&token.text);
            question.is_right(&text)
        });
        let until = decisive.map_or(tokens.len(), |position| position + 1);
        let margins = tokens[..until].iter().map(|token| token.margin);
        Self {
            prompt: question.prompt.clone(),
            is_right: decisive.is_some(),
            margin: margins.fold(f32::INFINITY, f32::min),
            tokens,
        }
    }

    /// Its words.
    pub(crate) fn text(&self) -> String {
        self.tokens
            .iter()
            .map(|token| token.text.as_str())
            .collect()
    }
}

impl Question {
    /// Whether one of the words is in the text as a whole word.
    fn is_right(&self, text: &str) -> bool {
        let text = text.to_lowercase();
        self.words.iter().any(|word| {
            let word = word.to_lowercase();
            text.match_indices(&word).any(|(start, found)| {
                let before = text[..start].chars().next_back();
                let after = text[start + found.len()..].chars().next();
                ![before, after]
                    .into_iter()
                    .flatten()
                    .any(char::is_alphanumeric)
            })
        })
    }
}

/// Results for a type of weights.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Summary {
    /// Number of right answers.
    pub right: usize,
    /// The smallest margin of a right answer.
    pub smallest: f32,
    /// The median of the margins of the right answers.
    pub median: f32,
    /// All answers.
    pub answers: Vec<Answered>,
}

impl Summary {
    /// Summarizes answers.
    pub(crate) fn new(answers: Vec<Answered>) -> Self {
        let right = answers.iter().filter(|answer| answer.is_right);
        let mut margins: Vec<f32> = right.map(|answer| answer.margin).collect();
        margins.sort_by(f32::total_cmp);
        Self {
            right: margins.len(),
            smallest: margins.first().copied().unwrap_or_default(),
            median: margins.get(margins.len() / 2).copied().unwrap_or_default(),
            answers,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn question() -> Question {
        Question {
            prompt: "How many legs?".into(),
            words: vec!["8".into(), "eight".into()],
        }
    }

    fn tokens(parts: &[(&str, f32)]) -> Vec<Token> {
        let token = |(text, margin): &(&str, f32)| Token {
            text: (*text).into(),
            margin: *margin,
        };
        parts.iter().map(token).collect()
    }

    #[test]
    fn a_word_is_not_right_within_another() {
        for right in ["8", "It has 8.", "Eight legs"] {
            assert!(question().is_right(right), "{right}");
        }
        for wrong in ["18", "88", "weight", "eighty", ""] {
            assert!(!question().is_right(wrong), "{wrong}");
        }
    }

    #[test]
    fn the_margin_counts_up_to_the_word_that_decides() {
        let parts = [("It", 2.0), (" has", 3.0), (" 8", 4.0), (" legs", 0.1)];
        let answered = Answered::new(&question(), tokens(&parts));
        assert!(answered.is_right);
        assert_eq!(
            (answered.margin, answered.text()),
            (2.0, "It has 8 legs".into())
        );
        let wrong = Answered::new(&question(), tokens(&parts[..2]));
        assert!(!wrong.is_right);
        assert_eq!(wrong.margin, 2.0);
    }

    #[test]
    fn a_summary_counts_right_answers_only() {
        let of = |word, margin| Answered::new(&question(), tokens(&[(word, margin)]));
        let summary = Summary::new(vec![
            of("8", 3.0),
            of("9", 0.1),
            of("eight", 1.0),
            of("8", 2.0),
        ]);
        assert_eq!(
            (summary.right, summary.smallest, summary.median),
            (3, 1.0, 2.0)
        );
        assert_eq!(Summary::new(Vec::new()).right, 0);
    }

    #[test]
    fn there_are_thirty_different_questions() {
        let questions = questions().unwrap();
        let mut prompts: Vec<_> = questions.iter().map(|one| &one.prompt).collect();
        prompts.sort_unstable();
        prompts.dedup();
        assert_eq!((prompts.len(), questions.len()), (30, 30));
        assert!(questions.iter().all(|question| !question.words.is_empty()));
    }
}
