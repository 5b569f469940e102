//! The one thread that computes scores, behind a bounded queue.

use std::time::{Duration, Instant};

use metrics::{counter, histogram};
use tokio::sync::mpsc;
use tracing::{debug, error, info};

use crate::journal::Seat;
use crate::scorer::{Encoded, Error, Model, Score, plan};

/// A pair to be scored.
#[derive(Debug)]
pub struct Job {
    /// For which seat.
    pub seat: Seat,
    /// Last height at which the commitment is of use.
    pub due_height: u64,
    /// See [`crate::journal::pair_digest`].
    pub pair_sha256: String,
    /// What the user asked.
    pub prompt: String,
    /// What the inference node answered.
    pub answer: String,
    /// When it was queued.
    pub queued: Instant,
}

/// A pair that has its score, or cannot have one.
#[derive(Debug)]
pub struct Finished {
    /// The job's seat.
    pub seat: Seat,
    /// The job's height.
    pub due_height: u64,
    /// The job's pair.
    pub pair_sha256: String,
    /// Micro-logits.
    pub raw_score: Result<i32, String>,
}

/// The ends of the compute thread; it stops when `jobs` is dropped.
pub struct Compute {
    /// Takes jobs until the queue is full.
    pub jobs: mpsc::Sender<Job>,
    /// Gives the scores, batch by batch; ends if the thread has ended.
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
                let batch = batch.into_iter().filter_map(|index| encoded[index].take());
                self.score(batch.collect());
            }
        }
        debug!("the compute thread ends");
    }

    /// Jobs with their tokens and the time that tokenizing took.
    fn encode(&self, jobs: Vec<Job>) -> Vec<(Job, Encoded, Duration)> {
        let mut encoded = Vec::with_capacity(jobs.len());
        for job in jobs {
            let started = Instant::now();
            match self.model.encode(&job.prompt, &job.answer) {
                Ok(pair) => encoded.push((job, pair, started.elapsed())),
                Err(error) => self.finish(job, Err(error.to_string())),
            }
        }
        encoded
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
                let reason = error.to_string();
                error!(pairs = pairs.len(), reason, "a batch could not be scored");
                for (job, _) in jobs {
                    self.finish(job, Err(reason.clone()));
                }
                return;
            }
        };
        for (((job, tokenizing), pair), score) in jobs.into_iter().zip(&pairs).zip(scores) {
            let queued = started.duration_since(job.queued);
            histogram!("poq_evaluator_queue_seconds").record(queued);
            info!(
                task = job.seat.task,
                attempt = job.seat.attempt,
                tokens = pair.ids.len(),
                truncated_tokens = pair.truncated,
                batch_pairs = pairs.len(),
                queue_ms = milliseconds(queued),
                tokenize_ms = milliseconds(tokenizing),
                batch_inference_ms = milliseconds(inference),
                "scored"
            );
            self.finish(job, reduce(score));
        }
    }

    fn finish(&self, job: Job, raw_score: Result<i32, String>) {
        let outcome = match raw_score {
            Ok(_) => "scored",
            Err(_) => "failed",
        };
        counter!("poq_evaluator_pairs_total", "outcome" => outcome).increment(1);
        let finished = Finished {
            seat: job.seat,
            due_height: job.due_height,
            pair_sha256: job.pair_sha256,
            raw_score,
        };
        if self.results.blocking_send(finished).is_err() {
            debug!("the evaluator stops; a score is dropped");
        }
    }
}

fn reduce(score: Result<Score, Error>) -> Result<i32, String> {
    score
        .map(|score| score.raw_score)
        .map_err(|error| error.to_string())
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn scores_come_back_for_every_job() {
        let pairs = testing::pairs();
        let mut compute = Compute::start(testing::model(), pairs.len(), 300).unwrap();
        for (task_id, (prompt, answer)) in (0..).zip(pairs.clone()) {
            let job = Job {
                seat: Seat {
                    task: task_id,
                    attempt: 2,
                },
                due_height: 9,
                pair_sha256: task_id.to_string(),
                prompt,
                answer,
                queued: Instant::now(),
            };
            compute.jobs.try_send(job).unwrap();
        }
        drop(compute.jobs);
        let mut scores = vec![None; pairs.len()];
        while let Some(finished) = compute.finished.blocking_recv() {
            assert_eq!(finished.pair_sha256, finished.seat.task.to_string());
            scores[finished.seat.task as usize] = Some(finished.raw_score.unwrap());
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
