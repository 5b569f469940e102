//! The scores by which audits judge, as the application asks for them.

use std::sync::Arc;

use poq_app::{ReferenceScorer, ScoreError};
use poq_judge::Judge;
use poq_proto::v1::EvaluatorModel;

/// Scores with this node's files.
pub struct Reference(pub Arc<Judge>);

impl ReferenceScorer for Reference {
    fn score(&self, model: &EvaluatorModel, prompt: &str, answer: &str) -> Result<i32, ScoreError> {
        let score = self.0.score(model, prompt, answer);
        score.map_err(|error| match error.is_of_the_model() {
            true => ScoreError::NoScore(error.to_string()),
            false => ScoreError::Unavailable(error.to_string()),
        })
    }
}
