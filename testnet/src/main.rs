//! `poq-testnet`: a local network in one command.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod cli;
mod run;
mod second_terminal;
mod show;

use std::process::ExitCode;

use clap::Parser;

use crate::cli::{Cli, Command};

fn main() -> ExitCode {
    drop_empty_settings();
    let cli = Cli::parse();
    poq_worker::program::logging::init(cli.log_format);
    // Single-threaded, because the kernel kills a process when the thread that started it ends.
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = match runtime {
        Ok(runtime) => runtime.block_on(run(&cli.command)),
        Err(error) => Err(error.into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(command: &Command) -> anyhow::Result<()> {
    match command {
        Command::Run(options) => run::run(options).await,
        Command::Status(options) => second_terminal::status(options).await,
        Command::Logs(options) => second_terminal::logs(options).await,
        Command::Stop(options) => second_terminal::stop(options).await,
        Command::Start(options) => second_terminal::start(options).await,
        Command::Add(options) => second_terminal::add(options).await,
        Command::Prompt(options) => second_terminal::prompt(options).await,
    }
}

/// Removes empty environment variables: the Makefile exports unset settings as empty.
#[allow(unsafe_code, reason = "SAFETY says why it is sound")]
fn drop_empty_settings() {
    for name in [
        "VALIDATORS",
        "INFERENCE",
        "EVALUATORS",
        "PROMPT",
        "OUTPUT",
        "BASE_PORT",
    ] {
        if std::env::var_os(name).is_some_and(|value| value.is_empty()) {
            // SAFETY: no other thread exists yet, so none can read the environment.
            unsafe { std::env::remove_var(name) };
        }
    }
}
