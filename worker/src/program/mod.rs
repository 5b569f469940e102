//! Parts that every program of the chain shares: logs, results and failures, metrics, an HTTP
//! server with limits, also by address, and signals.

pub mod callers;
mod failure;
pub mod http_server;
pub mod logging;
pub mod metrics;
mod output;
mod signals;
pub mod terminal;
pub mod tls;

pub use failure::Failure;
pub use output::{Output, OutputArg, exit, table};
pub use signals::shutdown_on_signals;
