//! Sources of prompts and answers, and of their worth.

use std::sync::Arc;

use poq_app::ReferenceScorer;
use poq_proto::v1::EvaluatorModel;

use crate::error::{Error, Result};
use crate::strategy::{Asks, Inference};
use crate::texts::Book;
use crate::world::{self, Reference, STANDARD, Scale};

/// What users ask, and what nodes can answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Questions {
    /// All prompts are alike. An answer's worth is drawn, and its text contains the score.
    Drawn,
    /// Prompts and answers are real texts, and a judge scores them.
    Written(Arc<Book>),
}

/// An answer that a node sends.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Its score by the reference evaluator, in micro-logits or millionths of a cosine.
    pub raw: i32,
    /// The text for the chain.
    pub text: String,
    /// Its cost for the node, in base units.
    pub cost: u64,
}

impl Questions {
    /// The prompt of the question with this number.
    pub fn prompt(&self, seed: u64, number: u64) -> &str {
        match self {
            Self::Drawn => "?",
            Self::Written(book) => book.prompt(seed, number),
        }
    }

    /// A node's answer to the question with this number, as it was asked; `None` if it stays
    /// silent.
    ///
    /// # Errors
    /// [`Error::NoTexts`] if the strategy, or the way of asking, needs texts that do not exist.
    pub fn answer(
        &self,
        strategy: &Inference,
        seed: u64,
        (number, asks): (u64, Asks),
    ) -> Result<Option<Answer>> {
        match (self, strategy) {
            (Self::Drawn, Inference::Texts(name)) => Err(Error::NoTexts((*name).into())),
            (Self::Drawn, _) => {
                let drawn = strategy.answer(|class| world::truth(class, seed, number));
                Ok(drawn.map(|drawn| asks.bend(drawn)).map(|drawn| Answer {
                    raw: drawn.raw,
                    text: world::text(drawn.raw, drawn.bytes),
                    cost: drawn.cost,
                }))
            }
            (Self::Written(_), Inference::Silent) => Ok(None),
            (Self::Written(_), _) if matches!(asks, Asks::ShortestAnswer | Asks::Hopeless) => {
                Err(Error::NoTexts(format!("a user who asks {asks:?}")))
            }
            (Self::Written(book), _) => book.answer(strategy, seed, number).cloned().map(Some),
        }
    }

    /// Most bytes of an answer.
    pub fn max_answer_bytes(&self) -> u32 {
        match self {
            Self::Drawn => STANDARD.answer_bytes as u32,
            Self::Written(book) => book.max_answer_bytes(),
        }
    }

    /// The registry entry of the evaluator model.
    pub fn evaluator_model(&self) -> EvaluatorModel {
        match self {
            Self::Drawn => world::scorer(),
            Self::Written(book) => EvaluatorModel {
                id: world::SCORER.into(),
                ..book.judge().entry().clone()
            },
        }
    }

    /// The reference evaluator; without audits, one that has no score for any answer.
    pub fn reference(&self, audits: bool) -> Arc<dyn ReferenceScorer> {
        match self {
            Self::Written(book) if audits => book.judge(),
            _ => Arc::new(Reference { audits }),
        }
    }

    /// The conversion between its raw scores and qualities.
    pub fn scale(&self) -> Scale {
        match self {
            Self::Drawn => Scale::default(),
            Self::Written(book) => book.judge().scale(),
        }
    }

    /// Mean quality (ppm) of honest answers: a lazy evaluator's guess.
    pub fn prior_mean(&self) -> u32 {
        match self {
            Self::Drawn => world::prior_mean(),
            Self::Written(book) => book.prior_mean(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: (u64, Asks) = (2, Asks::Plainly);

    #[test]
    fn drawn_answers_carry_their_score() {
        let honest = Inference::Honest(STANDARD);
        let answer = Questions::Drawn.answer(&honest, 1, PLAIN);
        let answer = answer.unwrap().unwrap();
        assert_eq!(world::score(&answer.text).unwrap(), answer.raw);
        assert_eq!(
            answer.text.len() as u32,
            Questions::Drawn.max_answer_bytes()
        );
        let silent = Questions::Drawn.answer(&Inference::Silent, 1, PLAIN);
        assert_eq!(silent.unwrap(), None);
    }

    #[test]
    fn nobody_draws_what_a_text_is_worth() {
        let error = Questions::Drawn.answer(&Inference::Texts("a copy"), 1, PLAIN);
        assert!(error.unwrap_err().to_string().contains("a copy"));
    }
}
