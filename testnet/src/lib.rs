//! Local networks of real processes: creates their homes, runs them, asks them questions and stops them.
//! The command and the end-to-end tests share this crate.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod ask;
mod chat;
mod control;
mod error;
mod growth;
mod health;
mod installed;
mod network;
mod ordered;
mod ports;
mod process;
mod programs;
mod receipt;
mod session_receipt;
mod sessions;
mod status;
mod watch;

pub use poq_client::network::{Account, Description, Gateway, Validator, Worker};

pub use ask::{Question, Submitted};
pub use chat::{Chat, Failure, Said};
pub use control::{Control, Request, obey, request};
pub use error::{Error, Result};
pub use installed::{installed, node_js};
pub use network::{Network, Spec};
pub use ordered::{Ordered, SessionSeen, SessionStep};
pub use ports::free_range;
pub use process::{Process, is_running};
pub use programs::Programs;
pub use receipt::{EvaluatorPart, Heights, InferencePart, Milliseconds, Receipt, logits, ratio};
pub use session_receipt::SessionReceipt;
pub use status::ProcessStatus;
pub use watch::{Seen, Step, Watch};

/// Time limit for a transaction to enter a block.
pub(crate) const INCLUSION: std::time::Duration = std::time::Duration::from_secs(60);
