//! One module per command.

mod at_once;
mod earnings;
mod generate;
mod init;
mod margins;
pub mod model;
mod models;
mod register;
mod start;
mod status;

use std::path::Path;

use anyhow::bail;
use poq_client::terminal;
use poq_client::worker::WorkerHome;
use serde::Serialize;
use serde_json::{Value, json};

use crate::cli::{Cli, Command, Models, Output};
use crate::config::Config;

/// Runs a command.
///
/// # Errors
/// What failed and what to do, for the user.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Init(options) => init::init(&cli.home, options).await,
        Command::Register(options) => register::register(&cli.home, options).await,
        Command::Start(options) => start::start(&cli.home, &options).await,
        Command::Status(options) => status::status(&cli.home, options.output).await,
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
        Command::Earnings(options) => earnings::earnings(&cli.home, &options).await,
        Command::Version(options) => {
            let version = env!("CARGO_PKG_VERSION");
            let value = json!({"name": env!("CARGO_BIN_NAME"), "version": version});
            print(options.output, &value, || version.to_owned());
            Ok(())
        }
    }
}

/// Home and settings, checked.
///
/// # Errors
/// If there is no readable config.toml, or a setting is out of its range.
pub fn settings(home: &Path) -> anyhow::Result<(WorkerHome, Config)> {
    let home = WorkerHome::open(home)?;
    let config: Config = home.config()?;
    if let Err(reason) = config.validate() {
        bail!("{}: {reason}", home.path().join("config.toml").display());
    }
    Ok((home, config))
}

/// Prints figures of this machine, whose integers are short, and what has no numbers.
fn print(output: Output, value: &Value, text: impl FnOnce() -> String) {
    write(match output {
        Output::Json => value.to_string(),
        Output::Text => text(),
    });
}

/// As [`print()`], for what the chain says: in JSON, integers of 64 bits are text.
fn print_typed(
    output: Output,
    value: &impl Serialize,
    text: impl FnOnce() -> String,
) -> anyhow::Result<()> {
    write(match output {
        Output::Json => poq_client::json::to_string(value)?,
        Output::Text => text(),
    });
    Ok(())
}

fn write(result: String) {
    // Who closed the pipe, as `head` does, wants to read no more.
    let _ = terminal::write(&(result + "\n"));
}
