//! Scores are computed behind a bounded queue, in rounds: all that waits at the beginning of a
//! round is scored in it, in batches that the models' sessions take one after the other.

mod job;
mod round;

use tokio::sync::mpsc;
use tracing::debug;

use crate::scorer::Model;
use round::Round;

pub use job::{Asker, Duty, Finished, Job, Outcome};

/// The ends of the compute thread; it stops when `jobs` is dropped.
pub struct Compute {
    /// Takes jobs until the queue is full.
    pub jobs: mpsc::Sender<Job>,
    /// Gives the scores of duties as they come; ends if the thread has ended.
    pub finished: mpsc::Receiver<Finished>,
}

impl Compute {
    /// Starts the thread with a queue for `queue` jobs and batches of `batch_tokens`.
    pub fn start(models: Vec<Model>, queue: usize, batch_tokens: usize) -> std::io::Result<Self> {
        let (jobs, queued) = mpsc::channel(queue);
        let (results, finished) = mpsc::channel(queue);
        let worker = ComputeThread {
            models,
            batch_tokens,
            queue,
            results,
        };
        std::thread::Builder::new()
            .name("poq-score".to_owned())
            .spawn(move || worker.run(queued))?;
        Ok(Self { jobs, finished })
    }
}

struct ComputeThread {
    models: Vec<Model>,
    batch_tokens: usize,
    queue: usize,
    results: mpsc::Sender<Finished>,
}

impl ComputeThread {
    fn run(self, mut queued: mpsc::Receiver<Job>) {
        let mut jobs = Vec::new();
        while queued.blocking_recv_many(&mut jobs, self.queue) > 0 {
            let jobs = std::mem::take(&mut jobs);
            Round::new(&self.models, &self.results, jobs).run(self.batch_tokens);
        }
        debug!("the compute thread ends");
    }
}

#[cfg(test)]
mod tests;
