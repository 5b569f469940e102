//! The client of a Proof of Quality chain: keys, signing, broadcasting with sequence handling,
//! typed queries, proofs, and following the chain by height.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

// Test code shared with other crates refers to this crate by its external name.
#[cfg(test)]
extern crate self as poq_client;

mod client;
pub mod digest;
pub mod durable;
mod error;
#[cfg(test)]
mod fake_node;
pub mod follow;
mod inclusion;
pub mod json;
mod key;
pub mod keyring;
mod local;
mod multisig;
pub mod network;
pub mod proof;
mod query;
pub mod receipt;
mod rpc;
mod sender;
pub mod session;
pub mod tx;
mod types;

pub use client::{Answer, Client};
pub use cosmos_sdk_proto::Any;
pub use error::{Error, Result, found};
pub use follow::Follower;
pub use key::{HD_PATH, Key, Mnemonic, address_of, is_compressed_key, is_signature, parse_address};
pub use local::{cache, machine};
pub use multisig::{Multisig, PartialSignature};
pub use query::Account;
pub use sender::{Fee, Sender, TxOptions};
pub use tendermint_rpc::Order;
pub use tx::any;
pub use types::{Attribute, BlockOutcome, Event, Status, TxHash, TxOutcome, TxPage};
