//! What a model's scores are worth: agreement with labels, calibration, the effect of attacks, and
//! the distance of ONNX Runtime from the reference evaluator.

mod attack;
mod baseline;
mod calibration;
mod card;
mod data;
mod measure;
mod mitigation;
mod scoring;
#[cfg(test)]
mod testing;
pub mod tolerance;

pub use attack::{AttackReport, Attacks};
pub use calibration::{Held, fit, held};
pub use card::{Calibrated, Card, Speed};
#[cfg(test)]
pub(crate) use data::parse;
pub use data::{Dataset, Item, read, sample};
pub use measure::{Agreement, Settings, measure};
pub use mitigation::Mitigation;
pub use scoring::{Pair, Scores, score_all};
