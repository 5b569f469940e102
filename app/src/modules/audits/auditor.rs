//! Computes reference scores in the background, ahead of the blocks that use them, on a fixed
//! number of threads.

use std::collections::{BTreeMap, BTreeSet};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::result;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};

use poq_proto::v1::EvaluatorModel;
use poq_store::State;

use super::schedule::{Case, pending};
use crate::error::{Error, Result};

/// The name of the threads that compute scores. A panic there is a result (`Board::compute`).
pub const AUDITOR_THREAD: &str = "auditor";
/// The number of threads that compute scores.
const WORKERS: usize = 2;
/// The most audits that are computed ahead of the blocks that use them.
const LOOKAHEAD: usize = 64;

/// The reference implementation of the evaluator models: a pure function, bit-exact on every
/// machine, since its results enter consensus.
pub trait ReferenceScorer: Send + Sync {
    /// The raw score that an evaluator model gives an answer: micro-logits, or millionths of a
    /// cosine.
    ///
    /// # Errors
    /// [`ScoreError`], whose two kinds consensus treats differently.
    fn score(
        &self,
        model: &EvaluatorModel,
        prompt: &str,
        answer: &str,
    ) -> result::Result<i32, ScoreError>;
}

/// Why there is no reference score.
#[derive(Clone, Debug, thiserror::Error, PartialEq, Eq)]
pub enum ScoreError {
    /// The model gives this text no score. Every node must get this result; the audit then has
    /// nothing against the seats of this model.
    #[error("{0}")]
    NoScore(String),
    /// This node cannot compute the score, for instance because a file is missing. It can no longer
    /// follow consensus and stops.
    #[error("{0}")]
    Unavailable(String),
}

/// A scorer without evaluator models, for tools that execute no blocks with audits.
#[derive(Clone, Copy, Debug)]
pub struct NoReference;

impl ReferenceScorer for NoReference {
    fn score(&self, model: &EvaluatorModel, _: &str, _: &str) -> result::Result<i32, ScoreError> {
        Err(ScoreError::Unavailable(format!(
            "this program does not compute scores of the evaluator model {}",
            model.id
        )))
    }
}

/// Raw scores by evaluator model; none if the model gives the text no score.
pub(super) type Scores = BTreeMap<String, Option<i32>>;
/// The due height and the task: the order in which results are used.
type Order = (u64, u64);

/// Computes the reference scores of scheduled audits in the background. Its results are a pure
/// function of the cases, whatever it was asked before.
pub struct Auditor {
    board: Arc<Board>,
    workers: Vec<JoinHandle<()>>,
}

struct Board {
    scorer: Arc<dyn ReferenceScorer>,
    work: Mutex<Work>,
    changed: Condvar,
}

#[derive(Default)]
struct Work {
    waiting: BTreeMap<Order, Case>,
    running: BTreeSet<Order>,
    done: BTreeMap<Order, result::Result<Scores, String>>,
    closed: bool,
}

impl Auditor {
    /// Starts the threads.
    pub fn new(scorer: Arc<dyn ReferenceScorer>) -> std::io::Result<Self> {
        let board = Arc::new(Board {
            scorer,
            work: Mutex::default(),
            changed: Condvar::new(),
        });
        let worker = || {
            let board = Arc::clone(&board);
            thread::Builder::new()
                .name(AUDITOR_THREAD.into())
                .spawn(move || board.run())
        };
        let started = (0..WORKERS).map(|_| worker());
        let workers = started.collect::<std::io::Result<_>>()?;
        Ok(Self { board, workers })
    }

    /// Replaces the wanted audits, by due height and task: drops the others and returns the new
    /// ones.
    pub fn follow(&self, wanted: &[Order]) -> Vec<Order> {
        let kept: BTreeSet<&Order> = wanted.iter().collect();
        let mut work = self.board.lock();
        work.waiting.retain(|order, _| kept.contains(order));
        work.done.retain(|order, _| kept.contains(order));
        let unknown = wanted.iter().filter(|order| !work.knows(order));
        unknown.copied().collect()
    }

    /// Starts computing cases.
    pub fn begin(&self, cases: impl IntoIterator<Item = Case>) {
        let mut work = self.board.lock();
        for case in cases {
            let order = (case.due_height, case.task);
            if !work.knows(&order) {
                work.waiting.insert(order, case);
            }
        }
        self.board.changed.notify_all();
    }

    /// The scores of cases by task. Waits for those that are not computed yet.
    ///
    /// # Errors
    /// [`Error::Audit`] if this node cannot compute one. Each call tries again.
    pub fn scores(&self, cases: &[Case]) -> Result<BTreeMap<u64, Scores>> {
        let orders = cases.iter().map(|case| (case.due_height, case.task));
        let orders: BTreeSet<Order> = orders.collect();
        let failed = |(order, outcome): (&Order, &result::Result<_, _>)| {
            outcome.is_err() && orders.contains(order)
        };
        self.board
            .lock()
            .done
            .retain(|order, outcome| !failed((order, outcome)));
        self.begin(cases.iter().cloned());
        let mut work = self.board.lock();
        while !orders.iter().all(|order| work.done.contains_key(order)) {
            work = self
                .board
                .changed
                .wait(work)
                .unwrap_or_else(PoisonError::into_inner);
        }
        let found = work.done.iter().filter(|(order, _)| orders.contains(order));
        found
            .map(|((_, task), outcome)| match outcome {
                Ok(scores) => Ok((*task, scores.clone())),
                Err(reason) => Err(Error::Audit {
                    task: *task,
                    reason: reason.clone(),
                }),
            })
            .collect()
    }
}

/// Starts computing the reference scores that a committed state will need.
///
/// # Errors
/// If the store fails. A task that cannot be audited is left to the block that uses its audit.
pub fn follow(auditor: &Auditor, state: &State) -> Result<()> {
    let pending = pending(state, LOOKAHEAD)?.into_iter();
    let pending: Vec<_> = pending.map(|one| (one.due_height, one.task)).collect();
    let unknown = auditor.follow(&pending);
    let cases = unknown
        .into_iter()
        .filter_map(|(due_height, id)| match Case::read(state, due_height, id) {
            Err(error) if error.is_deterministic() => None,
            outcome => Some(outcome),
        })
        .collect::<Result<Vec<_>>>()?;
    auditor.begin(cases);
    Ok(())
}

impl Drop for Auditor {
    /// Waits for the scores that are being computed.
    fn drop(&mut self) {
        self.board.lock().closed = true;
        self.board.changed.notify_all();
        for worker in self.workers.drain(..) {
            // A worker does not panic: see `compute`.
            let _ = worker.join();
        }
    }
}

impl Work {
    fn knows(&self, order: &Order) -> bool {
        self.waiting.contains_key(order)
            || self.running.contains(order)
            || self.done.contains_key(order)
    }
}

impl Board {
    fn lock(&self) -> MutexGuard<'_, Work> {
        self.work.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn run(&self) {
        while let Some((order, case)) = self.next() {
            let outcome = self.compute(&case);
            let mut work = self.lock();
            work.running.remove(&order);
            work.done.insert(order, outcome);
            drop(work);
            self.changed.notify_all();
        }
    }

    /// Waits for the next case; none when the auditor stops.
    fn next(&self) -> Option<(Order, Case)> {
        let mut work = self.lock();
        loop {
            if work.closed {
                return None;
            }
            if let Some((order, case)) = work.waiting.pop_first() {
                work.running.insert(order);
                return Some((order, case));
            }
            work = self
                .changed
                .wait(work)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    fn compute(&self, case: &Case) -> result::Result<Scores, String> {
        let mut scores = Scores::new();
        for (id, model) in &case.models {
            let scored = catch_unwind(AssertUnwindSafe(|| {
                self.scorer.score(model, &case.prompt, &case.answer)
            }));
            let score = match scored {
                Ok(Ok(score)) => Some(score),
                Ok(Err(ScoreError::NoScore(reason))) => {
                    tracing::info!(task = case.task, model = id, reason, "no reference score");
                    None
                }
                Ok(Err(ScoreError::Unavailable(reason))) => return Err(reason),
                // The same text causes the panic on every node: without a result no node would get
                // past this block.
                Err(_) => {
                    tracing::error!(
                        task = case.task,
                        model = id,
                        "the reference evaluator panicked; its model has nothing against any score. \
                         This is a bug, please report it"
                    );
                    None
                }
            };
            scores.insert(id.clone(), score);
        }
        Ok(scores)
    }
}

#[cfg(test)]
mod tests;
