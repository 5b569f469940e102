//! The worker: follows the chain, has duties answered, and hands the answers in.

use std::collections::BTreeMap;
use std::sync::Arc;

use metrics::{counter, gauge};
use poq_client::worker::Worker;
use poq_client::{Client, Fee, any};
use poq_proto::v1::{AnswerItem, MsgSubmitAnswers, Params, Role, Task};
use poq_proto::{PPM, code};
use prost::Message as _;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::compute::{self, Compute};
use crate::config::DutiesConfig;
use crate::duties::{Assigned, Duties};
use crate::generator::{self, Asked, Completion, Message, Recommended, Request, Speaker};
use crate::journal::{self, Answer, DutyKey, Journal};

/// Bytes of a transaction that are not answers: signature, key, fee, lengths.
const TX_OVERHEAD: usize = 1024;

/// Why the worker ends.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Answers can no longer be kept safe.
    #[error(transparent)]
    Journal(#[from] journal::Error),
    /// The node or the disk.
    #[error(transparent)]
    Client(#[from] poq_client::Error),
}

/// Why a duty got no answer.
#[derive(Debug, thiserror::Error)]
enum DutyError {
    #[error("it is for the model `{0}`, which this node does not serve")]
    OtherModel(String),
    #[error("its time was up before the model had said a word")]
    NothingSaid,
    #[error(transparent)]
    Chain(#[from] poq_client::Error),
    #[error(transparent)]
    Compute(#[from] compute::Error),
}

/// A generation that ended.
struct Finished {
    key: DutyKey,
    result: Result<Answer, DutyError>,
}

/// Does the duties of one inference node.
pub struct InferenceWorker {
    chain: Worker,
    params: Params,
    model: Arc<str>,
    max_tokens: usize,
    compute: Compute,
    journal: Journal,
    duties: Duties,
    /// What ends the generations that run.
    stops: BTreeMap<DutyKey, CancellationToken>,
    finished: (mpsc::Sender<Finished>, mpsc::Receiver<Finished>),
}

impl InferenceWorker {
    /// A worker for `model` that goes on where the journal ends.
    pub fn new(
        chain: Worker,
        params: Params,
        model: &str,
        settings: &DutiesConfig,
        compute: Compute,
        journal: Journal,
    ) -> Self {
        Self {
            chain,
            params,
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
            journal,
            stops: BTreeMap::new(),
            finished: mpsc::channel(1),
        }
    }

    /// Works until `shutdown` is cancelled.
    ///
    /// # Errors
    /// [`Error`] when the journal or the cursor cannot be written: going on would risk that an
    /// answer is paid for and lost.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), Error> {
        info!(
            operator = self.chain.sender.address(),
            model = &*self.model,
            "waiting for duties"
        );
        loop {
            tokio::select! {
                biased;
                () = shutdown.cancelled() => break,
                Some(finished) = self.finished.1.recv() => self.keep(finished).await?,
                height = self.chain.follower.next() => self.look(height).await?,
            }
        }
        self.stops.values().for_each(CancellationToken::cancel);
        Ok(())
    }

    /// Takes over what the chain asks for at a new height.
    async fn look(&mut self, height: u64) -> Result<(), Error> {
        let operator = self.chain.sender.address();
        let listed = match self.chain.client.duties(Role::Inference, operator).await {
            Ok(listed) => listed,
            Err(error) => {
                // The height is not done: the follower returns it again.
                warn!(height, "cannot read the duties: {error}");
                return Ok(());
            }
        };
        let height = height.max(listed.height);
        let journal = &self.journal;
        let actions = self.duties.update(height, &listed.value, |key| {
            journal.get(key).map(|answer| answer.is_some())
        })?;
        counter!("poq_inference_duties_total", "outcome" => "too_late")
            .increment(actions.too_late.len() as u64);
        for key in &actions.too_late {
            warn!(
                task = key.task,
                attempt = key.attempt,
                height,
                "too late to answer this task"
            );
        }
        for stop in actions.stop.iter().filter_map(|key| self.stops.get(key)) {
            stop.cancel();
        }
        self.submit(&actions.submit, height).await?;
        self.start_waiting();
        gauge!("poq_inference_duties_open").set(self.duties.open() as f64);
        let oldest_open = listed.value.iter().map(|duty| duty.task_id).min();
        self.journal
            .prune(journal::KEPT, oldest_open.unwrap_or(u64::MAX))?;
        self.chain.follower.done(height);
        Ok(())
    }

    /// Puts a finished answer on disk, then hands it in.
    async fn keep(&mut self, finished: Finished) -> Result<(), Error> {
        let Finished { key, result } = finished;
        self.stops.remove(&key);
        let is_wanted = self.duties.finished(key);
        match result {
            _ if !is_wanted => info!(task = key.task, "nobody waits for this answer any more"),
            Ok(answer) => {
                counter!("poq_inference_duties_total", "outcome" => "answered").increment(1);
                self.journal.put(key, &answer)?;
                let height = self.chain.follower.cursor();
                self.submit(&[key], height).await?;
            }
            Err(DutyError::Compute(compute::Error::ShuttingDown)) => {}
            // Unless it is over, the duty is listed again at the next height.
            Err(error) => {
                counter!("poq_inference_duties_total", "outcome" => "failed").increment(1);
                warn!(task = key.task, "no answer: {error}");
            }
        }
        self.start_waiting();
        Ok(())
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
            client: self.chain.client.clone(),
            compute: self.compute.clone(),
            model: self.model.clone(),
            max_tokens: self.max_tokens,
            stop,
        };
        let finished = self.finished.0.clone();
        tokio::spawn(async move {
            let key = duty.key;
            let result = job.run(duty).await;
            // The worker is gone only at shutdown.
            let _ = finished.send(Finished { key, result }).await;
        });
    }

    /// Broadcasts answers of the journal, as many in one transaction as the chain takes.
    async fn submit(&mut self, keys: &[DutyKey], height: u64) -> Result<(), Error> {
        let mut items = Vec::with_capacity(keys.len());
        for key in keys {
            if let Some(answer) = self.journal.get(*key)? {
                items.push((*key, answer.item(*key)));
            }
        }
        for batch in batches(items, &self.params) {
            let (keys, items): (Vec<_>, Vec<_>) = batch.into_iter().unzip();
            let message = MsgSubmitAnswers {
                operator: self.chain.sender.address().into(),
                items,
            };
            let tasks: Vec<u64> = keys.iter().map(|key| key.task).collect();
            match self.chain.sender.send(vec![any(&message)], Fee::Free).await {
                Ok(hash) => info!(?tasks, %hash, "answers handed in"),
                // What the chain no longer asks for is not listed at the next height.
                Err(error) if error.is_retryable() || error.is(code::MOSTLY_FAILING) => {
                    counter!("poq_inference_failed_transactions_total").increment(1);
                    warn!(?tasks, "cannot hand in the answers yet: {error}");
                    continue;
                }
                // The chain has them already, or no longer wants them.
                Err(error) => {
                    counter!("poq_inference_duties_total", "outcome" => "refused")
                        .increment(keys.len() as u64);
                    warn!(?tasks, "the chain refuses the answers: {error}");
                }
            }
            for key in keys {
                self.duties.submitted(key, height);
            }
        }
        Ok(())
    }
}

/// Splits answers by the chain's limits on a message and on a transaction.
fn batches(items: Vec<(DutyKey, AnswerItem)>, params: &Params) -> Vec<Vec<(DutyKey, AnswerItem)>> {
    let most_items = (params.max_batch_items as usize).max(1);
    let most_bytes = (params.max_tx_bytes as usize).saturating_sub(TX_OVERHEAD);
    let mut batches: Vec<Vec<(DutyKey, AnswerItem)>> = Vec::new();
    let mut bytes = 0;
    for (key, item) in items {
        // Tag and length of the item within the message.
        let length = item.encoded_len() + 8;
        match batches.last_mut() {
            Some(batch) if batch.len() < most_items && bytes + length <= most_bytes => {
                bytes += length;
                batch.push((key, item));
            }
            _ => {
                bytes = length;
                batches.push(vec![(key, item)]);
            }
        }
    }
    batches
}

/// What it takes to answer one duty, apart from the worker's own state.
struct AnswerJob {
    client: Client,
    compute: Compute,
    model: Arc<str>,
    max_tokens: usize,
    stop: CancellationToken,
}

impl AnswerJob {
    async fn run(self, duty: Assigned) -> Result<Answer, DutyError> {
        if *duty.model != *self.model {
            return Err(DutyError::OtherModel(duty.model));
        }
        let task = self.client.task(duty.key.task).await?;
        let prompt = self.client.payload(duty.key.task).await?.prompt;
        let recommended = self.compute.recommended();
        let request = request(&task, prompt, self.max_tokens, recommended);
        let max_bytes = request.max_bytes;
        match self.compute.duty(request, self.stop).await {
            Ok(completion) => answer(duty.key, completion),
            Err(compute::Error::Generator(error @ generator::Error::PromptTooLong { .. })) => {
                // Silence would cost stake and the user's time; an honest word costs the user
                // the evaluation only.
                error!(task = duty.key.task, "{error}");
                Ok(apology(&error, max_bytes))
            }
            Err(compute::Error::Expired) => Err(DutyError::NothingSaid),
            Err(error) => Err(error.into()),
        }
    }
}

/// The task's question under the task's limits and this node's.
fn request(task: &Task, prompt: String, max_tokens: usize, recommended: Recommended) -> Request {
    let sampling = task.sampling.unwrap_or_default();
    let share = |ppm: u32| f64::from(ppm) / PPM as f64;
    // A message cannot tell 0 from a setting that is left out where 0 is not allowed.
    let given = |ppm: u32| (ppm > 0).then(|| share(ppm));
    let asked = Asked {
        temperature: sampling.temperature.map(share),
        top_p: given(sampling.top_p),
        repetition_penalty: given(sampling.repetition_penalty),
    };
    Request {
        messages: vec![Message {
            speaker: Speaker::User,
            text: prompt,
        }],
        sampling: recommended.complete(asked, task.seed),
        max_tokens: match sampling.max_tokens {
            0 => max_tokens,
            asked => max_tokens.min(asked as usize),
        },
        max_bytes: task.max_answer_bytes as usize,
    }
}

fn answer(key: DutyKey, completion: Completion) -> Result<Answer, DutyError> {
    if completion.text.is_empty() && completion.finish == generator::Finish::Cancelled {
        return Err(DutyError::NothingSaid);
    }
    info!(
        task = key.task,
        prompt_tokens = completion.prompt_tokens,
        answer_tokens = completion.answer_tokens,
        first_token_ms = completion.first_token.as_millis(),
        total_ms = completion.total.as_millis(),
        tokens_per_second = completion.tokens_per_second(),
        finish = ?completion.finish,
        "answered"
    );
    debug!(task = key.task, text = completion.text, "answer");
    Ok(Answer {
        text: completion.text,
        prompt_tokens: completion.prompt_tokens.try_into().unwrap_or(u32::MAX),
        answer_tokens: completion.answer_tokens.try_into().unwrap_or(u32::MAX),
    })
}

fn apology(error: &generator::Error, max_bytes: usize) -> Answer {
    let mut text = format!("I cannot answer: {error}.");
    text.truncate(text.floor_char_boundary(max_bytes));
    Answer {
        text,
        prompt_tokens: 0,
        answer_tokens: 0,
    }
}

#[cfg(test)]
mod tests {
    use poq_proto::v1;

    use super::*;
    use crate::generator::Sampling;

    fn params(max_batch_items: u32, max_tx_bytes: u32) -> Params {
        Params {
            max_batch_items,
            max_tx_bytes,
            ..Params::default()
        }
    }

    fn items(lengths: &[usize]) -> Vec<(DutyKey, AnswerItem)> {
        let item = |(task, length): (usize, &usize)| {
            let key = DutyKey {
                task: task as u64,
                attempt: 0,
            };
            let text = "x".repeat(*length);
            (
                key,
                Answer {
                    text,
                    prompt_tokens: 1,
                    answer_tokens: 1,
                }
                .item(key),
            )
        };
        lengths.iter().enumerate().map(item).collect()
    }

    fn sizes(batches: &[Vec<(DutyKey, AnswerItem)>]) -> Vec<usize> {
        batches.iter().map(Vec::len).collect()
    }

    #[test]
    fn batches_respect_items_and_bytes() {
        assert!(batches(items(&[]), &params(3, 10_000)).is_empty());
        assert_eq!(
            sizes(&batches(items(&[1; 7]), &params(3, 10_000))),
            [3, 3, 1]
        );
        let all = batches(items(&[4000, 4000, 4000, 100]), &params(9, 10_000));
        assert_eq!(sizes(&all), [2, 2]);
        for batch in all {
            let items = batch.into_iter().map(|(_, item)| item).collect();
            let message = MsgSubmitAnswers {
                operator: "x".repeat(45),
                items,
            };
            assert!(message.encoded_len() <= 10_000 - TX_OVERHEAD + 64);
        }
        // One that is too long for the chain is refused by the chain, not forgotten here.
        assert_eq!(
            sizes(&batches(items(&[20_000, 1]), &params(9, 10_000))),
            [1, 1]
        );
    }

    #[test]
    fn a_task_becomes_a_request_within_both_limits() {
        let mut task = Task {
            max_answer_bytes: 500,
            seed: 9,
            ..Task::default()
        };
        let recommended = Recommended {
            temperature: 0.2,
            top_p: 0.95,
            repetition_penalty: 1.1,
        };
        let request = |task: &Task, most| request(task, "Hi".into(), most, recommended);
        let asked = request(&task, 256);
        assert_eq!(asked.sampling, recommended.complete(Asked::default(), 9));
        assert_eq!((asked.max_tokens, asked.max_bytes), (256, 500));

        task.sampling = Some(v1::Sampling {
            temperature: Some(700_000),
            top_p: 900_000,
            max_tokens: 32,
            repetition_penalty: 1_500_000,
        });
        let asked = request(&task, 256);
        let expected = Sampling {
            temperature: 0.7,
            top_p: 0.9,
            repetition_penalty: 1.5,
            seed: 9,
        };
        assert_eq!(asked.sampling, expected);
        assert_eq!(asked.max_tokens, 32);
        assert_eq!(request(&task, 16).max_tokens, 16);

        task.sampling = Some(v1::Sampling {
            temperature: Some(0),
            ..v1::Sampling::default()
        });
        let greedy = request(&task, 256).sampling;
        assert_eq!((greedy.temperature, greedy.repetition_penalty), (0.0, 1.1));
    }

    #[test]
    fn the_apology_keeps_the_byte_limit() {
        let error = generator::Error::PromptTooLong {
            prompt: 9000,
            context: 8192,
        };
        assert!(apology(&error, 1000).text.contains("9000"));
        assert_eq!(apology(&error, 8).text, "I cannot");
    }
}
