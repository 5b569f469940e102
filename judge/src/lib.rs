//! The quality of an answer as the chain will find it, computed by anybody who has the files of the
//! registered evaluator models: validators, the node that answers, a gateway, and whoever holds a receipt.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod files;
mod panel;
mod recent;

pub use files::{Error, Judge};
pub use panel::Panel;
pub use recent::Recent;
