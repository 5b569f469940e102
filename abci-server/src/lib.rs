//! What `poqd` serves ABCI and audits with: usable by other programs, for example to measure it.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

/// For RocksDB, too: the system's allocator took up to a third of the time of a block (ADR 22).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

mod metrics;
pub mod reference;
pub mod transport;
