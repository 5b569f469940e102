//! Scores are computed behind a bounded queue, in rounds. A round scores everything that was queued
//! at its start, in batches that the models' sessions take one after the other.

mod job;
mod line;
mod round;

use tokio::sync::mpsc;
use tracing::debug;

use crate::scorer::Model;
use round::Round;

pub(crate) use job::{Job, Outcome};
pub(crate) use line::Line;

/// Starts the compute thread behind a queue for `queue` jobs, with batches of `batch_tokens`. It
/// stops when the queue is dropped; if it ends earlier, the queue is closed.
pub(crate) fn start(
    models: Vec<Model>,
    queue: usize,
    batch_tokens: usize,
) -> std::io::Result<mpsc::Sender<Job>> {
    let (sender, mut queued) = mpsc::channel(queue);
    let run = move || {
        let mut jobs = Vec::new();
        while queued.blocking_recv_many(&mut jobs, queue) > 0 {
            Round::new(&models, std::mem::take(&mut jobs)).run(batch_tokens);
        }
        debug!("the compute thread ends");
    };
    std::thread::Builder::new()
        .name("poq-score".to_owned())
        .spawn(run)?;
    Ok(sender)
}

#[cfg(test)]
mod tests;
