//! `poqd query bank` and `poqd query auth`.

use cosmos_sdk_proto::cosmos::bank::v1beta1::{
    QueryAllBalancesRequest, QueryAllBalancesResponse, QueryBalanceRequest, QueryBalanceResponse,
    QuerySupplyOfRequest, QuerySupplyOfResponse, QueryTotalSupplyRequest, QueryTotalSupplyResponse,
};

use super::Node;

/// Commands of `query bank`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Bank {
    /// All balances of an account.
    Balances {
        /// Address of the account.
        address: String,
    },
    /// Balance of an account in one denom.
    Balance {
        /// Address of the account.
        address: String,
        /// Denom, for example upoq.
        denom: String,
    },
    /// Supply of all denoms, or of one.
    Total {
        /// Denom, for example upoq.
        #[arg(long)]
        denom: Option<String>,
    },
}

/// Commands of `query auth`.
#[derive(Debug, clap::Subcommand)]
pub(super) enum Auth {
    /// Number, sequence and public key of an account.
    Account {
        /// Address of the account.
        address: String,
    },
}

impl Bank {
    pub(super) async fn run(self, node: &Node) -> anyhow::Result<()> {
        const BANK: &str = "/cosmos.bank.v1beta1.Query";
        match self {
            Self::Balances { address } => {
                let request = QueryAllBalancesRequest {
                    address,
                    ..Default::default()
                };
                let path = format!("{BANK}/AllBalances");
                node.ask_sdk::<_, QueryAllBalancesResponse>(&path, &request)
                    .await
            }
            Self::Balance { address, denom } => {
                let request = QueryBalanceRequest { address, denom };
                let path = format!("{BANK}/Balance");
                node.ask_sdk::<_, QueryBalanceResponse>(&path, &request)
                    .await
            }
            Self::Total { denom: Some(denom) } => {
                let path = format!("{BANK}/SupplyOf");
                let request = QuerySupplyOfRequest { denom };
                node.ask_sdk::<_, QuerySupplyOfResponse>(&path, &request)
                    .await
            }
            Self::Total { denom: None } => {
                let path = format!("{BANK}/TotalSupply");
                let request = QueryTotalSupplyRequest::default();
                node.ask_sdk::<_, QueryTotalSupplyResponse>(&path, &request)
                    .await
            }
        }
    }
}

impl Auth {
    pub(super) async fn run(self, node: &Node) -> anyhow::Result<()> {
        match self {
            Self::Account { address } => node.print(&node.client.account(&address).await?),
        }
    }
}
