//! The one thread that computes scores, behind a bounded queue.

use std::sync::Arc;
use std::time::{Duration, Instant};

use metrics::{counter, histogram};
use tokio::sync::{mpsc, oneshot};
use tracing::{debug, error, info};

use crate::journal::Seat;
use crate::scorer::{Encoded, Error, Model, Score, plan};

/// A pair to be scored.
#[derive(Debug)]
pub struct Job {
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
    /// The evaluator: the score comes out of [`Compute::finished`].
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
    fn has_given_up(&self) -> bool {
        matches!(self, Self::Request { reply, .. } if reply.is_closed())
    }

    fn refuses_truncation(&self) -> bool {
        matches!(
            self,
            Self::Request {
                truncate: false,
                ..
            }
        )
    }
}

/// The commitment that a score is for.
#[derive(Debug)]
pub struct Duty {
    /// For which seat.
    pub seat: Seat,
    /// Last height at which the commitment is of use.
    pub due_height: u64,
    /// See [`crate::journal::pair_digest`].
    pub pair_sha256: String,
}

/// A duty's pair that has its score, or cannot have one.
#[derive(Debug)]
pub struct Finished {
    /// The job's duty.
    pub duty: Duty,
    /// Micro-logits.
    pub raw_score: Result<i32, String>,
}

/// The ends of the compute thread; it stops when `jobs` is dropped.
pub struct Compute {
    /// Takes jobs until the queue is full.
    pub jobs: mpsc::Sender<Job>,
    /// Gives the scores of duties, batch by batch; ends if the thread has ended.
    pub finished: mpsc::Receiver<Finished>,
}

impl Compute {
    /// Starts the thread with a queue for `queue` jobs and batches of `batch_tokens`.
    pub fn start(model: Model, queue: usize, batch_tokens: usize) -> std::io::Result<Self> {
        let (jobs, queued) = mpsc::channel(queue);
        let (results, finished) = mpsc::channel(queue);
        let worker = ComputeThread {
            model,
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
    model: Model,
    batch_tokens: usize,
    queue: usize,
    results: mpsc::Sender<Finished>,
}

impl ComputeThread {
    fn run(mut self, mut queued: mpsc::Receiver<Job>) {
        let mut jobs = Vec::new();
        while queued.blocking_recv_many(&mut jobs, self.queue) > 0 {
            let encoded = self.encode(std::mem::take(&mut jobs));
            let lengths: Vec<usize> = encoded.iter().map(|(_, pair, _)| pair.ids.len()).collect();
            let mut encoded: Vec<Option<_>> = encoded.into_iter().map(Some).collect();
            for batch in plan(&lengths, self.batch_tokens) {
                let batch: Vec<_> = batch
                    .into_iter()
                    .filter_map(|index| encoded[index].take())
                    .filter(|(job, ..)| !job.asker.has_given_up())
                    .collect();
                if !batch.is_empty() {
                    self.score(batch);
                }
            }
        }
        debug!("the compute thread ends");
    }

    /// Jobs with their tokens and the time that tokenizing took.
    fn encode(&self, jobs: Vec<Job>) -> Vec<(Job, Encoded, Duration)> {
        let mut encoded = Vec::with_capacity(jobs.len());
        for job in jobs {
            if job.asker.has_given_up() {
                continue;
            }
            let started = Instant::now();
            match self.tokens(&job) {
                Ok(pair) => encoded.push((job, pair, started.elapsed())),
                Err(error) => self.finish(job, Err(Arc::new(error))),
            }
        }
        encoded
    }

    fn tokens(&self, job: &Job) -> Result<Encoded, Error> {
        let pair = self.model.encode(&job.prompt, &job.answer)?;
        if pair.truncated > 0 && job.asker.refuses_truncation() {
            return Err(Error::TooLong {
                tokens: pair.ids.len() + pair.truncated,
                most: pair.ids.len(),
            });
        }
        Ok(pair)
    }

    fn score(&mut self, batch: Vec<(Job, Encoded, Duration)>) {
        let started = Instant::now();
        let mut jobs = Vec::with_capacity(batch.len());
        let mut pairs = Vec::with_capacity(batch.len());
        for (job, pair, tokenizing) in batch {
            jobs.push((job, tokenizing));
            pairs.push(pair);
        }
        let scores = self.model.score(&pairs);
        let inference = started.elapsed();
        histogram!("poq_evaluator_scoring_seconds").record(inference);
        let scores = match scores {
            Ok(scores) => scores,
            Err(error) => {
                error!(pairs = pairs.len(), %error, "a batch could not be scored");
                let error = Arc::new(error);
                for (job, _) in jobs {
                    self.finish(job, Err(Arc::clone(&error)));
                }
                return;
            }
        };
        for (((job, tokenizing), pair), score) in jobs.into_iter().zip(&pairs).zip(scores) {
            let queued = started.duration_since(job.queued);
            histogram!("poq_evaluator_queue_seconds").record(queued);
            let seat = match &job.asker {
                Asker::Duty(duty) => Some(duty.seat),
                Asker::Request { .. } => None,
            };
            info!(
                task = seat.map(|seat| seat.task),
                attempt = seat.map(|seat| seat.attempt),
                tokens = pair.ids.len(),
                truncated_tokens = pair.truncated,
                batch_pairs = pairs.len(),
                queue_ms = milliseconds(queued),
                tokenize_ms = milliseconds(tokenizing),
                batch_inference_ms = milliseconds(inference),
                "scored"
            );
            self.finish(job, score.map_err(Arc::new));
        }
    }

    fn finish(&self, job: Job, outcome: Outcome) {
        let label = match outcome {
            Ok(_) => "scored",
            Err(_) => "failed",
        };
        counter!("poq_evaluator_pairs_total", "outcome" => label).increment(1);
        let is_taken = match job.asker {
            Asker::Request { reply, .. } => reply.send(outcome).is_ok(),
            Asker::Duty(duty) => {
                let raw_score = outcome
                    .map(|score| score.raw_score)
                    .map_err(|error| error.to_string());
                let finished = Finished { duty, raw_score };
                self.results.blocking_send(finished).is_ok()
            }
        };
        if !is_taken {
            debug!("nobody waits any more; a score is dropped");
        }
    }
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn batches_across_tasks_give_the_scores_of_single_pairs() {
        let pairs = testing::pairs();
        let mut compute = Compute::start(testing::model(), pairs.len(), 300).unwrap();
        for (task_id, (prompt, answer)) in (0..).zip(pairs.clone()) {
            let job = Job {
                asker: Asker::Duty(Duty {
                    seat: Seat {
                        task: task_id,
                        attempt: 2,
                    },
                    due_height: 9,
                    pair_sha256: task_id.to_string(),
                }),
                prompt,
                answer,
                queued: Instant::now(),
            };
            compute.jobs.try_send(job).unwrap();
        }
        drop(compute.jobs);
        let mut scores = vec![None; pairs.len()];
        while let Some(finished) = compute.finished.blocking_recv() {
            let Duty {
                seat, pair_sha256, ..
            } = finished.duty;
            assert_eq!(pair_sha256, seat.task.to_string());
            scores[seat.task as usize] = Some(finished.raw_score.unwrap());
        }
        let mut model = testing::model();
        for ((prompt, answer), raw_score) in pairs.iter().zip(scores) {
            let pair = model.encode(prompt, answer).unwrap();
            let alone = model.score(&[pair]).unwrap().remove(0).unwrap().raw_score;
            assert!(
                (alone - raw_score.unwrap()).abs() <= 10,
                "{prompt} {answer}"
            );
        }
    }
}
