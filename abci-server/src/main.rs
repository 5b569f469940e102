//! `poqd`: the node daemon of the Proof of Quality chain, and its command line.

use std::process::ExitCode;

/// RocksDB uses it too: the system's allocator took up to a third of the time of a block (ADR 22).
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    poqd::run()
}
