//! The domains of the state machine. Each owns the keys under its own prefix.
//!
//! All have the same layout: `README.md` is the specification, `keys.rs` has the keys, `genesis.rs`
//! reads and writes the module's part of `genesis.json`, `query.rs` answers queries, and `msgs/`
//! has a handler per message. A module that needs none of one kind has no such file.

pub mod audits;
pub mod auth;
pub mod bank;
pub mod beacon;
pub mod models;
pub mod nodes;
pub mod params;
pub mod sessions;
pub mod stake;
pub mod tasks;
pub mod validators;
