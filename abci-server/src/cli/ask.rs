//! `poqd ask`: asks a question and prints its answer.

use super::runtime;
use super::tx::TxFlags;
use super::tx::account::Account;
use super::tx::submit::SubmitTask;
use crate::home::Home;
use crate::home::settings::ClientSettings;
use crate::home::settings::Format;

/// Flags of `ask`: those of a transaction and of `tx poq submit-task`.
#[derive(Debug, clap::Args)]
pub(super) struct Ask {
    #[command(flatten)]
    flags: TxFlags,
    #[command(flatten)]
    task: SubmitTask,
}

impl Ask {
    /// Asks, waits until the quality is known, and prints the answer.
    ///
    /// # Errors
    /// The reason why there is no answer.
    pub(super) fn run(self, home: &Home) -> anyhow::Result<()> {
        let settings = ClientSettings::load(home)?;
        runtime()?.block_on(async {
            let account = Account::open(self.flags, home, &settings).await?;
            self.task.ask(&account).await
        })
    }

    /// Value of `--output`.
    pub(super) fn output(&self) -> Option<Format> {
        self.flags.node.output
    }
}
