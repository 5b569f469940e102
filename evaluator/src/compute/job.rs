//! What is to be scored, and for whom.

use std::sync::Arc;
use std::time::Instant;

use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;

use crate::duties::{Key, Step};
use crate::journal::Seat;
use crate::scorer::{Error, Score};

/// A pair to be scored.
#[derive(Debug)]
pub struct Job {
    /// By which model: its place among those that [`super::Compute::start`] was given.
    pub model: usize,
    /// Who waits for the score.
    pub asker: Asker,
    /// What the user asked.
    pub prompt: String,
    /// What the inference node answered.
    pub answer: String,
    /// When it was queued.
    pub queued: Instant,
}

/// Who waits for a score.
#[derive(Debug)]
pub enum Asker {
    /// The evaluator: the score comes out of [`super::Compute::finished`].
    Duty(Duty),
    /// A request, which has given up if it dropped its end.
    Request {
        /// Whether texts that are too long are cut off; otherwise they are [`Error::TooLong`].
        truncate: bool,
        /// Takes the score.
        reply: oneshot::Sender<Outcome>,
    },
}

/// What a request gets; one error may be of a whole batch.
pub type Outcome = Result<Score, Arc<Error>>;

impl Asker {
    pub(super) fn has_given_up(&self) -> bool {
        match self {
            Self::Request { reply, .. } => reply.is_closed(),
            Self::Duty(duty) => duty.stop.is_cancelled(),
        }
    }

    pub(super) fn refuses_truncation(&self) -> bool {
        matches!(
            self,
            Self::Request {
                truncate: false,
                ..
            }
        )
    }

    /// The seat of a duty.
    pub(super) fn seat(&self) -> Option<Seat> {
        match self {
            Self::Duty(duty) => Some(duty.seat),
            Self::Request { .. } => None,
        }
    }
}

/// The commitment or reveal that a score is for.
#[derive(Debug)]
pub struct Duty {
    /// For which seat.
    pub seat: Seat,
    /// Last height at which the score is of use.
    pub due_height: u64,
    /// See [`crate::journal::pair_digest`].
    pub pair_sha256: String,
    /// The commitment that the chain has already, if the score is to open it.
    pub committed: Option<[u8; 32]>,
    /// Cancelled once nobody waits for the score any more.
    pub stop: CancellationToken,
}

impl Duty {
    /// What the score is for.
    pub fn key(&self) -> Key {
        Key {
            seat: self.seat,
            step: match self.committed {
                None => Step::Commit,
                Some(_) => Step::Reveal,
            },
        }
    }
}

/// A duty's pair that has its score, or cannot have one.
#[derive(Debug)]
pub struct Finished {
    /// The job's duty.
    pub duty: Duty,
    /// Micro-logits.
    pub raw_score: Result<i32, String>,
}
