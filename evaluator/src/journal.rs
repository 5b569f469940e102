//! Scores and salts on disk, before the chain hears of them: a crash between a commitment and its
//! reveal loses no stake.

use std::fs;
use std::path::{Path, PathBuf};

use poq_client::durable;
use poq_proto::commitment;
use rand::RngCore;
use rand::rngs::OsRng;
use serde::{Deserialize, Serialize};

/// A place of this evaluator in one committee of one task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Seat {
    /// The task.
    pub task_id: u64,
    /// The committees that were drawn for the task before this one.
    pub attempt: u32,
}

/// What the evaluator must not forget about a seat.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The seat.
    #[serde(flatten)]
    pub seat: Seat,
    /// The task's chain.
    pub chain_id: String,
    /// Of prompt and answer, see [`pair_digest`].
    pub pair_sha256: String,
    /// Micro-logits.
    pub raw_score: i32,
    /// 32 random bytes.
    #[serde(with = "hex::serde")]
    pub salt: [u8; 32],
}

impl Entry {
    /// An entry with a new random salt.
    pub fn new(seat: Seat, chain_id: &str, pair_sha256: String, raw_score: i32) -> Self {
        let mut salt = [0; 32];
        OsRng.fill_bytes(&mut salt);
        Self {
            seat,
            chain_id: chain_id.to_owned(),
            pair_sha256,
            raw_score,
            salt,
        }
    }

    /// The commitment of the evaluator with this 20-byte account address.
    pub fn commitment(&self, evaluator: &[u8; 20]) -> [u8; 32] {
        commitment(
            &self.chain_id,
            self.seat.task_id,
            self.seat.attempt,
            evaluator,
            self.raw_score,
            &self.salt,
        )
    }
}

/// SHA-256 of the lengths and bytes of both texts: tells an entry of this task from one of a
/// task with the same number on a network that was started anew.
pub fn pair_digest(prompt: &str, answer: &str) -> String {
    let mut content = Vec::with_capacity(16 + prompt.len() + answer.len());
    for text in [prompt, answer] {
        content.extend((text.len() as u64).to_be_bytes());
        content.extend(text.as_bytes());
    }
    crate::digest::of_bytes(&content)
}

/// Why the journal cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file or the folder cannot be read.
    #[error("cannot read the journal {path}: {source}", path = path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// From the operating system.
        source: std::io::Error,
    },
    /// A file has not the form of an entry.
    #[error("the journal entry {path} is damaged: {source}; delete it, its duty is lost", path = path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// From the parser.
        source: serde_json::Error,
    },
    /// An entry cannot be stored or removed.
    #[error(transparent)]
    Write(#[from] poq_client::Error),
}

/// One file per seat in a folder.
pub struct Journal {
    folder: PathBuf,
}

impl Journal {
    /// The journal in `folder`, which is created if there is none.
    pub fn open(folder: PathBuf) -> Result<Self, Error> {
        fs::create_dir_all(&folder).map_err(|source| Error::Read {
            path: folder.clone(),
            source,
        })?;
        Ok(Self { folder })
    }

    /// The entry of a seat.
    pub fn get(&self, seat: Seat) -> Result<Option<Entry>, Error> {
        let path = self.path(seat);
        let content = match fs::read(&path) {
            Ok(content) => content,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Read { path, source }),
        };
        serde_json::from_slice(&content)
            .map(Some)
            .map_err(|source| Error::Damaged { path, source })
    }

    /// Stores an entry; it is on disk when this returns. Replaces the seat's entry, if any.
    pub fn put(&self, entry: &Entry) -> Result<(), Error> {
        let path = self.path(entry.seat);
        let content = serde_json::to_vec(entry).map_err(|source| Error::Damaged {
            path: path.clone(),
            source,
        })?;
        Ok(durable::replace(&path, &content)?)
    }

    /// Removes the entry of a seat.
    pub fn remove(&self, seat: Seat) -> Result<(), Error> {
        Ok(durable::remove(&self.path(seat))?)
    }

    /// The seats that have an entry, in ascending order.
    pub fn seats(&self) -> Result<Vec<Seat>, Error> {
        let unreadable = |source| Error::Read {
            path: self.folder.clone(),
            source,
        };
        let mut seats = Vec::new();
        for file in fs::read_dir(&self.folder).map_err(unreadable)? {
            let name = file.map_err(unreadable)?.file_name();
            seats.extend(parse_name(Path::new(&name)));
        }
        seats.sort_unstable();
        Ok(seats)
    }

    fn path(&self, seat: Seat) -> PathBuf {
        let name = format!("{}-{}.json", seat.task_id, seat.attempt);
        self.folder.join(name)
    }
}

fn parse_name(name: &Path) -> Option<Seat> {
    let (task_id, attempt) = name.to_str()?.strip_suffix(".json")?.split_once('-')?;
    Some(Seat {
        task_id: task_id.parse().ok()?,
        attempt: attempt.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(task_id: u64, attempt: u32) -> Entry {
        let seat = Seat { task_id, attempt };
        Entry::new(seat, "poq-local-1", pair_digest("p", "a"), -5)
    }

    #[test]
    fn entries_outlive_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("journal");
        let stored = entry(7, 1);
        Journal::open(path.clone()).unwrap().put(&stored).unwrap();
        let journal = Journal::open(path).unwrap();
        assert_eq!(journal.get(stored.seat).unwrap(), Some(stored));
        assert_eq!(journal.get(entry(7, 0).seat).unwrap(), None);
    }

    #[test]
    fn seats_are_listed_and_removed() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path().to_owned()).unwrap();
        for (task, attempt) in [(10, 0), (9, 1), (9, 0)] {
            journal.put(&entry(task, attempt)).unwrap();
        }
        fs::write(folder.path().join("notes.txt"), "").unwrap();
        let expected = [(9, 0), (9, 1), (10, 0)];
        let seats = journal.seats().unwrap();
        assert!(seats.iter().map(|s| (s.task_id, s.attempt)).eq(expected));
        journal.remove(seats[0]).unwrap();
        assert_eq!(journal.seats().unwrap(), seats[1..]);
    }

    #[test]
    fn a_damaged_entry_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let journal = Journal::open(folder.path().to_owned()).unwrap();
        fs::write(folder.path().join("3-0.json"), "{").unwrap();
        let error = journal.get(entry(3, 0).seat).unwrap_err();
        assert!(matches!(error, Error::Damaged { .. }), "{error}");
    }

    #[test]
    fn salts_differ_and_the_commitment_opens() {
        let (one, two) = (entry(1, 0), entry(1, 0));
        assert_ne!(one.salt, two.salt);
        let expected = commitment("poq-local-1", 1, 0, &[9; 20], -5, &one.salt);
        assert_eq!(one.commitment(&[9; 20]), expected);
    }

    #[test]
    fn the_pair_digest_tells_where_the_prompt_ends() {
        assert_ne!(pair_digest("ab", "c"), pair_digest("a", "bc"));
    }
}
