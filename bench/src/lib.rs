//! Functions shared by the benchmarks: CPU clocks, and the line that describes the machine.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

pub mod figures;

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};

/// The same allocator as in `poqd`, whose application is measured.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// CPU time of the calling thread since its start, in the kernel and in user space.
///
/// # Errors
/// If the system has no such clock.
pub fn thread_cpu() -> nix::Result<Duration> {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(Duration::from)
}

/// CPU time of all threads of this process since its start.
///
/// # Errors
/// If the system has no such clock.
pub fn process_cpu() -> nix::Result<Duration> {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).map(Duration::from)
}

/// Limits the application's parallel work to one thread, so that no CPU time is spent on work stealing.
///
/// # Errors
/// If the application has already started its threads.
pub fn use_one_processor() -> Result<(), rayon::ThreadPoolBuildError> {
    rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build_global()
}
