//! What a node must not forget about its sessions, in SQLite: every change is on disk before the node
//! signs what follows from it.
//!
//! One thread writes and commits together what waits. A number whose answer was not stored when the
//! process ended is void from the next start on, so no number ever has two leaves.

mod read;
mod write;

use std::fmt::Display;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;

use poq_proto::Voucher;
use poq_proto::v1;
use poq_worker::Health;
use rusqlite::{Connection, ErrorCode};
use tokio::sync::oneshot;

use super::log::Ended;

/// Kinds of rows that one version reads differently from another.
const VERSION: i64 = 1;

const SCHEMA: &str = "
CREATE TABLE IF NOT EXISTS sessions (
    chain TEXT NOT NULL,
    session INTEGER NOT NULL,
    record BLOB NOT NULL,
    voucher BLOB,
    signature BLOB,
    over INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (chain, session)
) STRICT;
CREATE TABLE IF NOT EXISTS orders (
    chain TEXT NOT NULL,
    session INTEGER NOT NULL,
    number INTEGER NOT NULL,
    chat BLOB NOT NULL,
    answer TEXT NOT NULL DEFAULT '',
    finish INTEGER,
    prompt_tokens INTEGER NOT NULL DEFAULT 0,
    answer_tokens INTEGER NOT NULL DEFAULT 0,
    PRIMARY KEY (chain, session, number)
) STRICT;
CREATE TABLE IF NOT EXISTS windows (
    chain TEXT NOT NULL,
    user TEXT NOT NULL,
    size INTEGER NOT NULL,
    PRIMARY KEY (chain, user)
) STRICT;
";

/// Why the journal cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Error {
    /// The file cannot be opened.
    #[error("cannot open the journal of sessions {path}: {reason}", path = path.display())]
    Open {
        /// The path of the file.
        path: PathBuf,
        /// SQLite's error.
        reason: String,
    },
    /// A newer version of this program wrote the file.
    #[error(
        "the journal of sessions {path} has the format {found}, and this program knows {VERSION}: use a \
         newer version of it",
        path = path.display()
    )]
    Format {
        /// The path of the file.
        path: PathBuf,
        /// The file's format.
        found: i64,
    },
    /// A row cannot be read.
    #[error("cannot read the journal of sessions: {0}")]
    Read(String),
    /// A change contradicts what is stored.
    #[error("the journal of sessions refuses a change: {0}")]
    Conflict(String),
    /// A change cannot be stored.
    #[error("cannot write the journal of sessions: {0}")]
    Write(String),
    /// The writer is gone.
    #[error("the journal of sessions is closed")]
    Closed,
}

impl Error {
    fn read(error: impl Display) -> Self {
        Self::Read(error.to_string())
    }

    fn write(error: impl Display) -> Self {
        Self::Write(error.to_string())
    }

    /// Why a change was not applied.
    fn change(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::ConstraintViolation) => Self::Conflict(error.to_string()),
            _ => Self::write(error),
        }
    }
}

/// A voucher with the signature of the session's key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Signed {
    /// The voucher.
    pub voucher: Voucher,
    /// `r ‖ s`.
    pub signature: [u8; 64],
}

/// A change to the journal.
#[derive(Clone, Debug)]
pub(super) enum Write {
    /// The first order of a session is about to come.
    Open(Box<v1::Session>),
    /// An order, and its voucher as the newest one.
    Order {
        /// What is asked.
        chat: Box<v1::Chat>,
        /// The voucher that orders it.
        signed: Signed,
    },
    /// A bare voucher as the newest one.
    Acknowledge(Signed),
    /// More of an answer.
    Text {
        /// The session.
        session: u64,
        /// The order.
        number: u64,
        /// What follows the text so far.
        delta: String,
    },
    /// The whole answer and how it ended. Fails if the order has ended before.
    End {
        /// The session.
        session: u64,
        /// The order.
        number: u64,
        /// The whole answer.
        text: String,
        /// How it ended.
        ended: Ended,
    },
    /// The window of an account.
    Window {
        /// Bech32.
        user: String,
        /// Orders that may be beyond the acknowledged ones.
        size: u32,
    },
    /// The session is over on the chain: its texts are deleted.
    Over(u64),
    /// Nothing, to see whether the file can be written.
    Check,
}

/// A session that was not over when the journal was opened.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Kept {
    /// Its record when its first order came.
    pub record: v1::Session,
    /// The newest voucher.
    pub newest: Option<Signed>,
    /// By number. All have ended.
    pub orders: Vec<KeptOrder>,
}

/// An order of a session that is not over.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct KeptOrder {
    /// What was asked.
    pub chat: v1::Chat,
    /// How the answer ended.
    pub ended: Ended,
}

/// A served order as the chain wants it revealed.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Served {
    /// What was asked.
    pub chat: v1::Chat,
    /// The whole answer.
    pub answer: String,
}

/// The pending outcome of a change.
#[must_use = "the change is on disk only once this is ready"]
pub(super) struct Written(oneshot::Receiver<Result<(), Error>>);

impl Written {
    /// Waits until the change is on disk.
    ///
    /// # Errors
    /// [`Error::Conflict`], [`Error::Write`], [`Error::Closed`].
    pub(super) async fn stored(self) -> Result<(), Error> {
        self.0.await.unwrap_or(Err(Error::Closed))
    }
}

type Request = (Write, oneshot::Sender<Result<(), Error>>);

/// The journal of one chain; clones share it.
#[derive(Clone)]
pub(super) struct Journal {
    chain: Arc<str>,
    writes: mpsc::Sender<Request>,
    reader: Arc<Mutex<Connection>>,
}

impl Journal {
    /// Opens or creates the file at `path` for the chain `chain_id`, makes void what had not ended, and
    /// returns the sessions that are not over. Whether it can be written goes to `health`.
    ///
    /// # Errors
    /// [`Error::Open`], [`Error::Format`], [`Error::Read`], [`Error::Write`].
    pub(super) fn open(
        path: &Path,
        chain_id: &str,
        health: &Health,
    ) -> Result<(Self, Vec<Kept>), Error> {
        Self::open_while(path, chain_id, health, || true)
    }

    /// Like [`Self::open`]. `lives` is asked before and after each commit: if not, nothing more is written,
    /// as if the process had ended there.
    pub(super) fn open_while(
        path: &Path,
        chain_id: &str,
        health: &Health,
        lives: impl FnMut() -> bool + Send + 'static,
    ) -> Result<(Self, Vec<Kept>), Error> {
        let mut connection = connect(path)?;
        write::void_what_is_open(&mut connection, chain_id)?;
        let reader = connect(path)?;
        let kept = read::sessions(&reader, chain_id)?;
        let (writes, requests) = mpsc::channel();
        let chain: Arc<str> = chain_id.into();
        let writer = {
            let (chain, health) = (chain.clone(), health.clone());
            move || write::run(connection, &chain, &requests, &health, lives)
        };
        let spawned = thread::Builder::new()
            .name("stream-journal".into())
            .spawn(writer);
        spawned.map_err(Error::write)?;
        let journal = Self {
            chain,
            writes,
            reader: Arc::new(Mutex::new(reader)),
        };
        Ok((journal, kept))
    }

    /// Queues a change; changes are stored in the order of these calls.
    pub(super) fn write(&self, write: Write) -> Written {
        let (done, outcome) = oneshot::channel();
        // If the writer is gone, `done` is dropped, and the outcome says so.
        let _ = self.writes.send((write, done));
        Written(outcome)
    }

    /// An order that has ended, void ones with an empty answer.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub(super) async fn served(&self, session: u64, number: u64) -> Result<Option<Served>, Error> {
        self.read(move |connection, chain| read::served(connection, chain, session, number))
            .await
    }

    /// Whether the session is over.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub(super) async fn is_over(&self, session: u64) -> Result<bool, Error> {
        self.read(move |connection, chain| read::is_over(connection, chain, session))
            .await
    }

    /// The window of an account, if it has had a session before.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub(super) async fn window(&self, user: &str) -> Result<Option<u32>, Error> {
        let user = user.to_owned();
        self.read(move |connection, chain| read::window(connection, chain, &user))
            .await
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Connection, &str) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (chain, reader) = (self.chain.clone(), self.reader.clone());
        let reading = tokio::task::spawn_blocking(move || {
            let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            read(&reader, &chain)
        });
        reading.await.map_err(Error::read)?
    }
}

/// A connection whose commits survive a loss of power.
fn connect(path: &Path) -> Result<Connection, Error> {
    let failed = |error: rusqlite::Error| Error::Open {
        path: path.to_owned(),
        reason: error.to_string(),
    };
    let connection = Connection::open(path).map_err(failed)?;
    connection
        .pragma_update(None, "journal_mode", "WAL")
        .and_then(|()| connection.pragma_update(None, "synchronous", "FULL"))
        .map_err(failed)?;
    let version = |row: &rusqlite::Row<'_>| row.get(0);
    let found: i64 = connection
        .pragma_query_value(None, "user_version", version)
        .map_err(failed)?;
    if found > VERSION {
        return Err(Error::Format {
            path: path.to_owned(),
            found,
        });
    }
    connection
        .execute_batch(SCHEMA)
        .and_then(|()| connection.pragma_update(None, "user_version", VERSION))
        .map_err(failed)?;
    Ok(connection)
}

#[cfg(test)]
mod tests;
