//! Audits of revealed scores by the reference evaluator. See the README beside this file.

mod auditor;
mod conclude;
pub mod genesis;
mod keys;
mod lottery;
pub mod msgs;
pub mod query;
mod schedule;
pub mod verdict;

pub use auditor::{AUDITOR_THREAD, Auditor, NoReference, ReferenceScorer, ScoreError, follow};
pub use conclude::conclude_due;
pub use lottery::{draw_due, enter};
