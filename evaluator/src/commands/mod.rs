//! One module per command.

mod init;
mod model;
mod register;
mod score;
mod serve;
mod start;
mod transcode;
mod tune;
mod version;

use std::path::Path;

use anyhow::Result;
use poq_proto::v1::Role;
use poq_worker::{WorkerHome, commands};

use crate::cli::{Cli, Command};
use crate::config::Config;

/// The operator's role.
const ROLE: Role = Role::Evaluator;

/// Runs a command.
///
/// # Errors
/// Failures with their remedies, for the user.
pub(crate) async fn run(cli: Cli) -> Result<()> {
    match cli.command {
        Command::Init(args) => init::init(&cli.home, args).await,
        Command::Register(args) => register::register(&cli.home, args).await,
        Command::Start(args) => start::start(&cli.home, &args).await,
        Command::Status(args) => {
            let (home, config) = settings(&cli.home)?;
            let models = config.model_ids();
            commands::status(&home, &config.chain, ROLE, models, args.output).await
        }
        Command::Earnings(args) => {
            let (home, config) = settings(&cli.home)?;
            commands::earnings(&home, &config.chain, ROLE, &args).await
        }
        Command::Score(args) => score::score(args).await,
        Command::Serve(args) => serve::serve(args).await,
        Command::Tune(args) => tune::tune(args).await,
        Command::Transcode(args) => transcode::transcode(&args),
        Command::Version(args) => version::version(&args),
    }
}

/// Home and validated settings.
fn settings(home: &Path) -> Result<(WorkerHome, Config)> {
    let home = WorkerHome::open(home)?;
    let config: Config = home.config()?;
    let checked = config.validate();
    checked.map_err(|error| home.invalid(&error.to_string()))?;
    Ok((home, config))
}
