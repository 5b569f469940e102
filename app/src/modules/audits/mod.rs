//! Audits of revealed scores by the reference evaluator. See the README beside this file.

mod scorer;

pub use scorer::{NoReference, ReferenceScorer, ScoreError};
