//! `poqd query`: the command and the functions shared by all queries.

mod answer;
mod block;
mod chain;
mod draw;
mod poq;
mod states;
mod task;

use anyhow::ensure;
use poq_client::Client;
use poq_client::tx::snake_case;
use prost::Message;
use serde::Serialize;

use super::flags::NodeFlags;
use super::runtime;
use crate::home::Home;
use crate::home::settings::ClientSettings;
use crate::home::settings::Format;

/// Commands of `query`.
#[derive(Debug, clap::Args)]
pub(super) struct Query {
    #[command(flatten)]
    node: NodeFlags,
    /// Height of the state; default: the newest.
    #[arg(long, global = true, value_parser = clap::value_parser!(u64).range(1..))]
    height: Option<u64>,
    #[command(subcommand)]
    command: QueryCommand,
}

#[derive(Debug, clap::Subcommand)]
enum QueryCommand {
    /// Balances and supply.
    #[command(subcommand)]
    Bank(chain::Bank),
    /// Accounts.
    #[command(subcommand)]
    Auth(chain::Auth),
    /// Tasks, models, nodes and parameters.
    #[command(subcommand)]
    Poq(poq::Poq),
    /// A transaction by its hash.
    Tx(block::Tx),
    /// Transactions by their events.
    Txs(block::Txs),
    /// A block, by default the newest.
    Block(block::Block),
    /// The results of a block, by default the newest.
    BlockResults(block::AtBlock),
    /// CometBFT's validator set of a block, by default the newest.
    ValidatorSet(block::AtBlock),
    /// A raw key of the state.
    Store(block::Store),
}

/// The node to query and the format of answers.
pub(super) struct Node {
    pub(super) client: Client,
    pub(super) height: Option<u64>,
    format: Format,
}

impl Query {
    /// Runs the command.
    ///
    /// # Errors
    /// Errors of the node or the application.
    pub(super) fn run(self, home: &Home) -> anyhow::Result<()> {
        let (client, format) = self.node.open(&ClientSettings::load(home)?)?;
        let node = Node {
            client,
            height: self.height,
            format,
        };
        runtime()?.block_on(async {
            match self.command {
                QueryCommand::Bank(query) => query.run(&node).await,
                QueryCommand::Auth(query) => query.run(&node).await,
                QueryCommand::Poq(query) => query.run(&node).await,
                QueryCommand::Tx(query) => query.run(&node).await,
                QueryCommand::Txs(query) => query.run(&node).await,
                QueryCommand::Block(query) => query.run(&node).await,
                QueryCommand::BlockResults(query) => query.results(&node).await,
                QueryCommand::ValidatorSet(query) => query.validators(&node).await,
                QueryCommand::Store(query) => query.run(&node).await,
            }
        })
    }

    /// Value of `--output`.
    pub(super) fn output(&self) -> Option<Format> {
        self.node.output
    }
}

impl Node {
    /// Queries the application by gRPC path and prints its whole response.
    pub(super) async fn ask<Q, R>(&self, path: &str, request: &Q) -> anyhow::Result<()>
    where
        Q: Message,
        R: Message + Default + Serialize,
    {
        self.print(&self.read::<Q, R>(path, request).await?)
    }

    async fn read<Q, R>(&self, path: &str, request: &Q) -> anyhow::Result<R>
    where
        Q: Message,
        R: Message + Default,
    {
        let answer = self.client.query(path, request, self.height).await?;
        Ok(answer.value)
    }

    /// Refuses `--height` for queries that do not read the state.
    pub(super) fn refuse_height(&self) -> anyhow::Result<()> {
        ensure!(
            self.height.is_none(),
            "--height is only for queries of the state; transactions are found at any height"
        );
        Ok(())
    }

    /// Prints a result that has its own text form.
    pub(super) fn print_told(&self, value: &impl Serialize, text: &str) -> anyhow::Result<()> {
        Ok(self.format.print_told(value, text)?)
    }

    /// Like [`Self::ask`], for types of the Cosmos SDK.
    pub(super) async fn ask_sdk<Q, R>(&self, path: &str, request: &Q) -> anyhow::Result<()>
    where
        Q: Message,
        R: Message + Default + Serialize,
    {
        let answer = self.read::<Q, R>(path, request).await?;
        let json = snake_case(serde_json::to_value(&answer)?);
        Ok(self.format.print_json(&json)?)
    }

    /// Prints a result.
    pub(super) fn print(&self, value: &impl Serialize) -> anyhow::Result<()> {
        Ok(self.format.print(value)?)
    }
}
