use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::prctl;
use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{sleep, timeout};

use crate::{Error, Result};

/// Number of log lines in the error of a crashed process.
const TAIL_LINES: usize = 20;

/// Pause between two checks of a killed process.
const PAUSE: Duration = Duration::from_millis(10);

/// A process of the network and its log.
///
/// It runs in its own process group, so that Ctrl-C reaches only the runner, which stops its processes in
/// order. It gets SIGTERM if the runner dies, and SIGKILL when dropped.
#[derive(Debug)]
pub struct Process {
    name: String,
    log: PathBuf,
    pid: Pid,
    child: Child,
}

impl Process {
    /// Starts `command` and appends its output to `log`.
    ///
    /// The calling thread must live as long as the process: Linux signals the child when the thread that
    /// created it ends.
    #[allow(unsafe_code, reason = "SAFETY says why it is sound")]
    pub fn start(name: &str, mut command: Command, log: &Path) -> Result<Self> {
        let failed = |source| Error::Start {
            name: name.into(),
            source,
        };
        let output = OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)
            .map_err(Error::file(log))?;
        command
            .stdin(Stdio::null())
            .stdout(output.try_clone().map_err(failed)?)
            .stderr(output)
            .process_group(0)
            .kill_on_drop(true);
        let runner = Pid::this();
        // SAFETY: between fork and exec only the system calls prctl and getppid are made.
        unsafe {
            command.pre_exec(move || {
                prctl::set_pdeathsig(Signal::SIGTERM)?;
                // The runner may have died before the line above.
                if Pid::parent() == runner {
                    Ok(())
                } else {
                    Err(Errno::ESRCH.into())
                }
            });
        }
        let child = command.spawn().map_err(failed)?;
        // Only a child that has been waited for has no id.
        let pid = child.id().and_then(|id| i32::try_from(id).ok());
        let pid = pid.ok_or_else(|| failed(Errno::ESRCH.into()))?;
        Ok(Self {
            name: name.into(),
            log: log.into(),
            pid: Pid::from_raw(pid),
            child,
        })
    }

    /// Its name, for example `node2` or `evaluator-1`.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The file with its output.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// Its process id and those of the processes that it started.
    pub fn pids(&self) -> Vec<i32> {
        let pid = self.pid.as_raw();
        let mut pids = vec![pid];
        let tasks = fs::read_dir(format!("/proc/{pid}/task"));
        for task in tasks.into_iter().flatten().flatten() {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            pids.extend(
                children
                    .split_whitespace()
                    .filter_map(|pid| pid.parse::<i32>().ok()),
            );
        }
        pids
    }

    /// Returns [`Error::Crashed`] if it ended, because no process ends unasked.
    pub fn check(&mut self) -> Result<()> {
        match self.child.try_wait().map_err(self.control())? {
            None => Ok(()),
            Some(status) => Err(self.crashed(status)),
        }
    }

    /// Asks it to stop, and kills it after `grace`. Does nothing if it has ended.
    pub async fn stop(&mut self, grace: Duration) -> Result<()> {
        self.terminate()?;
        if timeout(grace, self.child.wait()).await.is_err() {
            tracing::warn!("{} did not stop within {} s", self.name, grace.as_secs());
            self.kill().await?;
        }
        Ok(())
    }

    /// Sends SIGTERM without waiting.
    pub fn terminate(&mut self) -> Result<()> {
        if self.child.try_wait().map_err(self.control())?.is_some() {
            return Ok(());
        }
        signal::kill(self.pid, Signal::SIGTERM).map_err(|error| self.control()(error.into()))
    }

    /// Kills it and every process that it started with SIGKILL, and waits until they are dead and have
    /// released their files and ports.
    pub async fn kill(&mut self) -> Result<()> {
        let pids = self.pids();
        for pid in &pids {
            match signal::kill(Pid::from_raw(*pid), Signal::SIGKILL) {
                Ok(()) | Err(Errno::ESRCH) => {}
                Err(error) => return Err(self.control()(error.into())),
            }
        }
        self.child.wait().await.map_err(self.control())?;
        for pid in pids {
            while is_running(pid) {
                sleep(PAUSE).await;
            }
        }
        Ok(())
    }

    fn crashed(&self, status: ExitStatus) -> Error {
        let tail = tail(&self.log, TAIL_LINES).unwrap_or_else(|error| error.to_string());
        Error::Crashed {
            name: self.name.clone(),
            status,
            log: self.log.clone(),
            tail,
        }
    }

    fn control(&self) -> impl FnOnce(std::io::Error) -> Error {
        let name = self.name.clone();
        move |source| Error::Control { name, source }
    }
}

/// The last lines of a text file.
fn tail(path: &Path, lines: usize) -> Result<String> {
    let file = File::open(path).map_err(Error::file(path))?;
    let mut last = VecDeque::with_capacity(lines);
    for line in BufReader::new(file).split(b'\n') {
        if last.len() == lines {
            last.pop_front();
        }
        let line = line.map_err(Error::file(path))?;
        last.push_back(format!("  | {}", String::from_utf8_lossy(&line)));
    }
    Ok(Vec::from(last).join("\n"))
}

/// Runs a program to its end and returns its stdout.
pub(crate) async fn output(name: &str, command: &mut Command) -> Result<Vec<u8>> {
    let output = command
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|source| Error::Start {
            name: name.into(),
            source,
        })?;
    if output.status.success() {
        return Ok(output.stdout);
    }
    Err(Error::Failed {
        name: name.into(),
        status: output.status,
        output: String::from_utf8_lossy(&output.stderr).trim_end().into(),
    })
}

/// Whether a process runs. A zombie does not.
pub fn is_running(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> Command {
        let mut command = Command::new("sh");
        command.arg("-c").arg(script);
        command
    }

    #[tokio::test]
    async fn a_crash_is_told_with_the_end_of_the_log() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("node1.log");
        let mut process =
            Process::start("node1", sh("seq 30; echo 'no such key' >&2; exit 3"), &log).unwrap();
        process.child.wait().await.unwrap();
        let error = process.check().unwrap_err().to_string();
        assert!(error.contains("node1 stopped (exit status: 3)"), "{error}");
        assert!(error.ends_with("| 30\n  | no such key"), "{error}");
        assert!(!error.contains("| 11\n"), "{error}");
    }

    #[tokio::test]
    async fn a_process_that_ignores_sigterm_is_killed() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let script = "trap '' TERM; echo ready; while :; do sleep 0.1; done";
        let mut process = Process::start("stubborn", sh(script), &log).unwrap();
        while fs::read_to_string(&log).unwrap().is_empty() {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        process.check().unwrap();
        process.stop(Duration::from_millis(200)).await.unwrap();
        assert!(process.check().is_err());
    }

    #[tokio::test]
    async fn kill_reaches_the_children() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let mut process = Process::start("parent", sh("sleep 600 & wait"), &log).unwrap();
        while process.pids().len() < 2 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        let child = Pid::from_raw(process.pids()[1]);
        process.kill().await.unwrap();
        assert!(!is_running(child.as_raw()));
    }
}
