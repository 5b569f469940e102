//! The domains of the state machine. Each owns the keys under its own prefix.

pub mod audits;
pub mod auth;
pub mod bank;
pub mod beacon;
pub mod models;
pub mod nodes;
pub mod params;
pub mod stake;
pub mod tasks;
pub mod validators;
