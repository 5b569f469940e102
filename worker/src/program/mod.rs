//! What every program of the chain has, the workers and others: logs, results and failures, metrics,
//! an HTTP server that no client can hold up, signals, the cache and digests.

pub mod cache;
pub mod digest;
mod failure;
pub mod http_server;
pub mod logging;
mod machine;
pub mod metrics;
mod output;
mod signals;
pub mod terminal;

pub use failure::Failure;
pub use machine::machine;
pub use output::{Output, OutputArg, exit, table};
pub use signals::shutdown_on_signals;
