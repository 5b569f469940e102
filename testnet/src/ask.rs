//! Asks a question and follows it to its receipt.

use std::time::Instant;

use poq_client::{Client, Fee, Sender, TxHash, any};
use poq_proto::event;
use poq_proto::v1::{Model, MsgSubmitTask, Sampling};

use crate::receipt::Receipt;
use crate::watch::{Seen, Step, Watch};
use crate::{Error, INCLUSION, Result};
use poq_client::network::Description;

/// A question and its limits.
#[derive(Clone, Debug)]
pub struct Question {
    /// Text of the question.
    pub prompt: String,
    /// Longest answer, bytes; its price is held in escrow.
    pub max_answer_bytes: u32,
    /// Longest answer, tokens; 0 leaves it to the inference node.
    pub max_tokens: u32,
}

/// A question that is in a block.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// Id of the task.
    pub task: u64,
    /// Its transaction.
    pub hash: TxHash,
    /// Escrow, base units.
    pub escrow: u64,
    /// Time of sending.
    pub sent: Instant,
}

impl Question {
    /// The message that asks the question, with the price of the longest answer as its maximum fee.
    pub fn message(&self, user: &str, model: &Model) -> MsgSubmitTask {
        MsgSubmitTask {
            user: user.into(),
            model: model.id.clone(),
            prompt: self.prompt.clone(),
            max_answer_bytes: self.max_answer_bytes,
            min_quality: 0,
            max_fee: self.longest_price(model),
            seed: 0,
            sampling: Some(Sampling {
                max_tokens: self.max_tokens,
                ..Sampling::default()
            }),
        }
    }

    /// Sends the question to the first model of the registry and waits for its block.
    pub async fn submit(&self, user: &Sender) -> Result<Submitted> {
        let model = first_model(user.client()).await?;
        self.submit_to(user, &model).await
    }

    /// Sends the question to a model and waits for its block.
    pub async fn submit_to(&self, user: &Sender, model: &Model) -> Result<Submitted> {
        let message = self.message(user.address(), model);
        let sent = Instant::now();
        let outcome = user
            .send_and_wait(vec![any(&message)], Fee::Auto, INCLUSION)
            .await?;
        let submitted = outcome
            .events
            .iter()
            .find(|event| event.kind == event::TASK_SUBMITTED);
        let task = submitted.and_then(|event| event.get(event::TASK)?.parse().ok());
        let task = task.ok_or_else(|| poq_client::Error::Decode {
            what: format!("transaction {}", outcome.hash),
            reason: "its result has no task id".into(),
        })?;
        Ok(Submitted {
            task,
            hash: outcome.hash,
            escrow: message.max_fee,
            sent,
        })
    }

    fn longest_price(&self, model: &Model) -> u64 {
        let prompt_bytes = u64::try_from(self.prompt.len()).unwrap_or(u64::MAX);
        model
            .terms()
            .price(prompt_bytes, self.max_answer_bytes.into())
    }
}

impl Submitted {
    /// Follows the task to its receipt and calls `on_step` for every step. Returns [`Error::Refunded`] if
    /// the task ends without a quality.
    pub async fn receipt(
        &self,
        client: Client,
        network: &Description,
        mut on_step: impl FnMut(&Seen),
    ) -> Result<Receipt> {
        let mut watch = Watch::new(client, self.task, self.sent);
        let mut all = Vec::new();
        loop {
            let seen = watch.next().await?;
            if seen.is_empty() {
                break;
            }
            seen.iter().for_each(&mut on_step);
            all.extend(seen);
        }
        let refunded = all.iter().find_map(|seen| match &seen.step {
            Step::Refunded { reason } => Some(reason.clone()),
            _ => None,
        });
        Receipt::new(network, self.hash.to_string(), &watch, &all).ok_or(Error::Refunded {
            task: self.task,
            reason: refunded.unwrap_or_default(),
        })
    }
}

async fn first_model(client: &Client) -> Result<Model> {
    let models = client.models("", 1).await?;
    let first = models.into_iter().next();
    Ok(first.ok_or_else(|| poq_client::Error::Decode {
        what: "the registry of models".into(),
        reason: "it is empty".into(),
    })?)
}
