//! A worker's products on disk, written before they are sent to the chain, so that a restart loses
//! nothing and repeats nothing.
//!
//! One small file `TASK-ATTEMPT.json` per duty.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::marker::PhantomData;
use std::path::PathBuf;

use poq_client::durable;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::warn;

/// Identifies one duty: if a task is assigned to the same node again, the attempt differs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Seat {
    /// The task id.
    #[serde(rename = "task_id")]
    pub task: u64,
    /// How often the task was drawn for the role before, from 0.
    pub attempt: u32,
}

impl fmt::Display for Seat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.task, self.attempt)
    }
}

/// Errors of the journal.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder or one of its files cannot be read.
    #[error("cannot read the journal {path}: {source}", path = path.display())]
    Read {
        /// The path of the folder or the file.
        path: PathBuf,
        /// The operating system's error.
        source: std::io::Error,
    },
    /// A file is not a valid journal entry.
    #[error(
        "the journal entry {path} is damaged: {reason}; its duty is done again if it still can be",
        path = path.display()
    )]
    Damaged {
        /// The path of the file.
        path: PathBuf,
        /// The cause.
        reason: String,
    },
    /// An entry cannot be stored or removed.
    #[error(transparent)]
    Write(#[from] poq_client::Error),
}

/// A folder with one value per duty.
#[derive(Debug)]
pub struct Journal<V> {
    folder: PathBuf,
    value: PhantomData<V>,
}

impl<V: Serialize + DeserializeOwned> Journal<V> {
    /// The journal in `folder`, which is created if it does not exist.
    ///
    /// # Errors
    /// [`Error::Read`] if it cannot be created.
    pub fn open(folder: PathBuf) -> Result<Self, Error> {
        fs::create_dir_all(&folder).map_err(|source| Error::Read {
            path: folder.clone(),
            source,
        })?;
        Ok(Self {
            folder,
            value: PhantomData,
        })
    }

    /// The entry of a duty, if there is one.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Damaged`].
    pub fn get(&self, seat: Seat) -> Result<Option<V>, Error> {
        let path = self.path(seat);
        match fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json)
                .map(Some)
                .map_err(|error| Error::Damaged {
                    path,
                    reason: error.to_string(),
                }),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Read { path, source }),
        }
    }

    /// The entry of a duty. An unreadable entry is logged and treated as missing, so its duty is
    /// done again.
    pub fn find(&self, seat: Seat) -> Option<V> {
        self.get(seat).unwrap_or_else(|error| {
            warn!("{error}");
            None
        })
    }

    /// Whether a duty has an entry, readable or not.
    pub fn has(&self, seat: Seat) -> bool {
        self.path(seat).exists()
    }

    /// Stores a value, replacing any previous one; it is on disk when this returns.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn put(&self, seat: Seat, value: &V) -> Result<(), Error> {
        let path = self.path(seat);
        let json = serde_json::to_vec_pretty(value).map_err(|error| Error::Damaged {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        Ok(durable::replace(&path, &json)?)
    }

    /// Removes the entry of a duty.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn remove(&self, seat: Seat) -> Result<(), Error> {
        Ok(durable::remove(&self.path(seat))?)
    }

    /// All duties with an entry, oldest task first.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn seats(&self) -> Result<Vec<Seat>, Error> {
        let read = |source| Error::Read {
            path: self.folder.clone(),
            source,
        };
        let mut seats = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(read)? {
            let name = entry.map_err(read)?.file_name();
            seats.extend(name.to_str().and_then(parse));
        }
        seats.sort_unstable();
        Ok(seats)
    }

    /// Removes the oldest entries beyond `kept`, except those of tasks from `oldest_open` on.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Write`].
    pub fn prune(&self, kept: usize, oldest_open: u64) -> Result<(), Error> {
        let seats = self.seats()?;
        let surplus = seats.len().saturating_sub(kept);
        seats
            .into_iter()
            .take(surplus)
            .filter(|seat| seat.task < oldest_open)
            .try_for_each(|seat| self.remove(seat))
    }

    fn path(&self, seat: Seat) -> PathBuf {
        self.folder.join(format!("{seat}.json"))
    }
}

fn parse(file_name: &str) -> Option<Seat> {
    let (task, attempt) = file_name.strip_suffix(".json")?.split_once('-')?;
    Some(Seat {
        task: task.parse().ok()?,
        attempt: attempt.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seat(task: u64, attempt: u32) -> Seat {
        Seat { task, attempt }
    }

    fn journal() -> (tempfile::TempDir, Journal<String>) {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path().join("journal")).unwrap();
        (folder, journal)
    }

    #[test]
    fn values_outlive_the_process() {
        let (folder, journal) = journal();
        journal.put(seat(7, 0), &"Paris \"ü\"\n".into()).unwrap();
        journal.put(seat(7, 1), &"once".into()).unwrap();
        journal.put(seat(7, 1), &"again".into()).unwrap();
        let journal = Journal::<String>::open(folder.path().join("journal")).unwrap();
        assert_eq!(journal.get(seat(7, 0)).unwrap().unwrap(), "Paris \"ü\"\n");
        assert_eq!(journal.get(seat(7, 1)).unwrap().unwrap(), "again");
        assert_eq!(journal.get(seat(8, 0)).unwrap(), None);
        assert!(folder.path().join("journal/7-1.json").is_file());
    }

    #[test]
    fn keys_are_sorted_and_foreign_files_ignored() {
        let (folder, journal) = journal();
        for seat in [seat(10, 0), seat(9, 1), seat(9, 0)] {
            journal.put(seat, &String::new()).unwrap();
        }
        fs::write(folder.path().join("journal/notes.txt"), "").unwrap();
        assert_eq!(
            journal.seats().unwrap(),
            [seat(9, 0), seat(9, 1), seat(10, 0)]
        );
        journal.remove(seat(9, 0)).unwrap();
        assert_eq!(journal.seats().unwrap(), [seat(9, 1), seat(10, 0)]);
    }

    #[test]
    fn a_damaged_entry_is_an_error_that_names_the_file() {
        let (folder, journal) = journal();
        fs::write(folder.path().join("journal/7-0.json"), "{").unwrap();
        let error = journal.get(seat(7, 0)).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }));
        assert!(error.to_string().contains("7-0.json"), "{error}");
        assert!(journal.has(seat(7, 0)) && !journal.has(seat(7, 1)));
        assert_eq!(journal.find(seat(7, 0)), None);
        journal.put(seat(7, 0), &"whole".into()).unwrap();
        assert_eq!(journal.find(seat(7, 0)).unwrap(), "whole");
    }

    #[test]
    fn prune_keeps_open_tasks_and_the_newest() {
        let (_folder, journal) = journal();
        for task in 0..20 {
            journal.put(seat(task, 0), &String::new()).unwrap();
        }
        journal.prune(10, 4).unwrap();
        assert_eq!(journal.seats().unwrap().len(), 16);
        assert_eq!(journal.seats().unwrap()[0], seat(4, 0));
        journal.prune(10, u64::MAX).unwrap();
        assert_eq!(journal.seats().unwrap()[0], seat(10, 0));
    }
}
