//! A round: the jobs that are scored together.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use metrics::{counter, histogram};
use poq_reference_evaluator::Junk;
use tracing::{debug, error, info};

use super::job::{Job, Outcome};
use crate::scorer::{Batch, Encoded, Error, Model, Row, Score, Window, in_lanes};

/// Pairs and their windows; the windows may share batches with those of other pairs.
pub(super) struct Round<'a> {
    models: &'a [Model],
    windows: Vec<Part>,
    /// `None` once it is finished.
    pairs: Vec<Mutex<Option<Pair>>>,
}

/// One window of a pair.
struct Part {
    model: usize,
    /// The pair's index.
    pair: usize,
    /// Its index among the pair's windows.
    place: usize,
    window: Window,
}

/// A pair that waits for the rows of its windows.
struct Pair {
    job: Job,
    /// Tokens of all windows.
    tokens: usize,
    truncated: usize,
    tokenizing: Duration,
    /// By window.
    rows: Vec<Option<Row>>,
    /// When the first of its batches began.
    begun: Option<Instant>,
}

impl<'a> Round<'a> {
    /// Tokenizes the pairs; those that cannot be scored get their errors at once.
    pub(super) fn new(models: &'a [Model], jobs: Vec<Job>) -> Self {
        let mut round = Self {
            models,
            windows: Vec::new(),
            pairs: Vec::with_capacity(jobs.len()),
        };
        for job in jobs {
            round.add(job);
        }
        round
    }

    /// Scores all windows, in batches of at most `batch_tokens`.
    pub(super) fn run(&self, batch_tokens: usize) {
        let windows: Vec<(usize, usize)> = self
            .windows
            .iter()
            .map(|part| (part.model, part.window.ids.len()))
            .collect();
        let batches = Batch::plan(&windows, self.models.len(), batch_tokens);
        let sessions = self.models.iter().map(Model::sessions).min().unwrap_or(1);
        in_lanes(batches, sessions, |session, batch| {
            self.score(session, &batch)
        });
    }

    fn add(&mut self, job: Job) {
        if job.reply.is_closed() {
            return;
        }
        let started = Instant::now();
        let Encoded {
            junk,
            windows,
            read,
            truncated,
            ..
        } = match self.models[job.model].encode(&job.prompt, &job.answer) {
            Ok(encoded) => encoded,
            Err(error) => return finish(job, Err(Arc::new(error))),
        };
        if truncated > 0 && !job.truncate {
            let error = Error::TooLong {
                tokens: read + truncated,
                most: read,
            };
            return finish(job, Err(Arc::new(error)));
        }
        if let Some(junk) = junk {
            return self.cap(job, junk);
        }
        let pair = Pair {
            tokens: windows.iter().map(|window| window.ids.len()).sum(),
            truncated,
            tokenizing: started.elapsed(),
            rows: vec![None; windows.len()],
            begun: None,
            job,
        };
        let parts = windows.into_iter().enumerate();
        self.windows.extend(parts.map(|(place, window)| Part {
            model: pair.job.model,
            pair: self.pairs.len(),
            place,
            window,
        }));
        self.pairs.push(Mutex::new(Some(pair)));
    }

    /// A pair without windows is in no batch.
    fn cap(&self, job: Job, junk: Junk) {
        let model = &self.models[job.model];
        let seat = job.seat;
        info!(
            task = seat.map(|seat| seat.task),
            attempt = seat.map(|seat| seat.attempt),
            model = model.registered().id,
            junk = junk.name(),
            "scored"
        );
        let score = Score::of(model.kind(), &[]);
        finish(job, score.map_err(Arc::new));
    }

    fn score(&self, session: usize, batch: &Batch) {
        let started = Instant::now();
        let parts: Vec<&Part> = batch
            .windows
            .iter()
            .map(|window| &self.windows[*window])
            .filter(|part| self.begin(part.pair, started))
            .collect();
        if parts.is_empty() {
            return;
        }
        let windows: Vec<&Window> = parts.iter().map(|part| &part.window).collect();
        let rows = self.models[batch.model].rows(session, &windows);
        histogram!("poq_evaluator_scoring_seconds").record(started.elapsed());
        match rows {
            Ok(rows) => {
                for (part, row) in parts.into_iter().zip(rows) {
                    self.record(part, row);
                }
            }
            Err(error) => {
                error!(windows = windows.len(), %error, "a batch could not be scored");
                let error = Arc::new(error);
                for part in parts {
                    self.fail(part.pair, &error);
                }
            }
        }
    }

    /// Whether this pair's score is still needed.
    fn begin(&self, pair: usize, now: Instant) -> bool {
        let mut waiting = self.lock(pair);
        if let Some(pair) = &mut *waiting
            && !pair.job.reply.is_closed()
        {
            if pair.begun.is_none() {
                let queued = now.duration_since(pair.job.queued);
                histogram!("poq_evaluator_queue_seconds").record(queued);
                pair.begun = Some(now);
            }
            return true;
        }
        *waiting = None;
        false
    }

    fn record(&self, part: &Part, row: Row) {
        let mut waiting = self.lock(part.pair);
        let Some(pair) = &mut *waiting else {
            return;
        };
        pair.rows[part.place] = Some(row);
        if pair.rows.iter().any(Option::is_none) {
            return;
        }
        if let Some(pair) = waiting.take() {
            self.log(&pair);
            let rows: Vec<Row> = pair.rows.into_iter().flatten().collect();
            let score = Score::of(self.models[part.model].kind(), &rows);
            finish(pair.job, score.map_err(Arc::new));
        }
    }

    fn fail(&self, pair: usize, error: &Arc<Error>) {
        let taken = self.lock(pair).take();
        if let Some(pair) = taken {
            finish(pair.job, Err(Arc::clone(error)));
        }
    }

    fn lock(&self, pair: usize) -> std::sync::MutexGuard<'_, Option<Pair>> {
        self.pairs[pair]
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, pair: &Pair) {
        let seat = pair.job.seat;
        let begun = pair.begun.unwrap_or(pair.job.queued);
        info!(
            task = seat.map(|seat| seat.task),
            attempt = seat.map(|seat| seat.attempt),
            model = self.models[pair.job.model].registered().id,
            windows = pair.rows.len(),
            tokens = pair.tokens,
            truncated_tokens = pair.truncated,
            queue_ms = milliseconds(begun.duration_since(pair.job.queued)),
            tokenize_ms = milliseconds(pair.tokenizing),
            inference_ms = milliseconds(begun.elapsed()),
            "scored"
        );
    }
}

fn finish(job: Job, outcome: Outcome) {
    let label = match outcome {
        Ok(_) => "scored",
        Err(_) => "failed",
    };
    counter!("poq_evaluator_pairs_total", "outcome" => label).increment(1);
    if job.reply.send(outcome).is_err() {
        debug!("the receiver is gone; dropping a score");
    }
}

fn milliseconds(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}
