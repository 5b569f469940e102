//! The thread that writes.

use std::path::{Path, PathBuf};
use std::thread;
use std::time::Instant;

use metrics::histogram;
use rusqlite::Connection;
use tokio::sync::{mpsc, oneshot};
use tracing::{error, warn};

use super::Error;

/// Most changes in one commit.
const TOGETHER: usize = 256;

/// Tells who waits for a change how its commit went.
type Told = Box<dyn FnOnce(Result<(), Error>) + Send>;
/// One change; makes its own savepoint.
type Change = Box<dyn FnOnce(&Connection) -> Told + Send>;

/// A handle on the thread, which ends with the handle.
pub(super) struct Writer {
    path: PathBuf,
    changes: Option<mpsc::UnboundedSender<Change>>,
    thread: Option<thread::JoinHandle<()>>,
}

impl Writer {
    /// `lives` is asked before and after each commit: if not, nothing more is written, as if the process
    /// had ended there.
    pub(super) fn start(
        connection: Connection,
        path: &Path,
        lives: impl FnMut() -> bool + Send + 'static,
    ) -> Self {
        let (changes, waiting) = mpsc::unbounded_channel();
        let path = path.to_owned();
        let shown = path.clone();
        let thread = thread::spawn(move || run(&connection, &path, waiting, lives));
        Self {
            path: shown,
            changes: Some(changes),
            thread: Some(thread),
        }
    }

    pub(super) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        let (done, outcome) = oneshot::channel();
        let path = self.path.clone();
        self.send(Box::new(move |connection| {
            let result = in_savepoint(connection, change).map_err(|error| failed(&path, &error));
            Box::new(move |committed| {
                // Who asked may have left.
                let _ = done.send(committed.and(result));
            })
        }));
        outcome.await.unwrap_or(Err(Error::Closed))
    }

    pub(super) fn note(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) {
        self.send(Box::new(move |connection| {
            let result = in_savepoint(connection, change);
            Box::new(move |committed| {
                if let Err(error) = result {
                    warn!("a note was not stored: {error}");
                } else if let Err(error) = committed {
                    warn!("a note was not stored: {error}");
                }
            })
        }));
    }

    fn send(&self, change: Change) {
        if let Some(changes) = &self.changes {
            // A closed channel drops the change, and with it the sender that the caller waits on.
            let _ = changes.send(change);
        }
    }
}

impl Drop for Writer {
    /// Waits until everything that was sent is written.
    fn drop(&mut self) {
        self.changes = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn failed(path: &Path, error: &rusqlite::Error) -> Error {
    Error::Database {
        path: path.into(),
        reason: error.to_string(),
    }
}

fn run(
    connection: &Connection,
    path: &Path,
    mut waiting: mpsc::UnboundedReceiver<Change>,
    mut lives: impl FnMut() -> bool,
) {
    while let Some(first) = waiting.blocking_recv() {
        if !lives() {
            return;
        }
        let start = Instant::now();
        let committed = commit(connection, first, &mut waiting);
        if !lives() {
            return;
        }
        histogram!("poq_gateway_commit_seconds").record(start.elapsed());
        let result = committed.result.map_err(|error| {
            error!("the database {} failed: {error}", path.display());
            failed(path, &error)
        });
        for told in committed.told {
            told(result.clone());
        }
    }
}

struct Committed {
    result: rusqlite::Result<()>,
    told: Vec<Told>,
}

/// Commits the first change and all that wait already.
fn commit(
    connection: &Connection,
    first: Change,
    waiting: &mut mpsc::UnboundedReceiver<Change>,
) -> Committed {
    let begun = connection.execute_batch("BEGIN IMMEDIATE");
    let mut told = vec![first(connection)];
    while told.len() < TOGETHER
        && let Ok(change) = waiting.try_recv()
    {
        told.push(change(connection));
    }
    let result = begun.and_then(|()| connection.execute_batch("COMMIT"));
    if result.is_err() && !connection.is_autocommit() {
        // Nothing else can be done about a failed rollback: the next BEGIN fails and says so.
        let _ = connection.execute_batch("ROLLBACK");
    }
    Committed { result, told }
}

fn in_savepoint<T>(
    connection: &Connection,
    change: impl FnOnce(&Connection) -> rusqlite::Result<T>,
) -> rusqlite::Result<T> {
    // Outside of a transaction a savepoint would commit by itself.
    if connection.is_autocommit() {
        let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ERROR);
        let reason = "no transaction could be begun".to_owned();
        return Err(rusqlite::Error::SqliteFailure(code, Some(reason)));
    }
    connection.execute_batch("SAVEPOINT change")?;
    let result = change(connection);
    let end = match &result {
        Ok(_) => "RELEASE change",
        Err(_) => "ROLLBACK TO change; RELEASE change",
    };
    connection.execute_batch(end)?;
    result
}
