//! What the benchmarks share: clocks of CPU time, and the line that says where figures come from.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

pub mod figures;

use std::time::Duration;

// With the allocator of poqd.
use poq_abci as _;

use nix::time::{ClockId, clock_gettime};

/// CPU time of the calling thread, in the kernel and outside, since it began.
///
/// # Errors
/// If the system has no such clock.
pub fn thread_cpu() -> nix::Result<Duration> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from)
}

/// CPU time of all threads of this process since it began.
///
/// # Errors
/// If the system has no such clock.
pub fn process_cpu() -> nix::Result<Duration> {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from)
}

/// Has one thread do what the application otherwise spreads over all processors, so that nobody
/// looks for work that others have, which takes CPU time.
///
/// # Errors
/// If the application was at work before.
pub fn use_one_processor() -> Result<(), rayon::ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build_global()
}
