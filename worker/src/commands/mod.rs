//! The commands that both workers share.

mod earnings;
mod init;
mod receipt;
mod register;
mod start;
mod status;

use poq_client::Client;
use poq_proto::v1::Role;

use crate::{ChainConfig, Result, WorkerHome};

pub use earnings::{Earnings, earnings};
pub use init::{Init, init};
pub use receipt::{VerifyReceipt, read_receipt, receipt_text, require_verified};
pub use register::{Register, register};
pub use start::{Setup, Start, start};
pub use status::status;

/// A client of a home's node, and the operator's address on its chain.
async fn operator(home: &WorkerHome, chain: &ChainConfig) -> Result<(Client, String)> {
    let client = Client::new(&chain.node)?;
    let prefix = client.params().await?.bech32_prefix;
    let operator = home.operator(chain, &prefix)?;
    Ok((client, operator))
}

/// The name of a role's program.
fn program(role: Role) -> &'static str {
    match role {
        Role::Inference => "poq-inference-node",
        _ => "poq-evaluator",
    }
}
