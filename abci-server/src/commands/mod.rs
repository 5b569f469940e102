//! One file or folder for each group of commands.

pub mod ask;
pub mod completions;
pub mod config;
pub mod export;
pub mod faucet;
pub mod genesis;
pub mod init;
mod input;
pub mod keys;
pub mod models;
mod node;
pub mod query;
mod role;
pub mod start;
pub mod status;
pub mod testnet;
pub mod tx;
pub mod version;
pub mod vrf_key;

use anyhow::Context;
use tokio::runtime::{Builder, Runtime};

/// The runtime of a command: it runs on the calling thread.
fn runtime() -> anyhow::Result<Runtime> {
    Builder::new_current_thread()
        .enable_all()
        .build()
        .context("cannot start the runtime")
}
