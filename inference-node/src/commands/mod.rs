//! One module per command.

mod at_once;
mod generate;
mod init;
mod margins;
pub(crate) mod model;
mod models;
mod register;
mod start;
mod stream;

use std::path::Path;

use poq_proto::v1::Role;
use poq_worker::{WorkerHome, commands};
use serde_json::json;

use crate::cli::{Cli, Command, Models};
use crate::config::Config;

/// The operator's role.
const ROLE: Role = Role::Inference;

/// Runs a command.
///
/// # Errors
/// Failures with their remedies, for the user.
pub(crate) async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Init(options) => init::init(&cli.home, options).await,
        Command::Register(options) => register::register(&cli.home, options).await,
        Command::Start(options) => start::start(&cli.home, &options).await,
        Command::Status(options) => {
            let (home, config) = settings(&cli.home)?;
            let models = vec![config.model.id];
            commands::status(&home, &config.chain, ROLE, models, options.output).await
        }
        Command::Stream(options) => stream::stream(&cli.home, options),
        Command::Generate(options) => {
            let model = model::settings(&cli.home, &options)?;
            generate::generate(&model, options).await
        }
        Command::Models(Models::List(options)) => models::list(options.output),
        Command::Models(Models::Show(options)) => models::show(options).await,
        Command::Models(Models::Verify(options)) => models::verify(options).await,
        Command::Models(Models::Margins(options)) => margins::margins(options).await,
        Command::Models(Models::Run(options)) => {
            let model = model::of_catalog(&options.id)?;
            let model = model::changed(model, &options.generate);
            generate::generate(&model, options.generate).await
        }
        Command::Earnings(options) => {
            let (home, config) = settings(&cli.home)?;
            commands::earnings(&home, &config.chain, ROLE, &options).await
        }
        Command::Version(options) => {
            let version = env!("CARGO_PKG_VERSION");
            let value = json!({"name": env!("CARGO_BIN_NAME"), "version": version});
            Ok(options.output.print(&value, version)?)
        }
    }
}

/// Home and validated settings.
///
/// # Errors
/// If there is no readable config.toml, or a setting is out of range.
pub(crate) fn settings(home: &Path) -> anyhow::Result<(WorkerHome, Config)> {
    let home = WorkerHome::open(home)?;
    let config: Config = home.config()?;
    config.validate().map_err(|reason| home.invalid(&reason))?;
    Ok((home, config))
}
