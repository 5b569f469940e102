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

use clap::Parser;

use cli::{Cli, Command};

#[tokio::main(worker_threads = 2)]
async fn main() -> anyhow::Result<()> {
    let cli = Cli::parse();
    poq_client::logging::init(cli.log_format);
    match cli.command {
        Command::Init(args) => command::init(args).await,
        Command::Register(args) => command::register(args).await,
        Command::Start(args) => command::start(args).await,
        Command::Status(args) => command::status(args).await,
        Command::Score(args) => command::score(args).await,
        Command::Transcode(args) => command::transcode(&args),
        Command::Version(args) => command::version(&args),
    }
}
