//! Helpers that run `poqd`.

use std::ffi::OsStr;
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// Time limit of every wait; the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(90);

/// The program with these words, separated by spaces, without the user's own settings.
pub(crate) fn poqd(words: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_poqd"));
    command.args(words.split_whitespace());
    for name in ["POQD_HOME", "POQ_KEYRING_PASSPHRASE", "RUST_LOG"] {
        command.env_remove(name);
    }
    command
}

pub(crate) trait Run {
    fn finish(&mut self) -> Output;
    /// Runs it successfully and returns its JSON output.
    fn json(&mut self) -> Value;
    /// Runs it, expects a failure, and returns its standard error.
    fn failure(&mut self) -> String;
}

impl Run for Command {
    fn finish(&mut self) -> Output {
        self.stdin(Stdio::null()).output().unwrap()
    }

    fn json(&mut self) -> Value {
        let output = self.args(["--output", "json"]).finish();
        assert!(
            output.status.success(),
            "{self:?}: {}",
            text(&output.stderr)
        );
        serde_json::from_slice(&output.stdout).unwrap()
    }

    fn failure(&mut self) -> String {
        let output = self.finish();
        // 2 means an invalid command line.
        assert!(
            matches!(output.status.code(), Some(1 | 3..=6)),
            "{self:?}: {}",
            text(&output.stderr)
        );
        assert_eq!(text(&output.stdout), "", "a failure has no result");
        text(&output.stderr)
    }
}

/// Runs a command with this standard input.
pub(crate) fn feed(command: &mut Command, input: &str) -> Output {
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(input.as_bytes())
        .unwrap();
    child.wait_with_output().unwrap()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// A 64-bit integer, which is a string in JSON.
pub(crate) fn number(value: &Value) -> u64 {
    let text = value.as_str();
    let number = text.and_then(|text| text.parse().ok());
    number.unwrap_or_else(|| panic!("{value} is not an integer in text"))
}

/// Waits until `look` finds something.
pub(crate) fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(started.elapsed() < PATIENCE, "{what} did not happen");
        sleep(Duration::from_millis(100));
    }
}

/// The files of a network of one validator.
pub(crate) struct Network {
    folder: TempDir,
    pub description: Value,
}

impl Network {
    pub(crate) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let template = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../testnet/config/genesis-template.json"
        );
        let description =
            poqd("testnet init-files --validators 1 --inference-nodes 1 --evaluators 5")
                .args(["--timeout-commit", "100ms", "--genesis-template", template])
                .args(["--base-port", &free_ports().to_string(), "--output-dir"])
                .arg(folder.path())
                .json();
        Self {
            folder,
            description,
        }
    }

    pub(crate) fn path(&self) -> &Path {
        self.folder.path()
    }

    pub(crate) fn node(&self) -> PathBuf {
        self.path().join("node1")
    }

    /// A command of the user's home.
    pub(crate) fn user(&self, words: &str) -> Command {
        let mut command = poqd("--home");
        command
            .arg(self.path().join("user"))
            .args(words.split_whitespace());
        command
    }

    /// A string of the description.
    pub(crate) fn get(&self, pointer: &str) -> String {
        let value = self.description.pointer(pointer);
        value
            .and_then(Value::as_str)
            .unwrap_or_else(|| panic!("no {pointer}"))
            .to_owned()
    }

    /// Starts the node with these flags; it need not live.
    pub(crate) fn spawn(&self, flags: &[&OsStr]) -> Running {
        let log = self.path().join("poqd.log");
        let file = std::fs::File::create(&log).unwrap();
        let child = poqd("start --with-comet --home")
            .arg(self.node())
            .args(flags)
            .stdin(Stdio::null())
            .stderr(file)
            .spawn()
            .unwrap();
        Running { child, log }
    }

    /// Starts the node and waits for the first blocks.
    pub(crate) fn start(&self) -> Running {
        self.start_with(&[])
    }

    /// Like [`Self::start`], with these flags.
    pub(crate) fn start_with(&self, flags: &[&OsStr]) -> Running {
        let mut running = self.spawn(flags);
        eventually("the second block", || {
            running.assert_lives();
            let output = self.user("status --output json").finish();
            let status: Value = serde_json::from_slice(&output.stdout).ok()?;
            (number(&status["latest_height"]) >= 2).then_some(())
        });
        running
    }
}

/// A running node; killed with its CometBFT when dropped.
pub(crate) struct Running {
    child: Child,
    log: PathBuf,
}

impl Running {
    pub(crate) fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap()
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// The exit status once it has ended.
    pub(crate) fn ended(&mut self) -> Option<i32> {
        let status = eventually("the end of poqd", || self.child.try_wait().unwrap());
        status.code()
    }

    /// The process id of its CometBFT.
    pub(crate) fn comet(&self) -> Pid {
        let children = format!("/proc/{0}/task/{0}/children", self.child.id());
        eventually("the start of CometBFT", || {
            let pid = std::fs::read_to_string(&children)
                .unwrap()
                .trim()
                .parse()
                .ok()?;
            Some(Pid::from_raw(pid))
        })
    }

    pub(crate) fn assert_lives(&mut self) {
        if let Some(status) = self.child.try_wait().unwrap() {
            panic!("poqd ended ({status}): {}", self.log());
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first of thirty free ports.
pub(crate) fn free_ports() -> u16 {
    let is_free = |port: u16| TcpListener::bind(("127.0.0.1", port)).is_ok();
    // Tests run in parallel, in one process and in several.
    let mut random = [0; 2];
    loop {
        getrandom(&mut random);
        let base = 10_000 + u16::from_le_bytes(random) % 600 * 30;
        if (base..base + 30).all(is_free) {
            return base;
        }
    }
}

fn getrandom(bytes: &mut [u8]) {
    use std::io::Read;
    std::fs::File::open("/dev/urandom")
        .unwrap()
        .read_exact(bytes)
        .unwrap();
}
