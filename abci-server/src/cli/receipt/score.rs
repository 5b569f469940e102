//! `poqd receipt score`: the quality of an answer, also of one that nobody drew.

use std::fmt::{self, Display, Formatter};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use poq_client::receipt::{AnswerPart, Subject};
use poq_judge::{Judge, Panel};
use poq_proto::PPM;
use poq_proto::v1::Task;
use poq_worker::commands::read_receipt;
use prost::Message;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::cli::flags::NodeFlags;
use crate::cli::runtime;
use crate::home::Home;
use crate::home::settings::{AppSettings, ClientSettings};

/// Flags of the command.
#[derive(Debug, clap::Args)]
pub(super) struct Score {
    /// A receipt with both texts, or a gateway's answer at GET /v1/receipts/ID?proof=true; - is standard
    /// input.
    file: PathBuf,
    /// Folder with the files of the evaluator models; default: as for `start`.
    #[arg(long, value_name = "DIR")]
    evaluator_models: Option<PathBuf>,
    #[command(flatten)]
    pub(super) node: NodeFlags,
}

/// What is scored.
struct Texts {
    model: String,
    prompt: String,
    answer: String,
}

#[derive(Serialize)]
struct Scored {
    model: String,
    /// ppm.
    quality: u32,
    evaluator_models: Vec<String>,
}

impl Display for Scored {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let quality = f64::from(self.quality) / PPM as f64;
        let judges = self.evaluator_models.join(", ");
        writeln!(
            f,
            "quality {quality:.4} as an answer of {}, by {judges}",
            self.model
        )
    }
}

impl Score {
    /// Runs the command.
    ///
    /// # Errors
    /// If the receipt lacks a text or has a wrong one, the node does not answer, or a file is missing.
    pub(super) fn run(self, home: &Home) -> anyhow::Result<()> {
        let texts = texts(&self.file)?;
        let (client, format) = self.node.open(&ClientSettings::load(home)?)?;
        let mut settings = AppSettings::load(home)?;
        settings.evaluator_models = self.evaluator_models.or(settings.evaluator_models);
        let judge = Judge::new(settings.evaluator_models_folder(home));
        let panel = runtime()?.block_on(Panel::read(&client, &texts.model))?;
        let scored = Scored {
            quality: panel.quality(&judge, &texts.prompt, &texts.answer)?,
            evaluator_models: panel.ids().map(str::to_owned).collect(),
            model: texts.model,
        };
        Ok(format.print_told(&scored, &scored.to_string())?)
    }
}

/// The texts of a receipt, which must be those of its digests.
fn texts(file: &Path) -> anyhow::Result<Texts> {
    let receipt = read_receipt(file)?.receipt;
    let name = file.display();
    let record = receipt.state.as_ref().map(|state| state.record.as_slice());
    match receipt.subject {
        Subject::Answer(part) => {
            of_answer(part).with_context(|| format!("{name} cannot be scored"))
        }
        Subject::Task(part) => {
            let (Some(prompt), Some(answer)) = (part.prompt, part.answer) else {
                bail!("{name} has not both texts: `poqd receipt get task` adds them");
            };
            let task = Task::decode(record.unwrap_or_default())?;
            let sha256 = task.answer.map(|answer| answer.sha256).unwrap_or_default();
            ensure!(
                is_digest(&task.prompt_sha256, &prompt) && is_digest(&sha256, &answer),
                "the texts in {name} are not those of the task"
            );
            Ok(Texts {
                model: task.model,
                prompt,
                answer,
            })
        }
    }
}

fn of_answer(part: AnswerPart) -> anyhow::Result<Texts> {
    let (Some(chat), Some(answer)) = (part.chat, part.answer) else {
        bail!(
            "the receipt has not both texts: take the one that the gateway gives while the session is open, \
             or add `chat` and `answer`"
        );
    };
    ensure!(
        part.leaf.request == chat.digest() && is_digest(&part.leaf.answer, &answer),
        "the texts are not those of the leaf"
    );
    Ok(Texts {
        prompt: chat.scoring_text(),
        model: chat.model,
        answer,
    })
}

fn is_digest(digest: &[u8], text: &str) -> bool {
    Sha256::digest(text).as_slice() == digest
}

#[cfg(test)]
mod tests {
    use poq_proto::v1::{Chat, ChatMessage, ChatRole, Leaf};

    use super::*;

    fn part() -> AnswerPart {
        let chat = Chat {
            model: "m".into(),
            messages: vec![ChatMessage {
                role: ChatRole::User.into(),
                text: "Why?".into(),
            }],
            ..Chat::default()
        };
        AnswerPart {
            session: 7,
            leaf: Leaf {
                request: chat.digest().to_vec(),
                answer: Sha256::digest("Because.").to_vec(),
                ..Leaf::default()
            },
            signature: Vec::new(),
            path: None,
            chat: Some(chat),
            answer: Some("Because.".into()),
        }
    }

    #[test]
    fn only_the_texts_of_the_leaf_are_scored() {
        let texts = of_answer(part()).unwrap();
        assert_eq!((&*texts.model, &*texts.prompt), ("m", "Why?"));
        assert_eq!(texts.answer, "Because.");
        let refused = |change: fn(&mut AnswerPart)| {
            let mut part = part();
            change(&mut part);
            of_answer(part).err().unwrap().to_string()
        };
        assert!(refused(|part| part.chat = None).contains("not both texts"));
        assert!(refused(|part| part.answer = None).contains("not both texts"));
        assert!(refused(|part| part.answer = Some("No.".into())).contains("not those"));
        let another = refused(|part| part.chat.as_mut().unwrap().seed += 1);
        assert!(another.contains("not those"), "{another}");
    }
}
