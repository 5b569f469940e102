//! A pair to score, and the receiver of its score.

use std::sync::Arc;
use std::time::Instant;

use poq_worker::Seat;
use tokio::sync::oneshot;

use crate::scorer::{Error, Score};

/// A pair to score.
#[derive(Debug)]
pub(crate) struct Job {
    /// The model's index among those passed to [`super::start`].
    pub model: usize,
    /// The seat of a duty, for the log.
    pub seat: Option<Seat>,
    /// Whether texts that are too long are cut off; otherwise they are [`Error::TooLong`].
    pub truncate: bool,
    /// Receives the score. A dropped receiver cancels the job.
    pub reply: oneshot::Sender<Outcome>,
    /// The prompt.
    pub prompt: String,
    /// The inference node's answer.
    pub answer: String,
    /// When it was queued.
    pub queued: Instant,
}

/// The result; one error may belong to a whole batch.
pub(crate) type Outcome = Result<Score, Arc<Error>>;
