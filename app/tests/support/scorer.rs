//! A reference evaluator for tests.

use poq_app::{ReferenceScorer, ScoreError};
use poq_proto::v1::EvaluatorModel;

use super::STRICT_SCORER;

/// The raw score is the first number in the answer, one less for [`STRICT_SCORER`]. An answer
/// without a number has no score.
pub(crate) struct TextScorer;

impl ReferenceScorer for TextScorer {
    fn score(&self, model: &EvaluatorModel, _: &str, answer: &str) -> Result<i32, ScoreError> {
        let is_part = |letter: char| letter.is_ascii_digit() || letter == '-';
        answer
            .split(|letter| !is_part(letter))
            .find_map(|word| word.parse::<i32>().ok())
            .map(|score| score.saturating_sub((model.id == STRICT_SCORER).into()))
            .ok_or_else(|| ScoreError::NoScore(format!("{answer:?} has no number")))
    }
}
