//! `poq-evaluator`: scores answers with a cross-encoder on ONNX Runtime and commits to the scores
//! on a Proof of Quality chain.

mod cli;
mod command;
mod compute;
mod config;
mod digest;
mod duties;
mod journal;
mod output;
mod registry;
mod scorer;
mod submit;
#[cfg(test)]
mod testing;
mod transcode;
mod worker;

use std::process::ExitCode;

use clap::Parser;

use cli::{Cli, Command};

#[tokio::main(worker_threads = 2)]
async fn main() -> ExitCode {
    let cli = Cli::parse();
    poq_client::logging::init(cli.log_format);
    match run(cli.command).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {}", describe(&error));
            ExitCode::FAILURE
        }
    }
}

async fn run(command: Command) -> anyhow::Result<()> {
    match command {
        Command::Init(args) => command::init(args).await,
        Command::Register(args) => command::register(args).await,
        Command::Start(args) => command::start(args).await,
        Command::Status(args) => command::status(args).await,
        Command::Earnings(args) => command::earnings(args).await,
        Command::Score(args) => command::score(args).await,
        Command::Transcode(args) => command::transcode(&args),
        Command::Version(args) => command::version(&args),
    }
}

/// An error and its causes, without those that it quotes already.
fn describe(error: &anyhow::Error) -> String {
    error.chain().fold(String::new(), |text, cause| {
        let cause = cause.to_string();
        match text.as_str() {
            "" => cause,
            said if said.contains(&cause) => text,
            said => format!("{said}: {cause}"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_are_said_once() {
        let missing = digest::of_file(std::path::Path::new("/nonexistent")).unwrap_err();
        let expected = format!("the evaluator does not start: {missing}");
        let error = anyhow::Error::new(missing).context("the evaluator does not start");
        assert_eq!(describe(&error), expected);
    }
}
