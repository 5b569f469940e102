//! The command line.

mod deposits;
mod groups;
mod init;
mod keys;
mod nodes;
mod receipt;
mod share;
mod start;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use clap::{Args, Parser, Subcommand};
use poq_worker::program::logging::Format;
use poq_worker::program::{Output, OutputArg};
use poq_worker::{WorkerHome, commands, default_home};
use serde_json::json;

use crate::config::Config;
use crate::store::Store;

/// Gateway of a Proof of Quality chain: an OpenAI-compatible API whose answers come from the chain's
/// inference nodes, are paid by sessions, and have receipts.
#[derive(Debug, Parser)]
#[command(name = "poq-gateway", version)]
pub(crate) struct Cli {
    /// Folder of config.toml, keys and data.
    #[arg(long, global = true, env = "POQ_GATEWAY_HOME", default_value_os_t = default_home(".poq-gateway"))]
    pub home: PathBuf,
    /// Format of the log on stderr: text or json. RUST_LOG filters it.
    #[arg(long, global = true, default_value_t = Format::Text)]
    pub log_format: Format,
    /// What to do.
    #[command(subcommand)]
    command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
enum Command {
    /// Create a home with config.toml and the account's key.
    Init(Init),
    /// Serve the API until SIGINT or SIGTERM.
    Start(Start),
    /// API keys; also while the gateway runs.
    #[command(subcommand)]
    Keys(Keys),
    /// Nodes that broke the protocol; also while the gateway runs.
    #[command(subcommand)]
    Nodes(Nodes),
    /// Receipts of answers, with what proves them.
    #[command(subcommand)]
    Receipt(receipt::Receipt),
    /// Groups of keys with prepaid credit; also while the gateway runs.
    #[command(subcommand)]
    Groups(groups::Groups),
    /// Transfers to the gateway's account; also while the gateway runs.
    #[command(subcommand)]
    Deposits(deposits::Deposits),
    /// Print the version.
    Version(OutputArg),
}

/// Options of `init`.
#[derive(Debug, Args)]
struct Init {
    /// The chain and the account's key.
    #[command(flatten)]
    common: commands::Init,
    /// Where applications reach the gateway.
    #[arg(long, default_value = "127.0.0.1:8090")]
    listen: SocketAddr,
    /// Model whose sessions are opened ahead of requests; may be given several times.
    #[arg(long = "model", value_name = "MODEL")]
    models: Vec<String>,
    /// Use nodes on private addresses: for local networks only.
    #[arg(long)]
    allow_private_endpoints: bool,
    /// Folder with the files of the chain's evaluator models, to score answers here.
    #[arg(long, value_name = "DIR")]
    evaluator_models: Option<PathBuf>,
}

/// Options of `start`.
#[derive(Debug, Args)]
struct Start {
    /// Where to serve Prometheus metrics besides the API's own address; as in config.toml unless given.
    #[arg(long, value_name = "HOST:PORT")]
    metrics_address: Option<SocketAddr>,
    /// Use nodes on private addresses: for local networks only.
    #[arg(long)]
    allow_private_endpoints: bool,
}

/// Commands of `keys`.
#[derive(Debug, Subcommand)]
enum Keys {
    /// Create a key, which is shown once.
    Create(CreateKey),
    /// List all keys.
    List(OutputArg),
    /// Show one key: its group, limits, and what it spent.
    Show(ShowKey),
    /// Revoke keys at once.
    Revoke(RevokeKey),
    /// Print all keys as JSON, with digests in place of secrets, for `keys import` on another gateway.
    Export,
    /// Take the keys that another gateway exported: new ones, and changes of known ones.
    Import(ImportKeys),
}

/// Options of `keys create`.
#[derive(Debug, Args)]
struct CreateKey {
    /// Name to recognise the key by.
    #[arg(long)]
    name: String,
    /// Group whose credit pays for its requests. Default: none, so that nothing is prepaid.
    #[arg(long, value_name = "NAME")]
    group: Option<String>,
    /// Model that it may use; may be given several times. Default: all.
    #[arg(long = "model", value_name = "MODEL")]
    models: Vec<String>,
    /// Most requests in a minute.
    #[arg(long)]
    requests_per_minute: Option<u32>,
    /// Most answers in progress at once.
    #[arg(long)]
    streams: Option<u32>,
    /// Most base units in a day.
    #[arg(long)]
    budget_day: Option<u64>,
    /// Most base units in 30 days.
    #[arg(long)]
    budget_month: Option<u64>,
    /// Most base units for one request.
    #[arg(long)]
    max_price: Option<u64>,
    /// Days until it ends.
    #[arg(long)]
    days: Option<u32>,
    /// Form of the result.
    #[command(flatten)]
    output: OutputArg,
}

/// Options of `keys show`.
#[derive(Debug, Args)]
struct ShowKey {
    /// Name of the key, or its first characters as listed.
    key: String,
    /// Form of the result.
    #[command(flatten)]
    output: OutputArg,
}

/// Options of `keys import`.
#[derive(Debug, Args)]
struct ImportKeys {
    /// File that `keys export` printed; `-` reads it from stdin.
    file: PathBuf,
    /// Form of the result.
    #[command(flatten)]
    output: OutputArg,
}

/// Options of `keys revoke`.
#[derive(Debug, Args)]
struct RevokeKey {
    /// Name of the key, or its first characters as listed.
    key: String,
    /// Form of the result.
    #[command(flatten)]
    output: OutputArg,
}

/// Commands of `nodes`.
#[derive(Debug, Subcommand)]
enum Nodes {
    /// List the nodes that are not used because they broke the protocol.
    List(OutputArg),
    /// Use a node again.
    Release(ReleaseNode),
}

/// Options of `nodes release`.
#[derive(Debug, Args)]
struct ReleaseNode {
    /// Address of the node's operator.
    operator: String,
    /// Form of the result.
    #[command(flatten)]
    output: OutputArg,
}

impl Cli {
    /// How results and failures are printed.
    pub(crate) fn output(&self) -> Output {
        match &self.command {
            Command::Init(options) => options.common.output.output,
            Command::Start(_) | Command::Keys(Keys::Export) => Output::Text,
            Command::Receipt(command) => command.output(),
            Command::Keys(Keys::Create(options)) => options.output.output,
            Command::Keys(Keys::Revoke(options)) => options.output.output,
            Command::Keys(Keys::Show(options)) => options.output.output,
            Command::Keys(Keys::Import(options)) => options.output.output,
            Command::Nodes(Nodes::Release(options)) => options.output.output,
            Command::Keys(Keys::List(options))
            | Command::Nodes(Nodes::List(options))
            | Command::Version(options) => options.output,
            Command::Groups(command) => command.output(),
            Command::Deposits(command) => command.output(),
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// Failures with their remedies, for the user.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        match self.command {
            Command::Init(options) => init::init(&self.home, options).await,
            Command::Start(options) => start::start(&self.home, &options).await,
            Command::Keys(Keys::Create(options)) => keys::create(&self.home, options).await,
            Command::Keys(Keys::List(options)) => keys::list(&self.home, options.output),
            Command::Keys(Keys::Show(options)) => keys::show(&self.home, &options),
            Command::Keys(Keys::Revoke(options)) => keys::revoke(&self.home, options).await,
            Command::Nodes(Nodes::List(options)) => nodes::list(&self.home, options.output),
            Command::Nodes(Nodes::Release(options)) => nodes::release(&self.home, options).await,
            Command::Receipt(command) => command.run(&self.home).await,
            Command::Keys(Keys::Export) => share::export(&self.home),
            Command::Keys(Keys::Import(options)) => share::import(&self.home, options).await,
            Command::Groups(command) => command.run(&self.home).await,
            Command::Deposits(command) => command.run(&self.home).await,
            Command::Version(options) => {
                let version = env!("CARGO_PKG_VERSION");
                let value = json!({ "name": env!("CARGO_BIN_NAME"), "version": version });
                Ok(options.output.print(&value, version)?)
            }
        }
    }
}

/// Home and validated settings.
fn settings(home: &Path) -> anyhow::Result<(WorkerHome, Config)> {
    let home = WorkerHome::open(home)?;
    let config: Config = home.config()?;
    config.validate().map_err(|reason| home.invalid(&reason))?;
    Ok((home, config))
}

fn store(home: &WorkerHome) -> anyhow::Result<Store> {
    Ok(Store::open(&home.data().join("gateway.db"))?)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn definition_is_sound() {
        Cli::command().debug_assert();
    }
}
