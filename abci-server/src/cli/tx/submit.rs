//! `poqd tx poq submit-task`.

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, bail};
use poq_app::modules::tasks::settlement::returned;
use poq_client::{Any, Client, TxOutcome, any, tx};
use poq_proto::PPM;
use poq_proto::v1::{Model, MsgSubmitTask, MsgSubmitTaskResponse, Sampling, Task, TaskStatus};
use prost::{Message, Name};
use serde::Serialize;

use super::account::Account;
use crate::cli::answer;
use crate::cli::coin::Coin;
use crate::cli::input::read_bytes;

/// The smallest fraction that a message can express.
const SMALLEST: f64 = 1.0 / PPM as f64;
/// Pause between two queries of a task.
const LOOK_PAUSE: Duration = Duration::from_millis(300);

/// Flags of `tx poq submit-task`.
#[derive(Debug, clap::Args)]
pub(in crate::cli) struct SubmitTask {
    /// The question.
    #[arg(
        required_unless_present = "prompt_file",
        conflicts_with = "prompt_file",
        allow_hyphen_values = true
    )]
    prompt: Option<String>,
    /// File with the question; - is standard input.
    #[arg(long, value_name = "FILE")]
    prompt_file: Option<PathBuf>,
    /// Id of the model; default: the only one of the chain.
    #[arg(long)]
    model: Option<String>,
    /// Longest answer, bytes.
    #[arg(long, default_value_t = 2048, value_name = "BYTES")]
    max_answer_bytes: u32,
    /// Quality below which the answer costs half, ppm; at most the model's quality_target.
    #[arg(long, default_value_t = 0, value_name = "PPM")]
    min_quality: u32,
    /// Maximum cost; default: the price of the longest answer.
    #[arg(long, value_name = "COIN")]
    max_fee: Option<Coin>,
    /// Seed of the sampling.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Temperature of the sampling, 0 to 2; 0 always takes the likeliest token. The defaults of the
    /// sampling are the recommendations of the model's authors.
    #[arg(long, value_parser = fraction(0.0..=2.0))]
    temperature: Option<f64>,
    /// Nucleus mass of the sampling, above 0 and at most 1.
    #[arg(long, value_parser = fraction(SMALLEST..=1.0))]
    top_p: Option<f64>,
    /// Divisor of the odds of tokens that the answer already contains, 1 to 2; 1 means no penalty.
    #[arg(long, value_parser = fraction(1.0..=2.0))]
    repetition_penalty: Option<f64>,
    /// Longest answer, tokens; 0 leaves it to the node.
    #[arg(long, default_value_t = 0)]
    max_tokens: u32,
    /// Follow the task to this point and print its answer; with `--output json` also its record.
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
    /// Id of the task, decimal, as in proto3 JSON.
    task_id: String,
    #[serde(flatten)]
    outcome: TxOutcome,
}

impl SubmitTask {
    /// Asks, waits until the quality is known or for the point of `--wait`, and prints the answer.
    pub(in crate::cli) async fn ask(mut self, account: &Account) -> anyhow::Result<()> {
        self.wait.get_or_insert(Until::Settled);
        self.run(account).await
    }

    pub(super) async fn run(self, account: &Account) -> anyhow::Result<()> {
        let Some(outcome) = account.send(self.message(account).await?).await? else {
            return Ok(());
        };
        let id = response::<MsgSubmitTaskResponse>(&outcome)?.task_id;
        let Some(until) = self.wait else {
            return Ok(account.format.print(&Submitted {
                task_id: id.to_string(),
                outcome,
            })?);
        };
        let followed = follow(&account.client, id, until).await?;
        account
            .format
            .print_told(&followed, &followed.told(&account.params.denom))?;
        let task = &followed.task;
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
        let model = chosen_model(&account.client, self.model.as_deref()).await?;
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
                temperature: self.temperature.map(ppm),
                // In these two, 0 means unset.
                top_p: self.top_p.map_or(0, ppm),
                repetition_penalty: self.repetition_penalty.map_or(0, ppm),
                max_tokens: self.max_tokens,
            }),
        }))
    }
}

/// The model with this id, or the only one of the chain.
pub(super) async fn chosen_model(client: &Client, id: Option<&str>) -> anyhow::Result<Model> {
    if let Some(id) = id {
        return Ok(client.model(id).await?);
    }
    let mut models = client.models("", 0).await?;
    match (models.pop(), models.is_empty()) {
        (Some(model), true) => Ok(model),
        (None, _) => bail!("the chain has no model"),
        (Some(_), false) => {
            bail!(
                "the chain has several models: choose one with --model; `poqd query poq models` shows them"
            )
        }
    }
}

/// The price of the longest allowed answer (protocol section 9). The chain checks the escrow.
fn longest_price(model: &Model, prompt: &str, max_answer_bytes: u32) -> u64 {
    let prompt_bytes = u64::try_from(prompt.len()).unwrap_or(u64::MAX);
    model.terms().price(prompt_bytes, max_answer_bytes.into())
}

fn read_prompt(file: &Path) -> anyhow::Result<String> {
    let name = file.display();
    let bytes = read_bytes(file).with_context(|| format!("cannot read {name}"))?;
    String::from_utf8(bytes).with_context(|| format!("{name} is not UTF-8"))
}

/// The response to a transaction's message of the type.
pub(super) fn response<M: Message + Name + Default>(outcome: &TxOutcome) -> anyhow::Result<M> {
    let responses = tx::responses(&outcome.data)?;
    let response = responses
        .iter()
        .find(|response| response.type_url.trim_start_matches('/') == M::full_name())
        .with_context(|| format!("the transaction's result has no {}", M::NAME))?;
    Ok(M::decode(response.value.as_slice())?)
}

/// A task in its last followed phase, with its answer.
#[derive(Serialize)]
struct Followed {
    #[serde(flatten)]
    task: Task,
    /// `None` if there is no answer, or if the node does not have its block.
    answer_text: Option<String>,
}

impl Followed {
    /// The result as text, with amounts in `denom`.
    fn told(&self, denom: &str) -> String {
        let task = &self.task;
        let mut text = match &self.answer_text {
            Some(answer) => format!("{answer}\n\n"),
            None if task.answer.is_some() => {
                "The node does not have the text of the answer.\n\n".into()
            }
            None => String::new(),
        };
        let id = task.id;
        match &task.settlement {
            Some(settlement) => {
                text += &format!(
                    "task {id}: quality {:.3}, price {}{denom}, {}{denom} of {}{denom} back\n",
                    f64::from(settlement.quality) / PPM as f64,
                    settlement.price,
                    settlement.refund,
                    task.escrow
                )
            }
            None => {
                text += &format!(
                    "task {id}: no quality, {}{denom} for the answer, {}{denom} back\n",
                    task.unjudged_pay,
                    returned(task)
                )
            }
        }
        text + &format!("`poqd query poq task {id}` shows who answered and scored it\n")
    }
}

/// Prints each new phase to standard error until the task reaches `until`.
async fn follow(client: &Client, id: u64, until: Until) -> anyhow::Result<Followed> {
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
                    return Ok(followed(client, task).await);
                }
            }
            Err(error) if error.is_retryable() => tracing::warn!("{error}"),
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(LOOK_PAUSE).await;
    }
}

/// The task with its answer. A missing answer does not make the wait fail.
async fn followed(client: &Client, task: Task) -> Followed {
    let found = match &task.answer {
        None => None,
        Some(_) => match answer::find(client, &task).await {
            Ok(found) => Some(found.text),
            Err(error) => {
                tracing::warn!("{error:#}");
                None
            }
        },
    };
    Followed {
        task,
        answer_text: found,
    }
}

/// A status in words.
fn phase(status: TaskStatus) -> String {
    status
        .as_str_name()
        .trim_start_matches("TASK_STATUS_")
        .to_lowercase()
}

fn ppm(fraction: f64) -> u32 {
    (fraction * PPM as f64).round() as u32
}

/// A parser of numbers in `range`.
fn fraction(
    range: RangeInclusive<f64>,
) -> impl Fn(&str) -> Result<f64, String> + Clone + Send + Sync {
    move |text| match text.parse() {
        Ok(value) if range.contains(&value) => Ok(value),
        _ => Err(format!(
            "expected a number from {} to {}",
            range.start(),
            range.end()
        )),
    }
}

#[cfg(test)]
mod tests {
    use poq_proto::v1::{self, Settlement};

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
        let parse = fraction(0.0..=2.0);
        assert_eq!(parse("2"), Ok(2.0));
        for bad in ["-0.1", "2.1", "NaN", "x"] {
            assert!(parse(bad).is_err(), "{bad}");
        }
        // A value that rounds to 0 ppm would count as unset.
        assert!(fraction(SMALLEST..=1.0)("0").is_err());
        assert_eq!(ppm(SMALLEST), 1);
    }

    #[test]
    fn an_ended_task_shows_what_was_paid_for() {
        let settlement = Settlement {
            quality: 981_250,
            price: 30,
            refund: 70,
            ..Settlement::default()
        };
        let task = Task {
            id: 7,
            escrow: 100,
            answer: Some(v1::Answer::default()),
            settlement: Some(settlement),
            ..Task::default()
        };
        let mut followed = Followed {
            task,
            answer_text: Some("Paris.".into()),
        };
        let told = followed.told("upoq");
        assert!(told.starts_with("Paris.\n\n"), "{told}");
        assert!(
            told.contains("quality 0.981, price 30upoq, 70upoq of 100upoq back"),
            "{told}"
        );
        let json = serde_json::to_value(&followed).unwrap();
        assert_eq!(
            (&json["id"], &json["answer_text"]),
            (&"7".into(), &"Paris.".into())
        );

        followed.answer_text = None;
        assert!(followed.told("upoq").contains("does not have the text"));
        followed.task = Task {
            escrow: 100,
            ..Task::default()
        };
        assert!(
            followed
                .told("upoq")
                .starts_with("task 0: no quality, 0upoq for the answer, 100upoq back")
        );
    }

    #[test]
    fn phases_are_words() {
        assert_eq!(phase(TaskStatus::Committing), "committing");
    }
}
