//! The evaluator's main loop: duties in, commitments and reveals out.

use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail};
use metrics::gauge;
use poq_client::worker::Worker;
use poq_client::{Client, Follower, Sender};
use poq_proto::v1::{Duty, Role, TaskStatus};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::compute::{self, Asker, Compute, Finished, Job};
use crate::duties::{Duties, Key, Step};
use crate::journal::{self, Entry, Journal, Seat};
use crate::submit::{Submission, Verdict};

/// Looks at the chain between two prunings of the journal.
const PRUNE_INTERVAL: u64 = 50;

/// Does an evaluator's duties until it is told to stop.
pub struct Evaluator {
    client: Client,
    sender: Arc<Sender>,
    /// Ids of the evaluator models, in the order of those that are loaded.
    models: Vec<String>,
    /// Most items that the chain takes in one message.
    max_items: usize,
    journal: Journal,
    duties: Duties,
    jobs: mpsc::Sender<Job>,
    submissions: JoinSet<Verdict>,
    looks: u64,
}

impl Evaluator {
    /// Runs until `shutdown` is cancelled. `models` are the ids of the evaluator models that
    /// `compute` has, in its order, `max_items` what the chain takes in one message at most. An
    /// error is one that only a person can mend.
    pub async fn run(
        worker: Worker,
        models: Vec<String>,
        max_items: u32,
        journal: Journal,
        compute: Compute,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let evaluator = Self {
            client: worker.client,
            sender: Arc::new(worker.sender),
            models,
            max_items: max_items.max(1) as usize,
            journal,
            duties: Duties::default(),
            jobs: compute.jobs,
            submissions: JoinSet::new(),
            looks: 0,
        };
        evaluator
            .serve(worker.follower, compute.finished, shutdown)
            .await
    }

    async fn serve(
        mut self,
        mut follower: Follower,
        mut finished: mpsc::Receiver<Finished>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        // Duties that were open when the evaluator stopped must not wait for the next block.
        self.look_or_warn().await?;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                height = follower.next() => {
                    if self.look_or_warn().await? {
                        follower.done(height)?;
                    }
                }
                score = finished.recv() => {
                    let Some(score) = score else {
                        bail!("the compute thread ended; its last log lines say why; start the evaluator again");
                    };
                    let mut scores = vec![score];
                    while let Ok(score) = finished.try_recv() {
                        scores.push(score);
                    }
                    self.commit_scores(scores)?;
                }
                Some(verdict) = self.submissions.join_next() => {
                    self.settle(verdict.context("a submission ended early")?);
                }
            }
        }
        info!("stops; open duties go on from the journal at the next start");
        Ok(())
    }

    /// Whether the look succeeded. What the chain or the node causes is logged and passes; what
    /// the journal causes is an error.
    async fn look_or_warn(&mut self) -> anyhow::Result<bool> {
        match self.look().await {
            Ok(()) => Ok(true),
            Err(LookError::Chain(error)) => {
                warn!(%error, "cannot look for duties; trying again");
                Ok(false)
            }
            Err(LookError::Journal(error)) => Err(error.into()),
        }
    }

    async fn look(&mut self) -> Result<(), LookError> {
        let listed = self
            .client
            .duties(Role::Evaluator, self.sender.address())
            .await?
            .value;
        let (mut commits, mut reveals) = (Batch::default(), Batch::default());
        for (key, duty) in self.duties.untouched(&listed) {
            let (prepared, batch) = match key.step {
                Step::Commit => (self.prepare_commit(key, &duty).await, &mut commits),
                Step::Reveal => (self.prepare_reveal(key), &mut reveals),
            };
            match prepared {
                Ok(Some(entry)) => batch.push(entry, duty.due_height),
                Ok(None) => {}
                // One broken duty must not keep the others from being done.
                Err(LookError::Journal(error @ journal::Error::Damaged { .. })) => {
                    error!(%error);
                    self.duties.finish(key);
                }
                Err(LookError::Chain(error)) if !error.is_retryable() => {
                    warn!(task = duty.task_id, %error, "cannot prepare a duty; trying again");
                }
                Err(error) => return Err(error),
            }
        }
        // Reveals first: their window is the one whose miss costs most.
        self.submit(Step::Reveal, reveals);
        self.submit(Step::Commit, commits);
        let waiting = self.jobs.max_capacity() - self.jobs.capacity();
        gauge!("poq_evaluator_queue").set(waiting as f64);
        self.looks += 1;
        if self.looks % PRUNE_INTERVAL == 1 {
            self.prune(&listed).await?;
        }
        Ok(())
    }

    /// The journal's entry for a duty to commit; without one, its pair is queued to be scored.
    async fn prepare_commit(&mut self, key: Key, duty: &Duty) -> Result<Option<Entry>, LookError> {
        let Seat { task, attempt } = key.seat;
        let wanted = &duty.evaluator_model;
        let Some(model) = self.models.iter().position(|model| model == wanted) else {
            error!(
                task,
                attempt,
                wanted,
                loaded = self.models.join(", "),
                "cannot score with a model that is not loaded"
            );
            key.step.count("skipped");
            self.duties.finish(key);
            return Ok(None);
        };
        // A full queue leaves the duty on the chain for a later look.
        let Ok(permit) = self.jobs.clone().try_reserve_owned() else {
            return Ok(None);
        };
        let payload = self.client.payload(task).await?;
        let Some(answer) = payload.answer else {
            warn!(task, attempt, "the node has no answer for this duty");
            return Ok(None);
        };
        let pair_sha256 = journal::pair_digest(&payload.prompt, &answer);
        let known = self.journal.get(key.seat)?.filter(|entry| {
            entry.pair_sha256 == pair_sha256 && entry.chain_id == self.sender.chain_id()
        });
        if known.is_none() {
            self.duties.begin(key);
            permit.send(Job {
                model,
                asker: Asker::Duty(compute::Duty {
                    seat: key.seat,
                    due_height: duty.due_height,
                    pair_sha256,
                }),
                prompt: payload.prompt,
                answer,
                queued: Instant::now(),
            });
        }
        Ok(known)
    }

    fn prepare_reveal(&mut self, key: Key) -> Result<Option<Entry>, LookError> {
        let entry = self.journal.get(key.seat)?;
        if entry.is_none() {
            let Seat { task, attempt } = key.seat;
            error!(
                task,
                attempt,
                "the journal has no entry for a committed score; it cannot be revealed. Was the home moved, or is a second evaluator running with this key?"
            );
            key.step.count("skipped");
            self.duties.finish(key);
        }
        Ok(entry)
    }

    /// Journals new scores, then commits to them.
    fn commit_scores(&mut self, scores: Vec<Finished>) -> anyhow::Result<()> {
        let mut batch = Batch::default();
        for Finished { duty, raw_score } in scores {
            let compute::Duty {
                seat,
                due_height,
                pair_sha256,
            } = duty;
            let key = Key {
                seat,
                step: Step::Commit,
            };
            match raw_score {
                Ok(raw_score) => {
                    let chain_id = self.sender.chain_id();
                    let entry = Entry::new(seat, chain_id, pair_sha256, raw_score);
                    self.journal.put(entry.seat, &entry)?;
                    batch.push(entry, due_height);
                }
                Err(reason) => {
                    error!(
                        task = seat.task,
                        attempt = seat.attempt,
                        reason,
                        "no score; not tried again"
                    );
                    key.step.count("skipped");
                    self.duties.finish(key);
                }
            }
        }
        self.submit(Step::Commit, batch);
        Ok(())
    }

    fn submit(&mut self, step: Step, batch: Batch) {
        for entries in batch.entries.chunks(self.max_items) {
            for entry in entries {
                self.duties.begin(Key {
                    seat: entry.seat,
                    step,
                });
            }
            let submission = Submission {
                step,
                entries: entries.to_vec(),
                due_height: batch.due_height,
            };
            self.submissions
                .spawn(submission.run(Arc::clone(&self.sender)));
        }
    }

    fn settle(&mut self, verdict: Verdict) {
        for key in verdict.over {
            self.duties.finish(key);
        }
        for key in verdict.again {
            self.duties.release(key);
        }
    }

    /// Removes the entries of seats that no phase can ask for any more.
    async fn prune(&self, listed: &[Duty]) -> Result<(), LookError> {
        let open: Vec<Seat> = listed
            .iter()
            .filter_map(|duty| Some(Key::of(duty)?.seat))
            .collect();
        let mut removed = 0_usize;
        for seat in self.journal.keys()? {
            if !open.contains(&seat) && self.is_over(seat).await? {
                self.journal.remove(seat)?;
                removed += 1;
            }
        }
        if removed > 0 {
            info!(removed, "pruned the journal");
        }
        Ok(())
    }

    async fn is_over(&self, seat: Seat) -> poq_client::Result<bool> {
        let task = match self.client.task(seat.task).await {
            Err(error) if error.is_not_found() => return Ok(true),
            task => task?,
        };
        let in_committee = matches!(
            task.status(),
            TaskStatus::Committing | TaskStatus::Revealing
        );
        let current = task.committees.len() == seat.attempt as usize + 1;
        Ok(!(in_committee && current))
    }
}

/// Entries for one step, and the last height at which one of them is of use.
#[derive(Default)]
struct Batch {
    entries: Vec<Entry>,
    due_height: u64,
}

impl Batch {
    fn push(&mut self, entry: Entry, due_height: u64) {
        self.entries.push(entry);
        self.due_height = self.due_height.max(due_height);
    }
}

/// Why a look at the chain ended early.
#[derive(Debug, thiserror::Error)]
enum LookError {
    #[error(transparent)]
    Chain(#[from] poq_client::Error),
    #[error(transparent)]
    Journal(#[from] journal::Error),
}
