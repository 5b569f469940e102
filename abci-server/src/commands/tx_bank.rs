//! `poqd tx bank`.

use cosmos_sdk_proto::cosmos::bank::v1beta1::MsgSend;
use poq_client::any;

use super::tx::Account;
use crate::coin::Coins;

/// Commands of `tx bank`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Bank {
    /// Send coins to an account.
    Send {
        /// Address of the receiver.
        to: String,
        /// What to send, for example 1000upoq, separated by commas.
        amount: Coins,
    },
}

impl Bank {
    pub(super) async fn run(self, account: &Account) -> anyhow::Result<()> {
        match self {
            Self::Send { to, amount } => {
                let message = MsgSend {
                    from_address: account.address().to_owned(),
                    to_address: to,
                    amount: amount.0.into_iter().map(Into::into).collect(),
                };
                let outcome = account.send(any(&message)).await?;
                Ok(account.format.print(&outcome)?)
            }
        }
    }
}
