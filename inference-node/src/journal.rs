//! Answers on disk, so that none is lost or generated twice across a restart.
//!
//! One small file per duty, written before the answer is broadcast. A duty is a task and an
//! attempt: a task that comes back to the same node later is another duty.

use std::fs;
use std::path::PathBuf;

use poq_client::durable;
use poq_proto::v1::AnswerItem;
use serde::{Deserialize, Serialize};

/// Finished duties that are kept for inspection.
const KEPT: usize = 1000;

/// Names one duty.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct DutyKey {
    /// The task.
    pub task: u64,
    /// How often an inference node was drawn for it before, from 0.
    pub attempt: u32,
}

impl std::fmt::Display for DutyKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}-{}", self.task, self.attempt)
    }
}

/// An answer as it was generated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Answer {
    /// The text.
    pub text: String,
    /// Tokens of the prompt.
    pub prompt_tokens: u32,
    /// Tokens of the answer.
    pub answer_tokens: u32,
}

impl Answer {
    /// The item of a message that hands the answer in.
    pub fn item(&self, key: DutyKey) -> AnswerItem {
        AnswerItem {
            task_id: key.task,
            answer: self.text.clone(),
            prompt_tokens: self.prompt_tokens,
            answer_tokens: self.answer_tokens,
        }
    }
}

/// Why the journal failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Reading the folder or one of its files failed.
    #[error("cannot read the journal {path}: {source}")]
    Read {
        /// The folder or the file.
        path: PathBuf,
        /// From the operating system.
        source: std::io::Error,
    },
    /// Writing failed.
    #[error(transparent)]
    Write(#[from] poq_client::Error),
    /// A file is not what this program wrote.
    #[error(
        "the journal entry {path} is damaged: {reason}; delete it to have the task answered again"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// The folder of answers.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
}

impl Journal {
    /// Opens the folder, and creates it if needed.
    ///
    /// # Errors
    /// [`Error::Read`] if it cannot be created.
    pub fn open(folder: PathBuf) -> Result<Self, Error> {
        fs::create_dir_all(&folder).map_err(|source| Error::Read {
            path: folder.clone(),
            source,
        })?;
        Ok(Self { folder })
    }

    /// The answer to a duty, if there is one.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Damaged`].
    pub fn get(&self, key: DutyKey) -> Result<Option<Answer>, Error> {
        let path = self.path(key);
        match fs::read(&path) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map(Some)
                .map_err(|error| Error::Damaged {
                    path,
                    reason: error.to_string(),
                }),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(source) => Err(Error::Read { path, source }),
        }
    }

    /// Writes an answer; when this returns it is on disk.
    ///
    /// # Errors
    /// [`Error::Write`].
    pub fn put(&self, key: DutyKey, answer: &Answer) -> Result<(), Error> {
        let bytes = serde_json::to_vec_pretty(answer).map_err(|error| Error::Damaged {
            path: self.path(key),
            reason: error.to_string(),
        })?;
        Ok(durable::replace(&self.path(key), &bytes)?)
    }

    /// All duties with an answer, oldest task first.
    ///
    /// # Errors
    /// [`Error::Read`].
    pub fn keys(&self) -> Result<Vec<DutyKey>, Error> {
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

    /// Deletes the oldest answers beyond those that are kept for inspection, except to tasks
    /// from `oldest_open` on.
    ///
    /// # Errors
    /// [`Error::Read`], [`Error::Write`].
    pub fn prune(&self, oldest_open: u64) -> Result<(), Error> {
        let keys = self.keys()?;
        let surplus = keys.len().saturating_sub(KEPT);
        for key in keys
            .iter()
            .take(surplus)
            .filter(|key| key.task < oldest_open)
        {
            durable::remove(&self.path(*key))?;
        }
        Ok(())
    }

    fn path(&self, key: DutyKey) -> PathBuf {
        self.folder.join(format!("{key}.json"))
    }
}

fn parse(file_name: &str) -> Option<DutyKey> {
    let (task, attempt) = file_name.strip_suffix(".json")?.split_once('-')?;
    Some(DutyKey {
        task: task.parse().ok()?,
        attempt: attempt.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(text: &str) -> Answer {
        Answer {
            text: text.into(),
            prompt_tokens: 3,
            answer_tokens: 4,
        }
    }

    fn key(task: u64, attempt: u32) -> DutyKey {
        DutyKey { task, attempt }
    }

    #[test]
    fn answers_survive_reopening() {
        let home = tempfile::tempdir().unwrap();
        let folder = home.path().join("journal");
        let journal = Journal::open(folder.clone()).unwrap();
        journal.put(key(7, 0), &answer("Paris \"ü\"\n")).unwrap();
        journal.put(key(7, 1), &answer("again")).unwrap();
        let journal = Journal::open(folder).unwrap();
        assert_eq!(
            journal.get(key(7, 0)).unwrap(),
            Some(answer("Paris \"ü\"\n"))
        );
        assert_eq!(journal.get(key(7, 1)).unwrap(), Some(answer("again")));
        assert_eq!(journal.get(key(8, 0)).unwrap(), None);
    }

    #[test]
    fn a_damaged_entry_is_an_error_that_names_the_file() {
        let home = tempfile::tempdir().unwrap();
        let journal = Journal::open(home.path().to_owned()).unwrap();
        fs::write(home.path().join("7-0.json"), "{").unwrap();
        let error = journal.get(key(7, 0)).unwrap_err().to_string();
        assert!(error.contains("7-0.json"), "{error}");
    }

    #[test]
    fn keys_are_sorted_and_foreign_files_ignored() {
        let home = tempfile::tempdir().unwrap();
        let journal = Journal::open(home.path().to_owned()).unwrap();
        for key in [key(10, 0), key(9, 1), key(9, 0)] {
            journal.put(key, &answer("a")).unwrap();
        }
        fs::write(home.path().join("notes.txt"), "").unwrap();
        assert_eq!(journal.keys().unwrap(), [key(9, 0), key(9, 1), key(10, 0)]);
    }

    #[test]
    fn prune_keeps_open_tasks_and_the_newest() {
        let home = tempfile::tempdir().unwrap();
        let journal = Journal::open(home.path().to_owned()).unwrap();
        for task in 0..KEPT as u64 + 10 {
            // The content is not read; syncing a thousand files would only take long.
            fs::write(journal.path(key(task, 0)), "").unwrap();
        }
        journal.prune(4).unwrap();
        let keys = journal.keys().unwrap();
        assert_eq!(keys.len(), KEPT + 6);
        assert_eq!(keys[0], key(4, 0));
        journal.prune(u64::MAX).unwrap();
        assert_eq!(journal.keys().unwrap()[0], key(10, 0));
    }
}
