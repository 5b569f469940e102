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

/// The number and name of the processors, and the load average of the last minute.
pub fn machine() -> String {
    let read = |path| std::fs::read_to_string(path).unwrap_or_default();
    let processors = read("/proc/cpuinfo");
    let name = processors
        .lines()
        .find_map(|line| line.strip_prefix("model name")?.split_once(": "))
        .map_or("unknown processor", |(_, name)| name);
    let count = std::thread::available_parallelism().map_or(1, usize::from);
    let loads = read("/proc/loadavg");
    let load = loads.split(' ').next().unwrap_or("unknown");
    format!("{count} x {name}, load {load}")
}
