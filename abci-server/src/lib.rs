//! The node daemon of the Proof of Quality chain and its command line, from the lowest layer up:
//! [`transport`] serves any ABCI application, `home` has the files of a node, [`node`] runs the
//! application and CometBFT, and `cli` has the commands.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod cli;
mod home;
pub mod node;
pub mod transport;

use std::process::ExitCode;

use clap::Parser;

/// Runs the program `poqd` with the command line of this process.
pub fn run() -> ExitCode {
    abort_on_panic();
    let cli = cli::Cli::parse();
    poq_worker::program::logging::init(cli.log_format);
    let format = cli.error_format();
    match cli.run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => cli::output::print_error(format, &error).into(),
    }
}

/// Makes a panic on any thread end the process with its message: a node that lost a thread would look
/// alive but not answer. The computation of audits is the exception; there a panic is a result.
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
