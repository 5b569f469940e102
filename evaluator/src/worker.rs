//! How an evaluator does a duty: it scores an answer, commits to the score, and later opens the
//! commitment.

#[cfg(test)]
mod tests;

use std::sync::Arc;

use poq_client::{Any, Sender, any};
use poq_proto::v1::{CommitItem, MsgCommitScores, MsgRevealScores, RevealItem, Task};
use poq_worker::{Job, Seat, Step, Undone, Worker};
use tokio::sync::Semaphore;
use tracing::warn;

use crate::compute::Line;
use crate::entry::{Entry, pair_digest};

/// Most concurrent queries about duties.
const QUESTIONS: usize = 64;

/// Scores answers with small models.
pub(crate) struct Evaluator {
    sender: Arc<Sender>,
    /// Ids of the models behind `line`, in the same order.
    models: Vec<String>,
    line: Line,
    questions: Semaphore,
}

impl Evaluator {
    /// An evaluator whose operator is `sender`, with these models behind `line`.
    pub(crate) fn new(sender: Arc<Sender>, models: Vec<String>, line: Line) -> Self {
        Self {
            sender,
            models,
            line,
            questions: Semaphore::new(QUESTIONS),
        }
    }
}

impl Worker for Evaluator {
    type Product = Entry;

    async fn perform(&self, job: Job<Entry>) -> Result<Entry, Undone> {
        tokio::select! {
            biased;
            entry = self.entry(&job) => entry,
            () = job.stop.cancelled() => Err(Undone::Later("its time is up".into())),
        }
    }

    fn message(&self, step: Step, entries: &[(Seat, &Entry)]) -> Any {
        let operator = self.sender.address().to_owned();
        let entries = entries.iter().map(|(_, entry)| entry);
        if step == Step::Reveal {
            let items = entries.map(|entry| RevealItem {
                task_id: entry.seat.task,
                raw_score: entry.raw_score,
                salt: entry.salt.to_vec(),
            });
            return any(&MsgRevealScores {
                operator,
                items: items.collect(),
            });
        }
        let items = entries.map(|entry| CommitItem {
            task_id: entry.seat.task,
            commitment: entry.commitment(&self.sender.address_bytes()).to_vec(),
        });
        any(&MsgCommitScores {
            operator,
            items: items.collect(),
        })
    }

    async fn lost(&self) -> String {
        self.line.lost().await
    }
}

/// The content of a duty.
struct Texts {
    prompt: String,
    answer: String,
    /// The operator's commitment, if the duty is to open it.
    committed: Option<[u8; 32]>,
}

impl Evaluator {
    /// The journal's entry if it belongs to this duty, else a new one.
    async fn entry(&self, job: &Job<Entry>) -> Result<Entry, Undone> {
        let chain_id = self.sender.chain_id();
        let kept = job.kept.as_ref();
        let kept = kept.filter(|entry| entry.chain_id == chain_id);
        let is_reveal = job.key.step == Step::Reveal;
        // Missing a reveal costs most, so it does not wait for queries that it can do without.
        if let Some(entry) = kept.filter(|_| is_reveal && !job.is_doubted) {
            return Ok(entry.clone());
        }
        let texts = self.texts(job).await?;
        let pair_sha256 = pair_digest(&texts.prompt, &texts.answer);
        let address = self.sender.address_bytes();
        let opens = |entry: &Entry| {
            let committed = texts.committed;
            committed.is_none_or(|committed| entry.commitment(&address) == committed)
        };
        if let Some(entry) = kept.filter(|entry| entry.pair_sha256 == pair_sha256 && opens(entry)) {
            return Ok(entry.clone());
        }
        let Seat { task, attempt } = job.key.seat;
        if is_reveal {
            warn!(
                task,
                attempt, "the journal does not open the commitment; computing the score again"
            );
        }
        let mut models = self.models.iter();
        let model = models.position(|model| *model == job.duty.evaluator_model);
        let model = model.ok_or_else(|| Undone::Failed("the model is not loaded".into()))?;
        let line = &self.line;
        let raw_score = line.score(job, model, texts.prompt, texts.answer).await?;
        let mac = |message: &[u8]| self.sender.mac(message);
        let entry = Entry::new(mac, job.key.seat, chain_id, pair_sha256, raw_score);
        let Some(committed) = texts.committed else {
            return Ok(entry);
        };
        // The salt is derived from the key, so a nearby score is all that is needed.
        entry.opening(&committed, &address).ok_or_else(|| {
            Undone::Failed(
                "cannot open the commitment; was it made by an older version, or is the key \
                 used by another program?"
                    .into(),
            )
        })
    }

    async fn texts(&self, job: &Job<Entry>) -> Result<Texts, Undone> {
        let lacks = || Undone::Later("the node lacks a part of this duty".into());
        let _question = self.questions.acquire().await;
        let (client, id) = (self.sender.client(), job.key.seat.task);
        let committed = match job.key.step {
            Step::Reveal => {
                let task = client.task(id).await?;
                Some(commitment(&task, self.sender.address()).ok_or_else(lacks)?)
            }
            _ => None,
        };
        let payload = client.payload(id).await?;
        Ok(Texts {
            prompt: payload.prompt,
            answer: payload.answer.ok_or_else(lacks)?,
            committed,
        })
    }
}

/// The operator's commitment in the current committee.
fn commitment(task: &Task, operator: &str) -> Option<[u8; 32]> {
    let mut seats = task.committees.last()?.seats.iter();
    let seat = seats.find(|seat| seat.operator == operator)?;
    seat.commitment.as_slice().try_into().ok()
}
