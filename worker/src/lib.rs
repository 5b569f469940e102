//! The chassis of the inference node and the evaluator. [`Worker`] defines the parts that differ;
//! [`run()`] runs a worker. [`program`] is shared with the chain's other programs.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

mod batches;
mod chain;
pub mod commands;
mod duties;
mod earnings;
mod error;
#[cfg(test)]
#[path = "../tests/fake_chain/mod.rs"]
mod fake_chain;
#[cfg(test)]
#[path = "../../client/src/fake_node.rs"]
mod fake_node;
mod health;
mod home;
pub mod journal;
mod params;
pub mod program;
mod run;
mod slots;
mod submit;
mod watch;
mod worker;

pub use batches::batches;
pub use chain::Chain;
pub use duties::{Key, Seat, Step};
pub use error::{Error, Result};
pub use health::Health;
pub use home::{ChainConfig, HomeLock, WorkerHome, default_home, fill, quoted};
pub use journal::Journal;
pub use run::{Settings, run};
pub use slots::{Asker, Full, Queue, Slot, Slots, Waiting};
pub use worker::{Job, Undone, Worker};
