//! The main loop of a worker: follows the chain, does the duties that it lists, and hands in the
//! products.

use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt;
use metrics::gauge;
use poq_client::{Client, Follower, Sender};
use poq_proto::v1::{Duty, Role};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::batches::batches;
use crate::duties::{Begun, Duties, Key};
use crate::params::RecentParams;
use crate::submit::{Submission, Verdict};
use crate::{Chain, Error, Health, Job, Journal, Result, Undone, Worker};

/// Pause between two heartbeats.
const BEAT: Duration = Duration::from_secs(5);
/// Blocks looked at between two prunings of the journal.
const PRUNE_INTERVAL: u64 = 50;
/// Number of the newest journal entries that are kept besides those of listed duties. Losing one
/// that is still needed only costs time.
const KEPT: usize = 10_000;

/// Which duties a worker does.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The operator's role.
    pub role: Role,
    /// Ids of the models that the worker serves.
    pub models: Vec<String>,
    /// Most duties in progress at once; further ones, except reveals, wait on the chain.
    pub capacity: usize,
    /// A duty is stopped this many blocks before its due height.
    pub margin: u64,
}

/// Does duties until `shutdown` is cancelled; continues from the journal.
///
/// # Errors
/// [`Error::Lost`] or [`Error::Panic`], if only a new process can continue.
pub async fn run<W: Worker>(
    worker: Arc<W>,
    chain: Chain,
    journal: Journal<W::Product>,
    settings: Settings,
    health: Health,
    shutdown: CancellationToken,
) -> Result<()> {
    let params = chain.insist(&shutdown, Client::params).await?;
    let Chain { sender, follower } = chain;
    let rounds = Rounds {
        worker,
        sender,
        params: RecentParams::new(params),
        journal: Arc::new(journal),
        duties: Duties::new(settings.margin),
        settings,
        health,
        height: watch::Sender::new(follower.cursor()),
        looks: 0,
        jobs: JoinSet::new(),
        submissions: JoinSet::new(),
        prunings: JoinSet::new(),
    };
    rounds.serve(follower, shutdown).await
}

/// A duty that was done, or could not be done.
struct Done<P> {
    key: Key,
    product: std::result::Result<P, Undone>,
    /// Whether the product is the one in the journal.
    is_kept: bool,
}

struct Rounds<W: Worker> {
    worker: Arc<W>,
    sender: Arc<Sender>,
    params: RecentParams,
    journal: Arc<Journal<W::Product>>,
    duties: Duties<W::Product>,
    settings: Settings,
    health: Health,
    /// The newest height, for tasks that wait for blocks.
    height: watch::Sender<u64>,
    looks: u64,
    jobs: JoinSet<Done<W::Product>>,
    submissions: JoinSet<Verdict>,
    prunings: JoinSet<()>,
}

impl<W: Worker> Rounds<W> {
    async fn serve(mut self, mut follower: Follower, shutdown: CancellationToken) -> Result<()> {
        let mut beats = interval(BEAT);
        let worker = Arc::clone(&self.worker);
        let mut lost = pin!(worker.lost());
        self.health.started();
        info!(operator = self.sender.address(), models = ?self.settings.models, "waiting for duties");
        // Duties that were open when the worker stopped must not wait for the next block.
        self.look(follower.cursor()).await;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                reason = &mut lost => {
                    self.health.lose(reason.clone());
                    return Err(Error::Lost(reason));
                }
                Some(done) = self.jobs.join_next() => self.take(done?)?,
                Some(verdict) = self.submissions.join_next() => self.settle(verdict?),
                Some(_) = self.prunings.join_next() => {}
                _ = beats.tick() => self.health.beat(),
                height = follower.next() => {
                    if self.look(height).await {
                        follower.done(height);
                    }
                }
            }
        }
        self.duties.stop();
        info!("stopping; open duties continue from the journal at the next start");
        Ok(())
    }

    /// Updates the duties to those that the chain lists at a new height. Returns whether that
    /// worked.
    async fn look(&mut self, height: u64) -> bool {
        self.height.send_replace(height);
        let operator = self.sender.address();
        let listed = match self
            .sender
            .client()
            .duties(self.settings.role, operator)
            .await
        {
            Ok(listed) => listed,
            Err(error) => {
                warn!(height, %error, "cannot query duties; retrying");
                return false;
            }
        };
        let height = height.max(listed.height);
        self.height.send_replace(height);
        let journal = &self.journal;
        let expired = self
            .duties
            .update(height, &listed.value, |seat| journal.has(seat));
        for key in expired {
            let (step, task) = (key.step.name(), key.seat.task);
            warn!(step, task, height, "too late for this duty");
            key.step.count("expired");
        }
        self.advance();
        self.prune_at_times(&listed.value);
        self.params.refresh(self.sender.client(), height).await;
        true
    }

    /// Hands in what is ready, and begins as many duties as there is room for.
    fn advance(&mut self) {
        self.hand_in();
        while let Some(begun) = self.duties.begin(self.jobs.len() < self.settings.capacity) {
            self.begin(begun);
        }
        // Duties that needed only the journal are handed in together.
        self.hand_in();
        gauge!("poq_worker_duties_open").set(self.duties.open() as f64);
    }

    fn begin(&mut self, begun: Begun) {
        let Begun {
            key,
            duty,
            is_doubted,
            stop,
        } = begun;
        let model = match self.settings.role {
            Role::Inference => &duty.model,
            _ => &duty.evaluator_model,
        };
        if !self.settings.models.contains(model) {
            error!(task = key.seat.task, model, "this model is not served");
            key.step.count("skipped");
            return self.duties.finish(key);
        }
        let kept = self.journal.find(key.seat);
        let job = Job {
            key,
            duty,
            kept: kept.clone(),
            is_doubted,
            stop,
        };
        let worker = Arc::clone(&self.worker);
        let mut done = Box::pin(async move {
            let product = worker.perform(job).await;
            Done {
                key,
                is_kept: kept.as_ref() == product.as_ref().ok(),
                product,
            }
        });
        match (&mut done).now_or_never() {
            Some(done) => self.keep(done),
            None => drop(self.jobs.spawn(done)),
        }
    }

    /// Collects all duties that are done by now.
    fn take(&mut self, first: Done<W::Product>) -> Result<()> {
        self.keep(first);
        while let Some(more) = self.jobs.try_join_next() {
            self.keep(more?);
        }
        self.advance();
        Ok(())
    }

    fn keep(&mut self, done: Done<W::Product>) {
        let key = done.key;
        let (step, task, attempt) = (key.step.name(), key.seat.task, key.seat.attempt);
        match done.product {
            Ok(product) => {
                if !self.duties.made(key, product, done.is_kept) {
                    info!(step, task, attempt, "no longer needed");
                }
            }
            Err(Undone::Later(reason)) => {
                warn!(
                    step,
                    task, attempt, reason, "not done; retried while it is listed"
                );
                self.duties.release(key);
            }
            Err(Undone::Failed(reason)) => {
                if self.duties.failed(key) {
                    warn!(step, task, attempt, reason, "not done; retrying");
                } else {
                    error!(step, task, attempt, reason, "not done; giving up");
                    key.step.count("skipped");
                }
            }
        }
    }

    /// Saves and sends what is ready, in as few transactions as the chain allows.
    fn hand_in(&mut self) {
        let mut ready = self.duties.ready();
        ready.retain(|key| self.save(*key));
        for keys in ready.chunk_by(|a, b| a.step == b.step) {
            let bytes = |key: &Key| self.message(&[*key]).value.len();
            let most = |key: &Key| self.duties.most(*key);
            for keys in batches(keys.to_vec(), self.params.get(), bytes, most) {
                self.submit(keys);
            }
        }
    }

    /// Returns whether a product may be handed in.
    fn save(&mut self, key: Key) -> bool {
        let Some(product) = self.duties.unsaved(key) else {
            return true;
        };
        let Err(error) = self.journal.put(key.seat, product) else {
            self.duties.saved(key);
            if !self.duties.is_journal_behind() {
                self.health.set("journal", None);
            }
            return true;
        };
        error!(%error, "cannot write the journal: no new commitments until it works; other duties continue");
        self.health.set("journal", Some(error.to_string()));
        if key.step.needs_disk() {
            self.duties.release(key);
        }
        !key.step.needs_disk()
    }

    /// The message that hands in products of one step.
    fn message(&self, keys: &[Key]) -> poq_client::Any {
        let products: Vec<_> = keys
            .iter()
            .filter_map(|key| Some((key.seat, self.duties.product(*key)?)))
            .collect();
        self.worker.message(keys[0].step, &products)
    }

    fn submit(&mut self, keys: Vec<Key>) {
        let due_heights = keys.iter().map(|key| self.duties.due_height(*key));
        let submission = Submission {
            step: keys[0].step,
            message: self.message(&keys),
            due_height: due_heights.max().unwrap_or(0),
            keys,
        };
        for key in &submission.keys {
            self.duties.sending(*key);
        }
        let heights = self.height.subscribe();
        let sender = Arc::clone(&self.sender);
        self.submissions.spawn(submission.run(sender, heights));
    }

    fn settle(&mut self, verdict: Verdict) {
        for key in verdict.over {
            self.duties.finish(key);
        }
        for key in verdict.again {
            self.duties.release(key);
        }
        self.duties.split(&verdict.split);
        for key in verdict.doubted {
            self.duties.doubt(key);
        }
    }

    fn prune_at_times(&mut self, listed: &[Duty]) {
        self.looks += 1;
        if self.looks % PRUNE_INTERVAL != 1 || !self.prunings.is_empty() {
            return;
        }
        let oldest_open = listed.iter().map(|duty| duty.task_id).min();
        let journal = Arc::clone(&self.journal);
        self.prunings.spawn_blocking(move || {
            if let Err(error) = journal.prune(KEPT, oldest_open.unwrap_or(u64::MAX)) {
                warn!(%error, "cannot prune the journal");
            }
        });
    }
}

#[cfg(test)]
mod tests;
