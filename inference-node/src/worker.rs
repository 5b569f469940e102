//! The worker: follows the chain, has duties answered, and hands the answers in.

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, gauge};
use poq_client::worker::{Health, Worker};
use poq_client::{Client, Follower, RecentParams, Sender, batches};
use poq_proto::v1::{Duty, Params, Role, Task};
use prost::Message as _;
use tokio::sync::watch;
use tokio::task::{JoinError, JoinSet};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::answering::{AnswerJob, DutyError};
use crate::compute::{self, Compute};
use crate::config::DutiesConfig;
use crate::duties::{Assigned, Duties, Kept};
use crate::journal::{self, Answer, DutyKey, Journal};
use crate::submit::{Submission, Verdict};

/// Pause between two signs of life.
const BEAT: Duration = Duration::from_secs(5);
/// Looks at the chain between two prunings of the journal.
const PRUNE_INTERVAL: u64 = 50;

/// Why the worker ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Only a new process can answer again.
    #[error(
        "the language model is lost, its last log lines say why; the process ends so that its supervisor starts it anew"
    )]
    ModelLost,
    /// A part of the worker panicked.
    #[error("a part of the worker ended early: {0}")]
    Panic(#[from] JoinError),
}

/// What a worker works with.
pub struct Setup {
    /// The way onto the chain.
    pub chain: Worker,
    /// As they were at the start.
    pub params: Params,
    /// Id of the model that `compute` has.
    pub model: String,
    /// How duties are done.
    pub settings: DutiesConfig,
    /// The way to the model.
    pub compute: Compute,
    /// The answers on disk.
    pub journal: Journal,
    /// Who watches hears of trouble by it.
    pub health: Health,
}

/// A generation that ended.
struct Finished {
    key: DutyKey,
    result: Result<Answer, DutyError>,
}

/// An entry of an earlier process, and the task that it may be for.
struct Checked {
    key: DutyKey,
    entry: Answer,
    task: poq_client::Result<Task>,
}

/// Does the duties of one inference node.
pub struct InferenceWorker {
    client: Client,
    sender: Arc<Sender>,
    chain_id: Arc<str>,
    params: RecentParams,
    model: Arc<str>,
    max_tokens: usize,
    compute: Compute,
    journal: Arc<Journal>,
    health: Health,
    duties: Duties,
    /// The newest height, also for those that wait for blocks.
    height: watch::Sender<u64>,
    looks: u64,
    /// Answers to listed duties.
    known: BTreeMap<DutyKey, Answer>,
    /// Entries of the journal that are for other tasks of the same number.
    foreign: BTreeSet<DutyKey>,
    /// What ends the generations that run.
    stops: BTreeMap<DutyKey, CancellationToken>,
    answers: JoinSet<Finished>,
    checks: JoinSet<Checked>,
    submissions: JoinSet<Verdict>,
    prunings: JoinSet<()>,
}

impl InferenceWorker {
    /// Works until `shutdown` is cancelled, from where the journal ends.
    ///
    /// # Errors
    /// [`Error`] when only a new process can go on.
    pub async fn run(setup: Setup, shutdown: CancellationToken) -> Result<(), Error> {
        let Setup {
            chain,
            params,
            model,
            settings,
            compute,
            journal,
            health,
        } = setup;
        let operator = chain.sender.address();
        info!(operator, model, "waiting for duties");
        let worker = Self {
            client: chain.client,
            chain_id: chain.sender.chain_id().into(),
            sender: chain.sender,
            params: RecentParams::new(params),
            model: model.into(),
            max_tokens: settings.max_tokens,
            // As many as can run stand in the model's line too, so that no guest slips in
            // between two duties.
            duties: Duties::new(
                settings.margin_blocks,
                settings.queue,
                2 * compute.concurrency(),
            ),
            compute,
            journal: Arc::new(journal),
            health,
            height: watch::Sender::new(chain.follower.cursor()),
            looks: 0,
            known: BTreeMap::new(),
            foreign: BTreeSet::new(),
            stops: BTreeMap::new(),
            answers: JoinSet::new(),
            checks: JoinSet::new(),
            submissions: JoinSet::new(),
            prunings: JoinSet::new(),
        };
        worker.serve(chain.follower, shutdown).await
    }

    async fn serve(
        mut self,
        mut follower: Follower,
        shutdown: CancellationToken,
    ) -> Result<(), Error> {
        let mut beats = interval(BEAT);
        let compute = self.compute.clone();
        self.health.started();
        // Duties that were open when the worker stopped must not wait for the next block.
        self.look(follower.cursor()).await;
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                () = compute.lost() => {
                    self.health.lose("the language model is lost");
                    return Err(Error::ModelLost);
                }
                Some(finished) = self.answers.join_next() => self.keep(finished?),
                Some(checked) = self.checks.join_next() => self.compare(checked?),
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
        self.stops.values().for_each(CancellationToken::cancel);
        Ok(())
    }

    /// Takes over what the chain asks for at a new height. Tells whether that worked.
    async fn look(&mut self, height: u64) -> bool {
        self.height.send_replace(height);
        let operator = self.sender.address();
        let listed = match self.client.duties(Role::Inference, operator).await {
            Ok(listed) => listed,
            Err(error) => {
                warn!(height, "cannot read the duties: {error}");
                return false;
            }
        };
        let height = height.max(listed.height);
        self.height.send_replace(height);
        self.forget(&listed.value);
        let actions = self.duties.update(height, &listed.value, |key| {
            if self.known.contains_key(&key) {
                Kept::Checked
            } else if !self.foreign.contains(&key) && self.journal.has(key) {
                Kept::Unchecked
            } else {
                Kept::Nothing
            }
        });
        counter!("poq_inference_duties_total", "outcome" => "too_late")
            .increment(actions.too_late.len() as u64);
        for key in &actions.too_late {
            let (task, attempt) = (key.task, key.attempt);
            warn!(task, attempt, height, "too late to answer this task");
        }
        for stop in actions.stop.iter().filter_map(|key| self.stops.get(key)) {
            stop.cancel();
        }
        self.submit(&actions.submit);
        for key in actions.check {
            self.check(key);
        }
        self.start_waiting();
        gauge!("poq_inference_duties_open").set(self.duties.open() as f64);
        self.prune_at_times(&listed.value);
        self.params.refresh(&self.client, height).await;
        true
    }

    /// What is listed no more is nobody's concern.
    fn forget(&mut self, listed: &[Duty]) {
        let listed: BTreeSet<DutyKey> = listed
            .iter()
            .map(|duty| DutyKey {
                task: duty.task_id,
                attempt: duty.attempt,
            })
            .collect();
        self.known.retain(|key, _| listed.contains(key));
        self.foreign.retain(|key| listed.contains(key));
    }

    /// Asks the node what an entry of an earlier process must answer.
    fn check(&mut self, key: DutyKey) {
        let Some(entry) = self.journal.find(key) else {
            self.foreign.insert(key);
            return self.duties.checked(key);
        };
        let client = self.client.clone();
        self.checks.spawn(async move {
            let task = client.task(key.task).await;
            Checked { key, entry, task }
        });
    }

    /// Hands in what an earlier process has answered, if it was this task.
    fn compare(&mut self, Checked { key, entry, task }: Checked) {
        self.duties.checked(key);
        match task {
            Ok(task) if entry.is_for(&self.chain_id, &task) => {
                self.known.insert(key, entry);
                self.submit(&[key]);
            }
            Ok(_) => {
                let (task, of) = (key.task, &entry.chain_id);
                warn!(
                    task,
                    chain = of,
                    "the journal's answer is to another task of this number"
                );
                self.foreign.insert(key);
            }
            Err(error) => warn!(task = key.task, "cannot compare an answer yet: {error}"),
        }
    }

    /// Puts a finished answer on disk, then hands it in.
    fn keep(&mut self, Finished { key, result }: Finished) {
        self.stops.remove(&key);
        let is_wanted = self.duties.finished(key);
        match result {
            _ if !is_wanted => info!(task = key.task, "nobody waits for this answer any more"),
            Ok(answer) => {
                counter!("poq_inference_duties_total", "outcome" => "answered").increment(1);
                self.put(key, &answer);
                self.known.insert(key, answer);
                self.submit(&[key]);
            }
            Err(DutyError::Compute(compute::Error::ShuttingDown)) => {}
            // Unless it is over, the duty is listed again at the next height.
            Err(error) => {
                counter!("poq_inference_duties_total", "outcome" => "failed").increment(1);
                warn!(task = key.task, "no answer: {error}");
            }
        }
        self.start_waiting();
    }

    /// An answer that is not on disk is handed in all the same: a restart before a block has it
    /// costs a generation, silence costs stake.
    fn put(&self, key: DutyKey, answer: &Answer) {
        let problem = self.journal.put(key, answer).err();
        if let Some(error) = &problem {
            error!("going on without a journal: {error}");
        }
        self.health
            .set("journal", problem.map(|error| error.to_string()));
    }

    /// Starts as many duties as can run.
    fn start_waiting(&mut self) {
        while let Some(duty) = self.duties.start_next() {
            self.start(duty);
        }
    }

    fn start(&mut self, duty: Assigned) {
        info!(
            task = duty.key.task,
            attempt = duty.key.attempt,
            due_height = duty.due_height,
            open = self.duties.open(),
            "next to answer"
        );
        let stop = CancellationToken::new();
        self.stops.insert(duty.key, stop.clone());
        let job = AnswerJob {
            client: self.client.clone(),
            compute: self.compute.clone(),
            chain_id: self.chain_id.clone(),
            model: self.model.clone(),
            max_tokens: self.max_tokens,
            stop,
        };
        self.answers.spawn(async move {
            let key = duty.key;
            let result = job.run(duty).await;
            Finished { key, result }
        });
    }

    /// Sends known answers on their way, as many in one transaction as the chain takes.
    fn submit(&mut self, keys: &[DutyKey]) {
        let items = keys.iter().filter_map(|key| {
            let item = self.known.get(key)?.item(*key);
            Some((*key, item))
        });
        let batches = batches(
            items.collect(),
            self.params.get(),
            |(_, item)| item.encoded_len(),
            |(key, _)| self.duties.most(*key),
        );
        for batch in batches {
            let (keys, items): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            keys.iter().for_each(|key| self.duties.sending(*key));
            let due = keys.iter().filter_map(|key| self.duties.due(*key)).max();
            let submission = Submission {
                keys,
                items,
                due_height: due.unwrap_or(0),
            };
            let heights = self.height.subscribe();
            self.submissions
                .spawn(submission.run(Arc::clone(&self.sender), heights));
        }
    }

    fn settle(&mut self, verdict: Verdict) {
        match verdict {
            Verdict::Settled(keys) => {
                let height = *self.height.borrow();
                for key in keys {
                    self.duties.submitted(key, height);
                }
            }
            Verdict::Again(keys) => keys.iter().for_each(|key| self.duties.not_sent(*key)),
            Verdict::Split(keys) => self.duties.split(&keys),
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
            if let Err(error) = journal.prune(journal::KEPT, oldest_open.unwrap_or(u64::MAX)) {
                warn!("cannot prune the journal: {error}");
            }
        });
    }
}
