//! `poqd models`: the files of the chain's evaluator models.

use std::path::PathBuf;

use anyhow::bail;
use poq_judge::Judge;
use poq_proto::v1::EvaluatorModel;
use serde::Serialize;

use super::flags::NodeFlags;
use super::runtime;
use crate::home::Home;
use crate::home::settings::{AppSettings, ClientSettings, Format};

/// Evaluator models per query.
const PAGE: u32 = 100;

/// Commands of `models`.
#[derive(Debug, clap::Args)]
pub(super) struct Models {
    #[command(subcommand)]
    command: ModelsCommand,
}

#[derive(Debug, clap::Subcommand)]
enum ModelsCommand {
    /// Check that this machine has the files of all evaluator models of the chain; fail if one is missing.
    Check(Check),
}

/// Flags of `check`.
#[derive(Debug, clap::Args)]
struct Check {
    #[command(flatten)]
    node: NodeFlags,
    /// Folder with the files; default: as for `start`.
    #[arg(long, value_name = "DIR")]
    evaluator_models: Option<PathBuf>,
}

#[derive(Debug, Serialize)]
struct Checked {
    model: String,
    /// `ready`, `missing`, or `unusable` on every node.
    status: &'static str,
    deprecated: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

impl Models {
    /// Runs the command.
    ///
    /// # Errors
    /// If a file is missing, or the node does not answer.
    pub(super) fn run(self, home: &Home) -> anyhow::Result<()> {
        let ModelsCommand::Check(check) = self.command;
        let mut settings = AppSettings::load(home)?;
        settings.evaluator_models = check.evaluator_models.or(settings.evaluator_models);
        let judge = Judge::new(settings.evaluator_models_folder(home));
        let (client, format) = check.node.open(&ClientSettings::load(home)?)?;
        let mut models: Vec<EvaluatorModel> = Vec::new();
        runtime()?.block_on(async {
            loop {
                let after = models.last().map_or("", |model| model.id.as_str());
                let page = client.evaluator_models(after, PAGE).await?;
                if page.is_empty() {
                    return Ok::<_, poq_client::Error>(());
                }
                models.extend(page);
            }
        })?;
        let checked: Vec<Checked> = models.iter().map(|model| look(&judge, model)).collect();
        format.print(&checked)?;
        let missing = |one: &&Checked| one.status == "missing" && !one.deprecated;
        match checked.iter().filter(missing).count() {
            0 => Ok(()),
            count => {
                bail!(
                    "{count} evaluator models are missing: a node on this machine would stop at an audit"
                )
            }
        }
    }

    /// Value of `--output`.
    pub(super) fn output(&self) -> Option<Format> {
        let ModelsCommand::Check(check) = &self.command;
        check.node.output
    }
}

fn look(judge: &Judge, model: &EvaluatorModel) -> Checked {
    let (status, reason) = match judge.load(model) {
        Ok(_) => ("ready", None),
        Err(error) if error.is_of_the_model() => ("unusable", Some(error.to_string())),
        Err(error) => ("missing", Some(error.to_string())),
    };
    Checked {
        model: model.id.clone(),
        status,
        deprecated: model.deprecated,
        reason,
    }
}
