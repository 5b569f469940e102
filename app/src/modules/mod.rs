//! The domains of the state machine. Each owns the keys under its own prefix.
//!
//! All have one plan: `README.md` is the specification, `keys.rs` the keys, `genesis.rs` the way into and
//! out of `genesis.json`, `query.rs` the answers to queries, `msgs/` a handler per message. A module
//! without one of these has no file for it.

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
