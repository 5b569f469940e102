//! What a model's scores are worth: agreement with labels, calibration, and what attacks do to
//! them. All of it off the chain, in floats.

mod attack;
mod baseline;
mod bootstrap;
mod calibration;
mod card;
mod data;
mod isotonic;
mod measure;
mod mitigation;
mod scoring;
mod statistics;

pub use attack::{AttackReport, Attacks};
pub use bootstrap::Estimate;
pub use calibration::{Held, fit, held};
pub use card::{Calibrated, Card, Speed};
pub use data::{Dataset, read, sample};
pub use measure::{Agreement, Settings, measure};
pub use mitigation::Mitigation;
pub use scoring::{Pair, Scores, score_all};
