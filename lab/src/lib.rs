//! The adversary laboratory: the production state machine in this process, and every participant
//! who could gain by lying to it. See the README in this crate.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

pub mod casts;
pub mod chain;
pub mod episode;
pub mod error;
pub mod experiments;
pub mod plot;
pub mod questions;
pub mod random;
pub mod scores;
pub mod sessions;
pub mod statistics;
pub mod strategy;
pub mod texts;
pub mod world;

pub use error::{Error, Result};
