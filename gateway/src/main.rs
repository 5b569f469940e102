//! `poq-gateway`: an OpenAI-compatible API on the sessions of a Proof of Quality chain.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod api;
mod ask;
mod chain;
mod cli;
mod config;
mod deposits;
mod keys;
mod money;
mod pool;
mod quality;
mod relay;
mod store;
mod telemetry;
mod upstream;

#[cfg(test)]
#[path = "../tests/played/mod.rs"]
mod played;
#[cfg(test)]
#[path = "../tests/gateway/mod.rs"]
mod tests;

use std::process::ExitCode;

use clap::Parser;
use poq_worker::program::{exit, logging};

use crate::cli::Cli;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let output = cli.output();
    logging::init(cli.log_format);
    exit(run(cli), output)
}

fn run(cli: Cli) -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()?;
    let result = runtime.block_on(cli.run());
    // An answer in progress must not keep the process from exiting.
    runtime.shutdown_background();
    result
}
