//! What a worker must not forget about its duties, on disk before the chain hears of it, so that
//! nothing is lost or done twice across a restart.
//!
//! One small file `TASK-ATTEMPT.json` per duty.

use std::fmt;
use std::fs;
use std::io::ErrorKind;
use std::marker::PhantomData;
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::durable;

/// Names one duty: a task that comes back to the same node later is another one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Key {
    /// The task.
    #[serde(rename = "task_id")]
    pub task: u64,
    /// How often the role was drawn for the task before, from 0.
    pub attempt: u32,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.task, self.attempt)
    }
}

/// Why the journal failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder or one of its files cannot be read.
    #[error("cannot read the journal {path}: {source}", path = path.display())]
    Read {
        /// The folder or the file.
        path: PathBuf,
        /// From the operating system.
        source: std::io::Error,
    },
    /// A file is not what this program wrote.
    #[error(
        "the journal entry {path} is damaged: {reason}; its duty is done again if it still can be",
        path = path.display()
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// An entry cannot be stored or removed.
    #[error(transparent)]
    Write(#[from] crate::Error),
}

/// A folder with one value per duty.
#[derive(Debug)]
pub struct Journal<V> {
    folder: PathBuf,
    value: PhantomData<V>,
}

impl<V: Serialize + DeserializeOwned> Journal<V> {
    /// The journal in `folder`, which is created if there is none.
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

    /// What is kept of a duty, if anything.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Damaged`].
    pub fn get(&self, key: Key) -> Result<Option<V>, Error> {
        let path = self.path(key);
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

    /// What is kept of a duty. An entry that cannot be read is told in the log and counts as none:
    /// its duty is done again.
    pub fn find(&self, key: Key) -> Option<V> {
        self.get(key).unwrap_or_else(|error| {
            warn!("{error}");
            None
        })
    }

    /// Whether something is kept of a duty, sound or not.
    pub fn has(&self, key: Key) -> bool {
        self.path(key).exists()
    }

    /// Keeps a value, in place of the one before; it is on disk when this returns.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn put(&self, key: Key, value: &V) -> Result<(), Error> {
        let path = self.path(key);
        let json = serde_json::to_vec_pretty(value).map_err(|error| Error::Damaged {
            path: path.clone(),
            reason: error.to_string(),
        })?;
        Ok(durable::replace(&path, &json)?)
    }

    /// Removes what is kept of a duty.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn remove(&self, key: Key) -> Result<(), Error> {
        Ok(durable::remove(&self.path(key))?)
    }

    /// All duties of which something is kept, oldest task first.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn keys(&self) -> Result<Vec<Key>, Error> {
        let read = |source| Error::Read {
            path: self.folder.clone(),
            source,
        };
        let mut keys = Vec::new();
        for entry in fs::read_dir(&self.folder).map_err(read)? {
            let name = entry.map_err(read)?.file_name();
            keys.extend(name.to_str().and_then(parse));
        }
        keys.sort_unstable();
        Ok(keys)
    }

    /// Removes the oldest entries beyond `kept`, except those of tasks from `oldest_open` on.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Write`].
    pub fn prune(&self, kept: usize, oldest_open: u64) -> Result<(), Error> {
        let keys = self.keys()?;
        let surplus = keys.len().saturating_sub(kept);
        keys.into_iter()
            .take(surplus)
            .filter(|key| key.task < oldest_open)
            .try_for_each(|key| self.remove(key))
    }

    fn path(&self, key: Key) -> PathBuf {
        self.folder.join(format!("{key}.json"))
    }
}

fn parse(file_name: &str) -> Option<Key> {
    let (task, attempt) = file_name.strip_suffix(".json")?.split_once('-')?;
    Some(Key {
        task: task.parse().ok()?,
        attempt: attempt.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(task: u64, attempt: u32) -> Key {
        Key { task, attempt }
    }

    fn journal() -> (tempfile::TempDir, Journal<String>) {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path().join("journal")).unwrap();
        (folder, journal)
    }

    #[test]
    fn values_outlive_the_process() {
        let (folder, journal) = journal();
        journal.put(key(7, 0), &"Paris \"ü\"\n".into()).unwrap();
        journal.put(key(7, 1), &"once".into()).unwrap();
        journal.put(key(7, 1), &"again".into()).unwrap();
        let journal = Journal::<String>::open(folder.path().join("journal")).unwrap();
        assert_eq!(journal.get(key(7, 0)).unwrap().unwrap(), "Paris \"ü\"\n");
        assert_eq!(journal.get(key(7, 1)).unwrap().unwrap(), "again");
        assert_eq!(journal.get(key(8, 0)).unwrap(), None);
        assert!(folder.path().join("journal/7-1.json").is_file());
    }

    #[test]
    fn keys_are_sorted_and_foreign_files_ignored() {
        let (folder, journal) = journal();
        for key in [key(10, 0), key(9, 1), key(9, 0)] {
            journal.put(key, &String::new()).unwrap();
        }
        fs::write(folder.path().join("journal/notes.txt"), "").unwrap();
        assert_eq!(journal.keys().unwrap(), [key(9, 0), key(9, 1), key(10, 0)]);
        journal.remove(key(9, 0)).unwrap();
        assert_eq!(journal.keys().unwrap(), [key(9, 1), key(10, 0)]);
    }

    #[test]
    fn a_damaged_entry_is_an_error_that_names_the_file() {
        let (folder, journal) = journal();
        fs::write(folder.path().join("journal/7-0.json"), "{").unwrap();
        let error = journal.get(key(7, 0)).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }));
        assert!(error.to_string().contains("7-0.json"), "{error}");
        assert!(journal.has(key(7, 0)) && !journal.has(key(7, 1)));
        assert_eq!(journal.find(key(7, 0)), None);
        journal.put(key(7, 0), &"whole".into()).unwrap();
        assert_eq!(journal.find(key(7, 0)).unwrap(), "whole");
    }

    #[test]
    fn prune_keeps_open_tasks_and_the_newest() {
        let (_folder, journal) = journal();
        for task in 0..20 {
            journal.put(key(task, 0), &String::new()).unwrap();
        }
        journal.prune(10, 4).unwrap();
        assert_eq!(journal.keys().unwrap().len(), 16);
        assert_eq!(journal.keys().unwrap()[0], key(4, 0));
        journal.prune(10, u64::MAX).unwrap();
        assert_eq!(journal.keys().unwrap()[0], key(10, 0));
    }
}
