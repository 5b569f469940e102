//! CometBFT as a child process that never outlives this one.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, getppid};
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tracing::{info, warn};

use super::{Binary, Error};
use crate::home::Home;
use crate::transport::Address;

/// Time that CometBFT has to stop before it is killed.
const STOP_TIMEOUT: Duration = Duration::from_secs(20);
/// Time to read the rest of its output after its end.
const DRAIN_TIMEOUT: Duration = Duration::from_secs(2);
/// Number of last lines of output kept for the error message.
const KEPT_LINES: usize = 20;

/// CometBFT's log line after a panic of its consensus. The process then stays alive without taking part
/// in blocks.
const CONSENSUS_FAILURE: &str = "CONSENSUS FAILURE!!!";

/// The destination of CometBFT's log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Log {
    /// Standard error.
    Stderr,
    /// A file, to which it is appended.
    File(PathBuf),
}

/// A running CometBFT. Dropping it kills it.
pub(crate) struct Comet {
    child: Child,
    output: Arc<Mutex<Output>>,
    failed: Arc<Notify>,
    forwarders: Vec<JoinHandle<()>>,
}

/// How CometBFT ended without being stopped.
#[derive(Debug)]
pub(crate) enum End {
    /// The process exited.
    Exited(ExitStatus),
    /// Its consensus failed, but the process stayed alive.
    ConsensusFailed,
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited(status) => write!(f, "CometBFT exited unexpectedly ({status})"),
            Self::ConsensusFailed => f.write_str("CometBFT's consensus failed"),
        }
    }
}

/// Forwards the child's output and keeps its last lines.
struct Output {
    sink: Box<dyn Write + Send>,
    last: VecDeque<String>,
    failed: Arc<Notify>,
}

impl Comet {
    /// Starts CometBFT on `home`, with its application at `proxy_app`. Must be called from the main
    /// thread: the kernel kills the child when the thread that started it ends.
    ///
    /// # Errors
    /// [`Error::Run`], or [`Error::Log`].
    pub(crate) fn start(
        binary: &Binary,
        home: &Home,
        proxy_app: &Address,
        log: &Log,
    ) -> Result<Self, Error> {
        let failed = Arc::new(Notify::new());
        let output = Arc::new(Mutex::new(Output {
            sink: open(log)?,
            last: VecDeque::new(),
            failed: Arc::clone(&failed),
        }));
        let mut command = Command::new(binary.path());
        command
            .arg("start")
            .arg("--home")
            .arg(home.path())
            .arg("--proxy_app")
            .arg(proxy_app.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            // Ctrl-C must reach only this process, which stops CometBFT in order.
            .process_group(0)
            .kill_on_drop(true);
        die_with_parent(&mut command);
        let mut child = command.spawn().map_err(|source| Error::Run {
            path: binary.path().to_owned(),
            source,
        })?;
        let mut forwarders = Vec::new();
        if let Some(stdout) = child.stdout.take() {
            forwarders.push(tokio::spawn(forward(stdout, Arc::clone(&output))));
        }
        if let Some(stderr) = child.stderr.take() {
            forwarders.push(tokio::spawn(forward(stderr, Arc::clone(&output))));
        }
        info!(
            version = binary.version(),
            pid = child.id(),
            "CometBFT started"
        );
        Ok(Self {
            child,
            output,
            failed,
            forwarders,
        })
    }

    /// Waits until CometBFT exits or its consensus fails. Cancel by dropping.
    ///
    /// # Errors
    /// I/O errors.
    pub(crate) async fn ended(&mut self) -> io::Result<End> {
        tokio::select! {
            status = self.child.wait() => status.map(End::Exited),
            () = self.failed.notified() => Ok(End::ConsensusFailed),
        }
    }

    /// Returns the last lines of its output after its end.
    pub(crate) async fn last_lines(&mut self) -> String {
        for forwarder in self.forwarders.drain(..) {
            let _ = timeout(DRAIN_TIMEOUT, forwarder).await;
        }
        let output = self.output.lock().unwrap_or_else(PoisonError::into_inner);
        Vec::from_iter(output.last.iter().map(String::as_str)).join("\n")
    }

    /// Asks CometBFT to stop, and kills it if it does not.
    ///
    /// # Errors
    /// I/O errors.
    pub(crate) async fn stop(&mut self) -> io::Result<()> {
        let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) else {
            return Ok(());
        };
        kill(Pid::from_raw(pid), Signal::SIGTERM)?;
        match timeout(STOP_TIMEOUT, self.child.wait()).await {
            Ok(status) => {
                info!("CometBFT stopped ({})", status?);
                Ok(())
            }
            Err(_) => {
                warn!("CometBFT did not stop within {STOP_TIMEOUT:?}; killing it");
                self.child.kill().await
            }
        }
    }
}

/// Makes the kernel kill the child when its parent ends for any reason.
#[allow(unsafe_code, reason = "SAFETY says why it is sound")]
fn die_with_parent(command: &mut Command) {
    let parent = Pid::this();
    let prepare = move || {
        set_pdeathsig(Signal::SIGKILL)?;
        // The parent may have ended before the line above.
        if getppid() == parent {
            Ok(())
        } else {
            Err(io::ErrorKind::BrokenPipe.into())
        }
    };
    // SAFETY: between fork and exec the closure makes two system calls and no allocation.
    unsafe { command.pre_exec(prepare) };
}

fn open(log: &Log) -> Result<Box<dyn Write + Send>, Error> {
    match log {
        Log::Stderr => Ok(Box::new(io::stderr())),
        Log::File(path) => Ok(Box::new(append(path)?)),
    }
}

fn append(path: &Path) -> Result<std::fs::File, Error> {
    std::fs::OpenOptions::new()
        .create(true)
        .append(true)
        .open(path)
        .map_err(|source| Error::Log {
            path: path.to_owned(),
            source,
        })
}

/// Forwards lines until the stream ends.
async fn forward(stream: impl AsyncRead + Unpin, output: Arc<Mutex<Output>>) {
    let mut stream = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        match stream.read_until(b'\n', &mut line).await {
            Ok(0) | Err(_) => return,
            Ok(_) => output
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .push(&line),
        }
    }
}

impl Output {
    fn push(&mut self, line: &[u8]) {
        // A full disk or a closed terminal must not stop CometBFT.
        let _ = self.sink.write_all(line);
        if self.last.len() == KEPT_LINES {
            self.last.pop_front();
        }
        let line = String::from_utf8_lossy(line).trim_end().to_owned();
        if line.contains(CONSENSUS_FAILURE) {
            self.failed.notify_one();
        }
        self.last.push_back(line);
    }
}
