//! `poqd receipt`: receipts of tasks and of answers of sessions, which anyone can verify offline.

mod score;

use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use poq_client::receipt::{AnswerPart, Receipt as Document, Subject};
use poq_client::{Any, Client, durable, tx};
use poq_proto::v1::{
    Chat, LeafItem, MsgRevealLeaves, MsgSubmitTask, Session, SessionSettlement, Task,
};
use poq_worker::commands::{VerifyReceipt, read_receipt, receipt_text, require_verified};
use poq_worker::program::terminal;
use prost::Message;
use sha2::{Digest, Sha256};

use super::flags::NodeFlags;
use super::{answer, runtime};
use crate::home::Home;
use crate::home::settings::{ClientSettings, Format};

/// The command `receipt`.
#[derive(Debug, clap::Args)]
pub(super) struct Receipt {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, clap::Subcommand)]
enum Command {
    /// Fetch a record with its proof and the signed header, and write them as one file.
    Get(Get),
    /// Check a receipt without a network. Fails unless everything is proven against what you trust.
    Verify(Verify),
    /// Compute the quality of the answer in a receipt, as a committee would. An answer that was not drawn
    /// has one all the same.
    Score(score::Score),
}

#[derive(Debug, clap::Args)]
struct Get {
    #[command(flatten)]
    node: NodeFlags,
    /// Where to write the receipt; default: standard output.
    #[arg(long, global = true, value_name = "FILE")]
    out: Option<PathBuf>,
    #[command(subcommand)]
    of: Of,
}

#[derive(Debug, clap::Subcommand)]
enum Of {
    /// Of a task.
    Task {
        /// Id of the task.
        id: u64,
    },
    /// Of an answer of a session. The chain does not know the answers that were not drawn, so it takes
    /// what the gateway has: its answer at GET /v1/receipts/ID, or that to the chat itself.
    Answer {
        /// File with the gateway's answer, or an older receipt; - is standard input.
        file: PathBuf,
    },
}

#[derive(Debug, clap::Args)]
struct Verify {
    #[command(flatten)]
    receipt: VerifyReceipt,
    /// Format of the result; default: as in client.toml.
    #[arg(long, short = 'o', value_enum)]
    output: Option<Format>,
}

impl Receipt {
    /// Value of `--output`.
    pub(super) fn output(&self) -> Option<Format> {
        match &self.command {
            Command::Get(get) => get.node.output,
            Command::Verify(verify) => verify.output,
            Command::Score(score) => score.node.output,
        }
    }

    /// Runs the command.
    ///
    /// # Errors
    /// Errors of the node; a receipt that is not verified.
    pub(super) fn run(self, home: &Home) -> anyhow::Result<()> {
        let settings = ClientSettings::load(home)?;
        match self.command {
            Command::Score(score) => score.run(home),
            Command::Get(get) => {
                let (client, _) = get.node.open(&settings)?;
                let receipt = runtime()?.block_on(async {
                    match &get.of {
                        Of::Task { id } => of_task(&client, *id).await,
                        Of::Answer { file } => of_answer(&client, file).await,
                    }
                })?;
                write(&receipt_text(&receipt)?, get.out.as_deref())
            }
            Command::Verify(verify) => {
                let format = verify.output.unwrap_or(settings.output);
                let report = verify.receipt.report()?;
                format.print_told(&report, &format!("{report}\n"))?;
                require_verified(&report)
            }
        }
    }
}

fn write(text: &str, file: Option<&Path>) -> anyhow::Result<()> {
    match file {
        Some(file) => durable::replace(file, text.as_bytes())
            .with_context(|| format!("cannot write {}", file.display())),
        None => Ok(terminal::write(text)?),
    }
}

async fn of_task(client: &Client, id: u64) -> anyhow::Result<Document> {
    let receipt = client.task_receipt(id).await?;
    let mut receipt = receipt.with_context(|| format!("the chain has no task {id}"))?;
    let record = receipt.state.as_ref().map(|state| state.record.as_slice());
    let task = Task::decode(record.unwrap_or_default())?;
    if let Subject::Task(part) = &mut receipt.subject {
        part.prompt = prompt(client, &task).await;
        part.answer = match task.answer {
            Some(_) => answer::find(client, &task).await.ok().map(|one| one.text),
            None => None,
        };
    }
    Ok(receipt)
}

/// The prompt, if the node has the block with the task.
async fn prompt(client: &Client, task: &Task) -> Option<String> {
    let messages = messages(client, task.submitted_height).await;
    let prompts = messages.iter().map(answer::read::<MsgSubmitTask>);
    prompts
        .map(|message| message.prompt)
        .find(|prompt| Sha256::digest(prompt).as_slice() == task.prompt_sha256)
}

async fn of_answer(client: &Client, file: &Path) -> anyhow::Result<Document> {
    let known = read_receipt(file)?.receipt;
    let Subject::Answer(part) = known.subject else {
        bail!("{} is the receipt of a task", file.display());
    };
    let (id, number) = (part.session, part.leaf.number);
    let receipt = client.answer_receipt(part).await?;
    let mut receipt = receipt.with_context(|| format!("the chain has no session {id}"))?;
    if !known.chain_id.is_empty() && receipt.chain_id != known.chain_id {
        bail!(
            "the receipt is of the chain `{}`, the node of `{}`; choose another one with --node",
            known.chain_id,
            receipt.chain_id
        );
    }
    let record = receipt.state.as_ref().map(|state| state.record.as_slice());
    let session = Session::decode(record.unwrap_or_default())?;
    if let Subject::Answer(part) = &mut receipt.subject
        && (part.chat.is_none() || part.answer.is_none())
        && let Some(settlement) = &session.settlement
        && let Some((chat, text)) = revealed(client, settlement, (id, number)).await
    {
        add_texts(part, chat, text);
    }
    Ok(receipt)
}

/// Adds texts that are on the chain, unless the receipt is of another answer: then it shows by its path.
fn add_texts(part: &mut AnswerPart, chat: Chat, text: String) {
    if part.leaf.request == chat.digest() {
        part.chat.get_or_insert(chat);
        part.answer.get_or_insert(text);
    }
}

/// Chat and answer of a drawn leaf, if the node has the block with them.
async fn revealed(
    client: &Client,
    settlement: &SessionSettlement,
    (session, number): (u64, u64),
) -> Option<(Chat, String)> {
    let mut leaves = settlement.leaves.iter();
    let drawn = leaves.find(|leaf| leaf.number == number && leaf.task_id > 0)?;
    let task = client.task(drawn.task_id).await.ok()?;
    let messages = messages(client, task.answer?.height).await;
    let is_wanted = |item: &LeafItem| {
        let found = item.leaf.as_ref().map(|leaf| leaf.number);
        (item.session, found) == (session, Some(number))
    };
    let mut items = messages
        .iter()
        .flat_map(|message| answer::read::<MsgRevealLeaves>(message).items);
    let item = items.find(is_wanted)?;
    Some((item.chat?, item.answer))
}

/// The messages in a block; none if the node does not have it.
async fn messages(client: &Client, height: u64) -> Vec<Any> {
    let Ok(block) = client.block(Some(height)).await else {
        return Vec::new();
    };
    let bodies = block
        .block
        .data
        .iter()
        .filter_map(|bytes| tx::decode(bytes).ok()?.body);
    bodies.flat_map(|body| body.messages).collect()
}
