//! The node: the application as CometBFT and clients reach it, and CometBFT as its child.

mod abci;
mod abci_address;
pub(crate) mod comet;
mod comet_queries;
mod evaluator_files;
mod grpc;
pub mod reference;
mod start;
mod validator;

pub(crate) use start::{AcceptedRisks, start};
