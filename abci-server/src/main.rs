//! `poqd`: the node daemon of the Proof of Quality chain, and its command line.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod abci_address;
mod answer;
mod cli;
mod coin;
mod comet;
mod commands;
mod evaluator_files;
mod explain;
mod export;
mod genesis;
mod grpc;
mod home;
mod output;
mod settings;
mod validator;
mod validator_keys;
mod vrf;

use std::process::ExitCode;

use clap::Parser;

fn main() -> ExitCode {
    abort_on_panic();
    let cli = cli::Cli::parse();
    poq_worker::program::logging::init(cli.log_format);
    let format = cli.error_format();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => output::print_error(format, &error).into(),
    }
}

/// A panic on any thread ends the process with its message: a node that lost a thread would look
/// alive and answer nothing. Only where audits are computed a panic is a result like any other.
fn abort_on_panic() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |panic| {
        report(panic);
        if std::thread::current().name() == Some(poq_app::AUDITOR_THREAD) {
            return;
        }
        eprintln!("poqd: stopped by the panic above; this is a bug, please report it");
        std::process::abort();
    }));
}
