//! CPU time of the processes of a network.

use std::fs;
use std::time::Duration;

use nix::time::{clock_getcpuclockid, clock_gettime};
use nix::unistd::Pid;
use serde::Serialize;

/// Processes by kind.
pub(crate) struct Processes {
    cometbft: Vec<i32>,
    application: Vec<i32>,
}

/// CPU time, or the number of busy processors.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Cpu {
    /// CometBFT, including a built-in application.
    pub cometbft: f64,
    /// The application's processes.
    pub application: f64,
    /// This program.
    pub load: f64,
}

impl Processes {
    /// Sorts processes by the names of their programs.
    pub(crate) fn new(pids: impl IntoIterator<Item = i32>) -> Self {
        let is_cometbft = |pid: &i32| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            name.trim_end() == "cometbft"
        };
        let (cometbft, application) = pids.into_iter().partition(is_cometbft);
        Self {
            cometbft,
            application,
        }
    }

    /// CPU time until now, seconds.
    ///
    /// # Errors
    /// If a process has ended.
    pub(crate) fn cpu(&self) -> nix::Result<Cpu> {
        Ok(Cpu {
            cometbft: seconds(&self.cometbft)?,
            application: seconds(&self.application)?,
            load: poq_bench::process_cpu()?.as_secs_f64(),
        })
    }
}

impl Cpu {
    /// The average number of busy processors since `before`.
    pub(crate) fn busy_since(self, before: Self, time: Duration) -> Self {
        let share = |now: f64, before: f64| (now - before) / time.as_secs_f64();
        Self {
            cometbft: share(self.cometbft, before.cometbft),
            application: share(self.application, before.application),
            load: share(self.load, before.load),
        }
    }
}

fn seconds(pids: &[i32]) -> nix::Result<f64> {
    let times = pids.iter().map(|pid| {
        let clock = clock_getcpuclockid(Pid::from_raw(*pid))?;
        Ok(Duration::from(clock_gettime(clock)?).as_secs_f64())
    });
    times.sum()
}
