//! Audits of revealed scores by the reference evaluator. See the README beside this file.

mod case;
mod conclude;
mod follow;
pub mod genesis;
mod keys;
mod lottery;
pub mod msgs;
mod pool;
pub mod query;
mod schedule;
mod scorer;
pub mod verdict;

pub use conclude::conclude_due;
pub use follow::follow;
pub use lottery::{draw_due, enter};
pub use pool::{AUDITOR_THREAD, Auditor};
pub use scorer::{NoReference, ReferenceScorer, ScoreError};
