//! `poqd tx poq`: sessions.

use poq_client::{TxOutcome, any};
use poq_proto::v1::{
    MsgCloseSessions, MsgOpenSessions, MsgOpenSessionsResponse, MsgRevealLeaves, MsgSettleSessions,
    SessionScoring,
};
use serde::Serialize;

use super::account::Account;
use super::duties::Duties;
use super::stream::{CompressedKey, compressed_key};
use super::submit::{chosen_model, response};
use crate::cli::coin::Coin;

/// Commands of sessions.
#[allow(
    clippy::enum_variant_names,
    reason = "commands are named after their messages"
)]
#[derive(Debug, clap::Subcommand)]
pub(super) enum Sessions {
    /// Open sessions with different inference nodes, which the next block draws.
    OpenSessions(OpenSessions),
    /// End the ordering in sessions of the signer; one without a node is refunded at once.
    CloseSessions {
        /// Ids of the sessions.
        #[arg(required = true)]
        ids: Vec<u64>,
    },
    /// Settle sessions whose node is the signer; free of fees.
    SettleSessions(Duties),
    /// Reveal drawn leaves of settled sessions of the signer; free of fees.
    RevealLeaves(Duties),
}

/// Flags of `open-sessions`.
#[derive(Debug, clap::Args)]
pub(super) struct OpenSessions {
    /// Id of the model; default: the only one of the chain.
    #[arg(long)]
    model: Option<String>,
    /// Number of sessions, each with another node.
    #[arg(long, default_value_t = 1)]
    nodes: u32,
    /// Most that each session may cost, for example 4000000upoq; what is not spent comes back.
    #[arg(long)]
    escrow: Coin,
    /// Key that signs the vouchers: 66 hex digits, as `poqd keys show` prints them. It orders up to the
    /// escrow, so do not use the key of an account.
    #[arg(long, value_name = "HEX", value_parser = compressed_key)]
    session_key: CompressedKey,
    /// Blocks for which the sessions take orders.
    #[arg(long)]
    blocks: u64,
    /// Which answers are scored.
    #[arg(long, value_enum, default_value_t = Scoring::Sampled)]
    scoring: Scoring,
}

/// Value of `--scoring`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Scoring {
    /// A random sample in proportion to their prices.
    Sampled,
    /// All of them.
    All,
}

impl From<Scoring> for i32 {
    fn from(scoring: Scoring) -> Self {
        match scoring {
            Scoring::Sampled => SessionScoring::Sampled.into(),
            Scoring::All => SessionScoring::All.into(),
        }
    }
}

/// The result of an opening.
#[derive(Serialize)]
struct Opened {
    /// Ids of the sessions, which follow each other.
    sessions: Vec<u64>,
    #[serde(flatten)]
    outcome: TxOutcome,
}

impl Sessions {
    pub(super) async fn run(self, account: &Account) -> anyhow::Result<()> {
        let signer = account.address().to_owned();
        match self {
            Self::OpenSessions(command) => command.run(account).await,
            Self::CloseSessions { ids } => {
                let message = any(&MsgCloseSessions {
                    user: signer,
                    sessions: ids,
                });
                account.execute(message).await
            }
            Self::SettleSessions(duties) => {
                let message = any(&MsgSettleSessions {
                    operator: signer,
                    ..duties.read()?
                });
                account.execute_duty(message).await
            }
            Self::RevealLeaves(duties) => {
                let message = any(&MsgRevealLeaves {
                    operator: signer,
                    ..duties.read()?
                });
                account.execute_duty(message).await
            }
        }
    }
}

impl OpenSessions {
    async fn run(self, account: &Account) -> anyhow::Result<()> {
        let model = chosen_model(&account.client, self.model.as_deref()).await?;
        let message = any(&MsgOpenSessions {
            user: account.address().to_owned(),
            model: model.id,
            nodes: self.nodes,
            escrow: account.base_units(&self.escrow)?,
            session_key: self.session_key.0,
            blocks: self.blocks,
            scoring: self.scoring.into(),
        });
        let Some(outcome) = account.send(message).await? else {
            return Ok(());
        };
        let first = response::<MsgOpenSessionsResponse>(&outcome)?.first_session;
        let next = first.saturating_add(self.nodes.into());
        Ok(account.format.print(&Opened {
            sessions: (first..next).collect(),
            outcome,
        })?)
    }
}
