//! Inference nodes and evaluators without models: they have the operators' keys, follow the chain, and do
//! their duties with a ready answer and score.

use std::collections::BTreeMap;

use poq_client::{Any, Client, Fee, Key, Sender, any};
use poq_proto::v1::{
    AnswerItem, CommitItem, Duty, MsgCommitScores, MsgRevealScores, MsgSubmitAnswers, RevealItem,
    Role, TaskStatus,
};
use tokio::sync::watch;
use tracing::warn;

/// Length of an answer, bytes.
pub(crate) const ANSWER_BYTES: usize = 500;
/// Revealed score, micro-logits.
const SCORE: i32 = 4_000_000;
const SALT: [u8; 32] = [9; 32];
/// Blocks after which a duty that is still listed is done again.
const PATIENCE: u64 = 6;

/// One operator.
pub(crate) struct Worker {
    client: Client,
    sender: Sender,
    role: Role,
    /// Largest number of items per message.
    max_items: usize,
    answer: String,
    /// Done duties, with the height.
    done: BTreeMap<DutyKey, u64>,
}

/// Task id, attempt and phase of a duty.
type DutyKey = (u64, u32, i32);

impl Worker {
    /// Creates the operator with this key, connected to this node.
    ///
    /// # Errors
    /// If the node cannot be reached.
    pub(crate) async fn new(
        client: Client,
        key: Key,
        role: Role,
        max_items: u32,
    ) -> poq_client::Result<Self> {
        Ok(Self {
            sender: Sender::new(client.clone(), key, None).await?,
            client,
            role,
            max_items: max_items.max(1) as usize,
            answer: "a".repeat(ANSWER_BYTES),
            done: BTreeMap::new(),
        })
    }

    /// Does duties at every new height and never returns.
    pub(crate) async fn run(mut self, mut heights: watch::Receiver<u64>) {
        while heights.changed().await.is_ok() {
            let height = *heights.borrow_and_update();
            if let Err(error) = self.look(height).await {
                warn!(role = ?self.role, %error, "duties are retried at the next block");
            }
        }
    }

    async fn look(&mut self, height: u64) -> poq_client::Result<()> {
        let duties = self.client.duties(self.role, self.sender.address()).await?;
        let listed = duties.value;
        let keys: Vec<DutyKey> = listed.iter().map(key).collect();
        self.done.retain(|key, _| keys.contains(key));
        let new: Vec<_> = listed
            .into_iter()
            .filter(|duty| {
                self.done
                    .get(&key(duty))
                    .is_none_or(|done| *done + PATIENCE < height)
            })
            .collect();
        let phases = [
            TaskStatus::Revealing,
            TaskStatus::Committing,
            TaskStatus::Assigned,
        ];
        for phase in phases {
            let duties: Vec<_> = new.iter().filter(|duty| duty.phase() == phase).collect();
            for batch in duties.chunks(self.max_items) {
                self.sender
                    .send(vec![self.message(phase, batch)], Fee::Free)
                    .await?;
                self.done
                    .extend(batch.iter().map(|duty| (key(duty), height)));
            }
        }
        Ok(())
    }

    fn message(&self, phase: TaskStatus, duties: &[&Duty]) -> Any {
        let operator = self.sender.address().to_owned();
        match phase {
            TaskStatus::Committing => any(&MsgCommitScores {
                operator,
                items: duties.iter().map(|duty| self.commitment(duty)).collect(),
            }),
            TaskStatus::Revealing => any(&MsgRevealScores {
                operator,
                items: duties.iter().map(|duty| reveal(duty)).collect(),
            }),
            _ => any(&MsgSubmitAnswers {
                operator,
                items: duties.iter().map(|duty| self.answer(duty)).collect(),
            }),
        }
    }

    fn answer(&self, duty: &Duty) -> AnswerItem {
        AnswerItem {
            task_id: duty.task_id,
            answer: self.answer.clone(),
            ..AnswerItem::default()
        }
    }

    fn commitment(&self, duty: &Duty) -> CommitItem {
        let commitment = poq_proto::commitment(
            self.sender.chain_id(),
            duty.task_id,
            duty.attempt,
            &self.sender.address_bytes(),
            SCORE,
            &SALT,
        );
        CommitItem {
            task_id: duty.task_id,
            commitment: commitment.to_vec(),
        }
    }
}

fn reveal(duty: &Duty) -> RevealItem {
    RevealItem {
        task_id: duty.task_id,
        raw_score: SCORE,
        salt: SALT.to_vec(),
    }
}

fn key(duty: &Duty) -> DutyKey {
    (duty.task_id, duty.attempt, duty.phase)
}
