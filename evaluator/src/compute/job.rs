//! What is to be scored, and for whom.

use std::sync::Arc;
use std::time::Instant;

use poq_worker::Seat;
use tokio::sync::oneshot;

use crate::scorer::{Error, Score};

/// A pair to be scored.
#[derive(Debug)]
pub struct Job {
    /// By which model: its place among those that [`super::start`] was given.
    pub model: usize,
    /// The seat of a duty, for the log.
    pub seat: Option<Seat>,
    /// Whether texts that are too long are cut off; otherwise they are [`Error::TooLong`].
    pub truncate: bool,
    /// Takes the score. Who dropped the other end has given up.
    pub reply: oneshot::Sender<Outcome>,
    /// What the user asked.
    pub prompt: String,
    /// What the inference node answered.
    pub answer: String,
    /// When it was queued.
    pub queued: Instant,
}

/// What comes back; one error may be of a whole batch.
pub type Outcome = Result<Score, Arc<Error>>;
