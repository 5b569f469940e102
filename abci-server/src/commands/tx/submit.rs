//! `poqd tx poq submit-task`.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use poq_client::{Any, Client, TxOutcome, any, tx};
use poq_proto::PPM;
use poq_proto::v1::{Model, MsgSubmitTask, MsgSubmitTaskResponse, Sampling, Task, TaskStatus};
use prost::{Message, Name};
use serde::Serialize;

use super::account::Account;
use crate::coin::Coin;
use crate::commands::input::read_bytes;

/// Pause between two looks at a task.
const LOOK_PAUSE: Duration = Duration::from_millis(300);

/// Flags of `tx poq submit-task`.
#[derive(Debug, clap::Args)]
pub(super) struct SubmitTask {
    /// The question.
    #[arg(
        required_unless_present = "prompt_file",
        conflicts_with = "prompt_file"
    )]
    prompt: Option<String>,
    /// File with the question; - is the standard input.
    #[arg(long, value_name = "FILE")]
    prompt_file: Option<PathBuf>,
    /// Id of the model; default: the only one of the chain.
    #[arg(long)]
    model: Option<String>,
    /// Longest answer, bytes.
    #[arg(long, default_value_t = 2048, value_name = "BYTES")]
    max_answer_bytes: u32,
    /// Quality below which the answer is not paid, ppm.
    #[arg(long, default_value_t = 0, value_name = "PPM")]
    min_quality: u32,
    /// The most that it may cost; default: the price of the longest answer.
    #[arg(long, value_name = "COIN")]
    max_fee: Option<Coin>,
    /// Seed of the sampling.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Temperature of the sampling, 0 to 2; 0 takes the likeliest token each time.
    #[arg(long, default_value_t = 0.0, value_parser = fraction(2.0))]
    temperature: f64,
    /// Nucleus mass of the sampling, 0 to 1.
    #[arg(long, default_value_t = 1.0, value_parser = fraction(1.0))]
    top_p: f64,
    /// Most tokens of the answer; 0 leaves it to the node.
    #[arg(long, default_value_t = 0)]
    max_tokens: u32,
    /// Follow the task to this point and print its record.
    #[arg(long, value_enum)]
    wait: Option<Until>,
}

/// Value of `--wait`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Until {
    /// The quality is known.
    Settled,
    /// Everything is paid.
    Final,
}

/// The result of a submission.
#[derive(Serialize)]
struct Submitted {
    /// Decimal, as in proto3 JSON.
    task_id: String,
    #[serde(flatten)]
    outcome: TxOutcome,
}

impl SubmitTask {
    pub(super) async fn run(self, account: &Account) -> anyhow::Result<()> {
        let Some(outcome) = account.send(self.message(account).await?).await? else {
            return Ok(());
        };
        let id = task_id(&outcome)?;
        let Some(until) = self.wait else {
            return Ok(account.format.print(&Submitted {
                task_id: id.to_string(),
                outcome,
            })?);
        };
        let task = follow(&account.client, id, until).await?;
        account.format.print(&task)?;
        match task.status() {
            TaskStatus::Settled | TaskStatus::Final => Ok(()),
            status => bail!(
                "task {id} ended without a quality: {} ({})",
                status.as_str_name(),
                task.refund_reason().as_str_name()
            ),
        }
    }

    async fn message(&self, account: &Account) -> anyhow::Result<Any> {
        let prompt = match (&self.prompt, &self.prompt_file) {
            (Some(prompt), _) => prompt.clone(),
            (None, Some(file)) => read_prompt(file)?,
            (None, None) => bail!("there is no prompt"),
        };
        let model = self.model(&account.client).await?;
        let max_fee = match &self.max_fee {
            Some(coin) => account.base_units(coin)?,
            None => longest_price(&model, &prompt, self.max_answer_bytes),
        };
        Ok(any(&MsgSubmitTask {
            user: account.address().to_owned(),
            model: model.id,
            prompt,
            max_answer_bytes: self.max_answer_bytes,
            min_quality: self.min_quality,
            max_fee,
            seed: self.seed,
            sampling: Some(Sampling {
                temperature: ppm(self.temperature),
                top_p: ppm(self.top_p),
                max_tokens: self.max_tokens,
            }),
        }))
    }

    async fn model(&self, client: &Client) -> anyhow::Result<Model> {
        if let Some(id) = &self.model {
            return Ok(client.model(id).await?);
        }
        let mut models = client.models("", 0).await?;
        match (models.pop(), models.is_empty()) {
            (Some(model), true) => Ok(model),
            (None, _) => bail!("the chain has no model"),
            (Some(_), false) => {
                bail!(
                    "the chain has several models: say which with --model; `poqd query poq models` shows them"
                )
            }
        }
    }
}

/// What the longest allowed answer costs (protocol section 9). The chain checks the escrow.
fn longest_price(model: &Model, prompt: &str, max_answer_bytes: u32) -> u64 {
    let prompt_bytes = u64::try_from(prompt.len()).unwrap_or(u64::MAX);
    let prompt = model.price_per_prompt_byte.saturating_mul(prompt_bytes);
    let answer = model
        .price_per_answer_byte
        .saturating_mul(max_answer_bytes.into());
    model
        .base_price
        .saturating_add(prompt)
        .saturating_add(answer)
}

fn read_prompt(file: &Path) -> anyhow::Result<String> {
    let name = file.display();
    let bytes = read_bytes(file).with_context(|| format!("cannot read {name}"))?;
    String::from_utf8(bytes).with_context(|| format!("{name} is not UTF-8"))
}

fn task_id(outcome: &TxOutcome) -> anyhow::Result<u64> {
    let responses = tx::responses(&outcome.data)?;
    let response = responses
        .iter()
        .find(|response| {
            response.type_url.trim_start_matches('/') == MsgSubmitTaskResponse::full_name()
        })
        .context("the transaction's result has no task id")?;
    Ok(MsgSubmitTaskResponse::decode(response.value.as_slice())?.task_id)
}

/// Says each new phase on the standard error output until the task is there.
async fn follow(client: &Client, id: u64, until: Until) -> anyhow::Result<Task> {
    let mut shown = TaskStatus::Unspecified;
    loop {
        match client.task(id).await {
            Ok(task) => {
                let status = task.status();
                if status != shown {
                    eprintln!(
                        "task {id}: {} at height {}",
                        phase(status),
                        task.updated_height
                    );
                    shown = status;
                }
                let is_there = match status {
                    TaskStatus::Final | TaskStatus::Refunded => true,
                    TaskStatus::Settled => until == Until::Settled,
                    _ => false,
                };
                if is_there {
                    return Ok(task);
                }
            }
            Err(error) if error.is_retryable() => tracing::warn!("{error}"),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

/// A status for people.
fn phase(status: TaskStatus) -> String {
    status
        .as_str_name()
        .trim_start_matches("TASK_STATUS_")
        .to_lowercase()
}

fn ppm(fraction: f64) -> u32 {
    (fraction * PPM as f64).round() as u32
}

/// A parser of numbers from 0 to `high`.
fn fraction(high: f64) -> impl Fn(&str) -> Result<f64, String> + Clone + Send + Sync {
    move |text| match text.parse() {
        Ok(value) if (0.0..=high).contains(&value) => Ok(value),
        _ => Err(format!("expected a number from 0 to {high}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_escrow_is_the_price_of_the_longest_answer() {
        let model = Model {
            base_price: 1000,
            price_per_prompt_byte: 10,
            price_per_answer_byte: 3,
            ..Model::default()
        };
        assert_eq!(longest_price(&model, "käse", 100), 1000 + 50 + 300);
        let dear = Model {
            base_price: u64::MAX,
            ..model
        };
        assert_eq!(longest_price(&dear, "a", 1), u64::MAX);
    }

    #[test]
    fn fractions_become_ppm() {
        assert_eq!(ppm(0.7), 700_000);
        let parse = fraction(2.0);
        assert_eq!(parse("2"), Ok(2.0));
        for bad in ["-0.1", "2.1", "NaN", "x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn phases_are_words() {
        assert_eq!(phase(TaskStatus::Committing), "committing");
    }
}
