//! Tests with whole networks of real processes: CometBFT, the node daemon and, where answers and scores
//! matter, the real models. `make build` builds everything that they need.

mod api;
mod beacon;
#[path = "../../../inference-node/tests/checkpoint/mod.rs"]
mod checkpoint;
mod clients;
mod collusion;
mod faults;
mod fixture;
mod growth;
mod jail;
mod judges;
mod models;
mod outages;
mod plural;
mod questions;
mod refusals;
mod sessions;
mod streams;
mod validators;
