//! The command line.

use std::path::PathBuf;

use clap::{Parser, Subcommand};
use poq_client::logging;

use crate::commands::{init, keys, query, start, status, testnet, tx, version};
use crate::home::{Home, default_home};
use crate::output::Format;
use crate::settings::ClientSettings;

/// Node daemon and command line of the Proof of Quality chain.
#[derive(Debug, Parser)]
#[command(name = "poqd", version, max_term_width = 100)]
pub struct Cli {
    /// Folder of settings, keys and data.
    #[arg(long, global = true, env = "POQD_HOME", default_value_os_t = default_home())]
    home: PathBuf,
    /// Form of the log on the standard error output: text or json. RUST_LOG selects what is in it.
    #[arg(long, global = true, default_value_t)]
    pub log_format: logging::Format,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Create a node's home: keys, settings and genesis.
    Init(init::Init),
    /// Run the node: serve the application, and run CometBFT if asked to.
    Start(start::Start),
    /// Manage keys.
    Keys(keys::Keys),
    /// Show what a node says about itself.
    Status(status::Status),
    /// Send a transaction and wait for its result.
    Tx(Box<tx::Tx>),
    /// Ask a node about the chain.
    #[command(visible_alias = "q")]
    Query(query::Query),
    /// Make networks for tests.
    Testnet(testnet::Testnet),
    /// Show the versions of this program and of what it speaks.
    Version(version::Version),
}

impl Cli {
    /// Runs the command.
    ///
    /// # Errors
    /// Its failure, for the user.
    pub fn run(self) -> anyhow::Result<()> {
        let home = Home::new(self.home);
        match self.command {
            Command::Init(command) => command.run(&home),
            Command::Start(command) => command.run(&home),
            Command::Keys(command) => command.run(&home),
            Command::Status(command) => command.run(&home),
            Command::Tx(command) => command.run(&home),
            Command::Query(command) => command.run(&home),
            Command::Testnet(command) => command.run(),
            Command::Version(command) => command.run(),
        }
    }

    /// How a failure is printed: as results are.
    pub fn error_format(&self) -> Format {
        let flag = match &self.command {
            Command::Init(command) => command.output,
            Command::Start(_) => None,
            Command::Keys(command) => command.output(),
            Command::Status(command) => command.node.output,
            Command::Tx(command) => command.output(),
            Command::Query(command) => command.output(),
            Command::Testnet(command) => command.output(),
            Command::Version(command) => command.output,
        };
        flag.or_else(|| {
            let settings = ClientSettings::load(&Home::new(&self.home));
            settings.map(|settings| settings.output).ok()
        })
        .unwrap_or_default()
    }
}
