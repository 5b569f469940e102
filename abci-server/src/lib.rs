//! What `poqd` serves ABCI and audits with: usable by other programs, for example to measure it.

mod metrics;
pub mod reference;
pub mod transport;
