//! The evaluator's main loop: duties in, commitments and reveals out.

#[cfg(test)]
mod crashes;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use metrics::gauge;
use poq_client::worker::{Health, Worker};
use poq_client::{Client, Follower, RecentParams, Sender, batches};
use poq_proto::v1::{Duty, Params, Role};
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio::time::interval;
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::compute::{self, Compute, Finished};
use crate::duties::{Duties, Key, Step};
use crate::fetch::{Fetched, Texts, fetch};
use crate::housekeeping;
use crate::journal::{self, Entry, Journal, Seat};
use crate::queue::{Pair, Queue};
use crate::submit::{Submission, Verdict};

/// Looks at the chain between two prunings of the journal.
const PRUNE_INTERVAL: u64 = 50;
/// Duties whose texts are asked for at the same time.
const FETCHES: usize = 64;
/// Bytes of an item of a commit or a reveal, at most.
const ITEM_BYTES: usize = 64;
/// Pause between two signs of life.
const BEAT: Duration = Duration::from_secs(5);
/// Time without any score after which a model that has pairs counts as stuck.
const STUCK: Duration = Duration::from_secs(600);

/// What an evaluator works with.
pub struct Setup {
    /// The way onto the chain.
    pub worker: Worker,
    /// Ids of the evaluator models that `compute` has, in its order.
    pub models: Vec<String>,
    /// As they were at the start.
    pub params: Params,
    /// The scores on disk.
    pub journal: Journal,
    /// What scores.
    pub compute: Compute,
    /// Who watches hears of trouble by it.
    pub health: Health,
}

/// Does an evaluator's duties until it is told to stop.
pub struct Evaluator {
    client: Client,
    sender: Arc<Sender>,
    models: Vec<String>,
    params: RecentParams,
    journal: Arc<Journal>,
    health: Health,
    duties: Duties,
    queue: Queue,
    /// Most pairs that are on their way to a score.
    most_pairs: usize,
    /// Scores that could not be put on disk, so that nothing is committed to.
    unsaved: Vec<(Entry, u64)>,
    fetches: JoinSet<Fetched>,
    submissions: JoinSet<Verdict>,
    prunings: JoinSet<()>,
    looks: u64,
    /// The newest height, for those that wait for blocks.
    height: watch::Sender<u64>,
}

impl Evaluator {
    /// Runs until `shutdown` is cancelled. An error is one that a restart or a person must mend.
    pub async fn run(setup: Setup, shutdown: CancellationToken) -> anyhow::Result<()> {
        let Compute { jobs, finished } = setup.compute;
        let evaluator = Self {
            client: setup.worker.client,
            sender: setup.worker.sender,
            models: setup.models,
            params: RecentParams::new(setup.params),
            journal: Arc::new(setup.journal),
            health: setup.health,
            duties: Duties::default(),
            most_pairs: jobs.max_capacity(),
            queue: Queue::new(jobs),
            unsaved: Vec::new(),
            fetches: JoinSet::new(),
            submissions: JoinSet::new(),
            prunings: JoinSet::new(),
            looks: 0,
            height: watch::Sender::new(setup.worker.follower.cursor()),
        };
        evaluator
            .serve(setup.worker.follower, finished, shutdown)
            .await
    }

    async fn serve(
        mut self,
        mut follower: Follower,
        mut finished: mpsc::Receiver<Finished>,
        shutdown: CancellationToken,
    ) -> anyhow::Result<()> {
        let mut beats = interval(BEAT);
        self.health.started();
        // Duties that were open when the evaluator stopped must not wait for the next block.
        self.look(follower.cursor()).await;
        loop {
            tokio::select! {
                () = shutdown.cancelled() => break,
                height = follower.next() => {
                    if self.look(height).await {
                        follower.done(height);
                    }
                }
                Some(fetched) = self.fetches.join_next() => {
                    let first = fetched.context("the questions about a duty ended early")?;
                    self.take_texts(first)?;
                }
                score = finished.recv() => {
                    let Some(score) = score else {
                        bail!("the compute thread ended; its last log lines say why; start the evaluator again");
                    };
                    let mut scores = vec![score];
                    while let Ok(score) = finished.try_recv() {
                        scores.push(score);
                    }
                    self.take_scores(scores);
                }
                Some(verdict) = self.submissions.join_next() => {
                    self.settle(verdict.context("a submission ended early")?);
                }
                Some(_) = self.prunings.join_next() => {}
                _ = beats.tick() => self.beat()?,
            }
        }
        info!("stops; open duties go on from the journal at the next start");
        Ok(())
    }

    fn beat(&self) -> anyhow::Result<()> {
        self.health.beat();
        let silence = self.queue.silence();
        if silence > STUCK {
            let seconds = silence.as_secs();
            self.health.lose(format!("no score for {seconds} s"));
            bail!("the model has had pairs for {seconds} s and scored none; start it again");
        }
        Ok(())
    }

    /// Whether the look succeeded. Reveals go first and wait for nothing: their miss costs most.
    async fn look(&mut self, height: u64) -> bool {
        self.height.send_replace(height);
        let operator = self.sender.address();
        let listed = match self.client.duties(Role::Evaluator, operator).await {
            Ok(listed) => listed,
            Err(error) => {
                warn!(%error, "cannot look for duties; trying again");
                return false;
            }
        };
        let height = height.max(listed.height);
        self.height.send_replace(height);
        let listed = listed.value;
        for key in self.queue.retain(&listed, height) {
            key.step.count("expired");
            self.duties.release(key);
        }
        let untouched = self.duties.untouched(&listed, height);
        let (reveals, commits): (Vec<_>, Vec<_>) = untouched
            .into_iter()
            .partition(|(key, _)| key.step == Step::Reveal);
        self.reveal(reveals);
        self.save_again(&listed, height);
        // What cannot be put on disk is not committed to.
        if self.unsaved.is_empty() {
            for (key, duty) in commits {
                self.begin(key, duty);
            }
        }
        self.queue.feed();
        gauge!("poq_evaluator_queue").set(self.queue.len() as f64);
        self.prune_at_times(&listed);
        self.params.refresh(&self.client, height).await;
        true
    }

    /// Opens commitments from the journal; what it lacks is scored again.
    fn reveal(&mut self, duties: Vec<(Key, Duty)>) {
        let mut ready = Vec::new();
        for (key, duty) in duties {
            let known = self
                .journal
                .find(key.seat)
                .filter(|entry| entry.chain_id == self.sender.chain_id())
                .filter(|_| !self.duties.is_doubted(key));
            match known {
                Some(entry) => ready.push((entry, duty.due_height)),
                None => self.begin(key, duty),
            }
        }
        self.submit(Step::Reveal, ready);
    }

    /// Asks for a duty's texts, if there is room for them; else a later look does.
    fn begin(&mut self, key: Key, duty: Duty) {
        let Seat { task, attempt } = key.seat;
        if !self.models.contains(&duty.evaluator_model) {
            let (wanted, loaded) = (&duty.evaluator_model, self.models.join(", "));
            error!(
                task,
                attempt, wanted, loaded, "cannot score with a model that is not loaded"
            );
            key.step.count("skipped");
            return self.duties.finish(key);
        }
        let pairs = self.queue.len() + self.fetches.len();
        let has_room = key.step == Step::Reveal || pairs < self.most_pairs;
        if !has_room || self.fetches.len() >= FETCHES {
            return;
        }
        self.duties.begin(key);
        let operator = self.sender.address().to_owned();
        self.fetches
            .spawn(fetch(self.client.clone(), operator, key, duty));
    }

    /// Takes over what was fetched: what the journal has is handed in, the rest is to be scored.
    fn take_texts(&mut self, first: Fetched) -> anyhow::Result<()> {
        let mut fetched = vec![first];
        while let Some(more) = self.fetches.try_join_next() {
            fetched.push(more.context("the questions about a duty ended early")?);
        }
        let (mut reveals, mut commits) = (Vec::new(), Vec::new());
        for Fetched { key, duty, texts } in fetched {
            let Seat { task, attempt } = key.seat;
            match texts {
                Ok(Some(texts)) => {
                    let due_height = duty.due_height;
                    match (self.prepare(key, duty, texts), key.step) {
                        (Some(entry), Step::Reveal) => reveals.push((entry, due_height)),
                        (Some(entry), Step::Commit) => commits.push((entry, due_height)),
                        (None, _) => {}
                    }
                }
                Ok(None) => {
                    warn!(task, attempt, "the node lacks a part of this duty");
                    self.duties.release(key);
                }
                Err(error) => {
                    warn!(task, attempt, %error, "cannot prepare a duty; trying again");
                    self.duties.release(key);
                }
            }
        }
        self.submit(Step::Reveal, reveals);
        self.submit(Step::Commit, commits);
        self.queue.feed();
        Ok(())
    }

    /// The journal's entry for a duty; without one that fits, its pair is queued to be scored.
    fn prepare(&mut self, key: Key, duty: Duty, texts: Texts) -> Option<Entry> {
        let pair_sha256 = journal::pair_digest(&texts.prompt, &texts.answer);
        let known = self.journal.find(key.seat).filter(|entry| {
            let opens = |committed| entry.commitment(&self.sender.address_bytes()) == committed;
            entry.pair_sha256 == pair_sha256
                && entry.chain_id == self.sender.chain_id()
                && texts.committed.is_none_or(opens)
        });
        if known.is_some() {
            return known;
        }
        if key.step == Step::Reveal {
            let Seat { task, attempt } = key.seat;
            warn!(
                task,
                attempt,
                "the journal does not open what is committed to; computing the score again"
            );
        }
        let mut models = self.models.iter();
        // It was there when the duty was begun.
        let model = models.position(|model| *model == duty.evaluator_model)?;
        self.queue.push(Pair {
            model,
            duty: compute::Duty {
                seat: key.seat,
                due_height: duty.due_height,
                pair_sha256,
                committed: texts.committed,
                stop: CancellationToken::new(),
            },
            prompt: texts.prompt,
            answer: texts.answer,
        });
        None
    }

    /// Journals new scores, then commits to them or reveals them.
    fn take_scores(&mut self, scores: Vec<Finished>) {
        let (mut reveals, mut commits) = (Vec::new(), Vec::new());
        for Finished { duty, raw_score } in scores {
            let key = duty.key();
            if !self.queue.finished(key) {
                continue;
            }
            let due_height = duty.due_height;
            match (raw_score, duty.committed) {
                (Err(reason), _) => self.regret(key, &reason),
                (Ok(raw_score), None) => {
                    let entry = self.entry(duty, raw_score);
                    commits.extend(self.save(entry, due_height));
                }
                (Ok(raw_score), Some(committed)) => {
                    let entry = self.entry(duty, raw_score);
                    let opened = self.open(key, entry, &committed);
                    reveals.extend(opened.map(|entry| (entry, due_height)));
                }
            }
        }
        self.submit(Step::Reveal, reveals);
        self.submit(Step::Commit, commits);
        self.queue.feed();
    }

    fn entry(&self, duty: compute::Duty, raw_score: i32) -> Entry {
        let mac = |message: &[u8]| self.sender.mac(message);
        let chain_id = self.sender.chain_id();
        Entry::new(mac, duty.seat, chain_id, duty.pair_sha256, raw_score)
    }

    fn regret(&mut self, key: Key, reason: &str) {
        let Seat { task, attempt } = key.seat;
        if self.duties.scoring_failed(key) {
            warn!(task, attempt, reason, "no score; trying again");
        } else {
            error!(task, attempt, reason, "no score; not tried again");
            key.step.count("skipped");
        }
    }

    /// A score that is on disk may be committed to.
    fn save(&mut self, entry: Entry, due_height: u64) -> Option<(Entry, u64)> {
        match self.journal.put(entry.seat, &entry) {
            Ok(()) => Some((entry, due_height)),
            Err(error) => {
                if self.unsaved.is_empty() {
                    error!(%error, "cannot write the journal: no new commitments until it works; reveals go on");
                }
                self.health.set("journal", Some(error.to_string()));
                self.unsaved.push((entry, due_height));
                None
            }
        }
    }

    /// Tries again to put scores on disk, and commits to those that are still asked for.
    fn save_again(&mut self, listed: &[Duty], height: u64) {
        if self.unsaved.is_empty() {
            return;
        }
        let mut saved = Vec::new();
        for (entry, due_height) in std::mem::take(&mut self.unsaved) {
            let key = Key {
                seat: entry.seat,
                step: Step::Commit,
            };
            let is_listed = listed.iter().any(|duty| Key::of(duty) == Some(key));
            if is_listed && due_height > height {
                saved.extend(self.save(entry, due_height));
            } else {
                self.duties.release(key);
            }
        }
        if self.unsaved.is_empty() {
            info!("the journal can be written again");
            self.health.set("journal", None);
        }
        self.submit(Step::Commit, saved);
    }

    /// The entry that opens what the chain has. The salt comes from the key, so that a score close
    /// by is all that is needed.
    fn open(&mut self, key: Key, entry: Entry, committed: &[u8; 32]) -> Option<Entry> {
        let Seat { task, attempt } = key.seat;
        let Some(entry) = entry.opening(committed, &self.sender.address_bytes()) else {
            error!(
                task,
                attempt,
                "cannot open what is committed to; was it committed by an older version, or is the key used by another program?"
            );
            key.step.count("skipped");
            self.duties.finish(key);
            return None;
        };
        // A reveal needs no journal.
        if let Err(error) = self.journal.put(entry.seat, &entry) {
            warn!(task, attempt, %error, "cannot write the journal");
        }
        Some(entry)
    }

    fn submit(&mut self, step: Step, entries: Vec<(Entry, u64)>) {
        let key = |entry: &Entry| Key {
            seat: entry.seat,
            step,
        };
        let batches = batches(
            entries,
            self.params.get(),
            |_| ITEM_BYTES,
            |(entry, _)| self.duties.most(key(entry)),
        );
        for batch in batches {
            for (entry, _) in &batch {
                self.duties.begin(key(entry));
            }
            let submission = Submission {
                step,
                due_height: batch.iter().map(|(_, due)| *due).max().unwrap_or(0),
                entries: batch.into_iter().map(|(entry, _)| entry).collect(),
            };
            let heights = self.height.subscribe();
            self.submissions
                .spawn(submission.run(Arc::clone(&self.sender), heights));
        }
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
        if self.looks % PRUNE_INTERVAL == 1 && self.prunings.is_empty() {
            let open = listed.iter().filter_map(|duty| Some(Key::of(duty)?.seat));
            let (client, journal) = (self.client.clone(), Arc::clone(&self.journal));
            self.prunings
                .spawn(housekeeping::prune(client, journal, open.collect()));
        }
    }
}
