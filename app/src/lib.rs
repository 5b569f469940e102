//! The deterministic state machine of the Proof of Quality chain.
//!
//! Every transaction takes one path: [`tx`] decodes and authenticates it, [`modules`] execute it on
//! a [`poq_store::State`] that keeps its writes only on success, [`block`] orders the phases of a
//! block, [`App`] holds the committed state, and [`abci`] translates for CometBFT.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]
#![cfg_attr(
    not(test),
    warn(
        clippy::arithmetic_side_effects,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::float_arithmetic,
        clippy::indexing_slicing
    )
)]

pub mod abci;
mod address;
mod app;
mod arithmetic;
mod batch;
pub mod block;
mod chain;
pub mod coin;
mod ecdsa;
mod error;
mod execution;
pub mod genesis;
mod mempool;
pub mod modules;
mod pagination;
mod proposal;
mod query;
mod refusal;
pub mod selection;
pub mod tx;
mod unbonding;
mod vrf;

pub use address::{Address, PROTOCOL_ACCOUNT};
pub use app::{App, Options, Proven};
pub use error::{Error, Result};
pub use execution::{BlockContext, Execution};
pub use modules::audits::{AUDITOR_THREAD, NoReference, ReferenceScorer, ScoreError};
