//! What `poqd` serves ABCI with: usable by other programs, for example to measure it.

mod metrics;
pub mod transport;
