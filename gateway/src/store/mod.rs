//! What survives a crash: SQLite with one writer thread, which commits together what waits together.

pub(crate) mod charges;
pub(crate) mod deposits;
pub(crate) mod duplicates;
pub(crate) mod groups;
pub(crate) mod keys;
pub(crate) mod orders;
pub(crate) mod quarantine;
pub(crate) mod receipts;
pub(crate) mod sessions;
mod writer;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use rusqlite::{Connection, OpenFlags};

use writer::Writer;

/// What makes each version of the schema from the one before it. Never changed once released.
const STEPS: [&str; 4] = [
    include_str!("schema.sql"),
    include_str!("quarantine.sql"),
    include_str!("groups.sql"),
    include_str!("estimates.sql"),
];
/// Version of the schema that this program writes.
const VERSION: usize = STEPS.len();
/// How long a statement waits for another process, such as the command line beside the gateway.
const PATIENCE: Duration = Duration::from_secs(5);

/// Why the store failed.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The database refused something, or the disk is full.
    #[error("the database {path} failed: {reason}; check the disk", path = path.display())]
    Database {
        /// The file.
        path: PathBuf,
        /// SQLite's error.
        reason: String,
    },
    /// A newer program wrote the file.
    #[error(
        "the database {path} has version {version}, but this program knows {VERSION}; use a newer program",
        path = path.display()
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        version: usize,
    },
    /// The writer thread has ended.
    #[error("the database takes no more writes; restart the gateway")]
    Closed,
}

/// The database.
pub(crate) struct Store {
    path: PathBuf,
    writer: Writer,
    reader: Mutex<Connection>,
}

impl Store {
    /// Opens the file, and creates it if it does not exist.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        Self::open_while(path, || true)
    }

    /// Like [`Self::open`]. `lives` is asked before and after each commit: if not, nothing more is
    /// written, as if the process had ended there.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) fn open_while(
        path: &Path,
        lives: impl FnMut() -> bool + Send + 'static,
    ) -> Result<Self, Error> {
        let failed = |error: rusqlite::Error| Error::Database {
            path: path.into(),
            reason: error.to_string(),
        };
        let connection = Connection::open(path).map_err(failed)?;
        prepare(&connection).map_err(failed)?;
        migrate(&connection, path, failed)?;
        let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let reader = Connection::open_with_flags(path, flags).map_err(failed)?;
        reader.busy_timeout(PATIENCE).map_err(failed)?;
        Ok(Self {
            path: path.into(),
            writer: Writer::start(connection, path, lives),
            reader: Mutex::new(reader),
        })
    }

    /// Runs `change` in a transaction, alone or with others that wait, and returns once it is on the
    /// disk. If it fails, nothing of it remains.
    ///
    /// # Errors
    /// [`Error`].
    pub(crate) async fn write<T: Send + 'static>(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Result<T, Error> {
        self.writer.write(change).await
    }

    /// Like [`Self::write`], without waiting: a crash may lose the change.
    pub(crate) fn note(
        &self,
        change: impl FnOnce(&Connection) -> rusqlite::Result<()> + Send + 'static,
    ) {
        self.writer.note(change);
    }

    /// Writes something that changes nothing.
    ///
    /// # Errors
    /// [`Error`] if nothing can be written.
    pub(crate) async fn check(&self) -> Result<(), Error> {
        self.write(|db| db.pragma_update(None, "user_version", VERSION))
            .await
    }

    /// Reads what is committed.
    ///
    /// # Errors
    /// [`Error::Database`].
    pub(crate) fn read<T>(
        &self,
        query: impl FnOnce(&Connection) -> rusqlite::Result<T>,
    ) -> Result<T, Error> {
        let reader = self.reader.lock().unwrap_or_else(PoisonError::into_inner);
        query(&reader).map_err(|error| Error::Database {
            path: self.path.clone(),
            reason: error.to_string(),
        })
    }
}

fn prepare(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(PATIENCE)?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", true)
}

fn migrate(
    connection: &Connection,
    path: &Path,
    failed: impl Fn(rusqlite::Error) -> Error,
) -> Result<(), Error> {
    // The command line may open the file at the same time.
    connection
        .execute_batch("BEGIN IMMEDIATE")
        .map_err(&failed)?;
    let version = connection.pragma_query_value(None, "user_version", |row| row.get(0));
    let version: usize = version.map_err(&failed)?;
    let Some(missing) = STEPS.get(version..) else {
        return Err(Error::Version {
            path: path.into(),
            version,
        });
    };
    let script = format!(
        "{} PRAGMA user_version = {VERSION}; COMMIT;",
        missing.concat()
    );
    connection.execute_batch(&script).map_err(failed)
}

/// Seconds since 1970.
pub(crate) fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(store: &Store) -> u64 {
        let query =
            |db: &Connection| db.query_row("SELECT count(*) FROM texts", [], |row| row.get(0));
        store.read(query).unwrap()
    }

    fn insert(number: u64) -> impl FnOnce(&Connection) -> rusqlite::Result<()> + Send {
        move |db| {
            db.execute(
                "INSERT INTO texts (session, number, answer) VALUES (1, ?1, 'text')",
                [number],
            )?;
            Ok(())
        }
    }

    #[tokio::test]
    async fn what_is_written_is_there_after_a_restart_and_what_failed_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.db");
        let store = Store::open(&path).unwrap();
        store.write(insert(1)).await.unwrap();
        let twice = |db: &Connection| {
            insert(2)(db)?;
            insert(1)(db)
        };
        assert!(store.write(twice).await.is_err());
        let all = futures::future::join_all((10..20).map(|number| store.write(insert(number))));
        assert!(all.await.iter().all(Result::is_ok));
        drop(store);
        assert_eq!(count(&Store::open(&path).unwrap()), 11);
    }

    #[test]
    fn a_database_of_an_older_program_keeps_what_was_charged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(STEPS[0]).unwrap();
        connection
            .execute_batch(
                "PRAGMA user_version = 1;
                 INSERT INTO ledger VALUES (1, 7, 'charge', 3, 0, 500, 1000);",
            )
            .unwrap();
        drop(connection);
        let store = Store::open(&path).unwrap();
        assert_eq!(store.read(|db| keys::spent(db, 7, 0)).unwrap(), 500);
        let version = |db: &Connection| {
            db.pragma_query_value(None, "user_version", |row| row.get::<_, i64>(0))
        };
        assert_eq!(store.read(version).unwrap(), VERSION as i64);
    }

    #[test]
    fn a_database_of_a_newer_program_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.db");
        let connection = Connection::open(&path).unwrap();
        let newer = VERSION + 1;
        connection
            .pragma_update(None, "user_version", newer)
            .unwrap();
        drop(connection);
        let error = Store::open(&path).err().unwrap();
        assert!(
            matches!(error, Error::Version { version, .. } if version == newer),
            "{error}"
        );
    }

    #[tokio::test]
    async fn a_database_of_an_older_program_gets_what_is_new_and_keeps_the_rest() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("gateway.db");
        let connection = Connection::open(&path).unwrap();
        connection.execute_batch(STEPS[0]).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        insert(1)(&connection).unwrap();
        drop(connection);
        let store = Store::open(&path).unwrap();
        assert_eq!(count(&store), 1);
        assert_eq!(store.read(|db| quarantine::list(db, 0)).unwrap(), []);
        store.check().await.unwrap();
    }
}
