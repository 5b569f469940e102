use poq_proto::v1::EvaluatorModel;
use thiserror::Error;

/// The reference implementation of the evaluator models: a pure function, bit-exact on every
/// machine, since its results enter consensus.
pub trait ReferenceScorer: Send + Sync {
    /// The raw score that an evaluator model gives to an answer: micro-logits, or millionths of a
    /// cosine.
    ///
    /// # Errors
    /// [`ScoreError`], whose two kinds consensus treats differently.
    fn score(&self, model: &EvaluatorModel, prompt: &str, answer: &str) -> Result<i32, ScoreError>;
}

/// Why there is no reference score.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ScoreError {
    /// The model gives this text no score. Every node must find so: it is a result of the audit,
    /// which then has nothing against the seats of this model.
    #[error("{0}")]
    NoScore(String),
    /// This node cannot compute the score, for instance because a file is missing. It can no longer
    /// follow consensus and stops.
    #[error("{0}")]
    Unavailable(String),
}

/// Has no evaluator model: for tools that execute no blocks with audits.
#[derive(Clone, Copy, Debug)]
pub struct NoReference;

impl ReferenceScorer for NoReference {
    fn score(&self, model: &EvaluatorModel, _: &str, _: &str) -> Result<i32, ScoreError> {
        Err(ScoreError::Unavailable(format!(
            "this program does not compute scores of the evaluator model {}",
            model.id
        )))
    }
}
