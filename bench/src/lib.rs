//! Functions shared by the benchmarks: CPU clocks, signatures alone, and figures. `work.rs` uses the
//! tests' chain, so the benchmarks include it.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

pub mod figures;
pub mod signatures;

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

/// CPU time of a piece of work.
#[derive(Clone, Copy, Debug, Default)]
pub struct Cpu {
    /// In the thread that began it.
    pub here: Duration,
    /// In all other threads of the process meanwhile.
    pub elsewhere: Duration,
}

impl Cpu {
    /// Measures `work`.
    ///
    /// # Errors
    /// If the system has no CPU clocks.
    pub fn of<T>(work: impl FnOnce() -> T) -> nix::Result<(T, Self)> {
        let (process, thread) = (process_cpu()?, thread_cpu()?);
        let done = work();
        let here = thread_cpu()? - thread;
        let elsewhere = (process_cpu()? - process).saturating_sub(here);
        Ok((done, Self { here, elsewhere }))
    }

    /// CPU time of all threads.
    pub fn whole(&self) -> Duration {
        self.here + self.elsewhere
    }
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
