//! `poqd status`.

use super::flags::NodeFlags;
use super::runtime;
use crate::home::Home;
use crate::home::settings::ClientSettings;

/// Flags of `status`.
#[derive(Debug, clap::Args)]
pub(super) struct Status {
    #[command(flatten)]
    pub node: NodeFlags,
}

impl Status {
    /// Prints the node's status.
    ///
    /// # Errors
    /// If the node does not answer.
    pub(super) fn run(self, home: &Home) -> anyhow::Result<()> {
        let (client, format) = self.node.open(&ClientSettings::load(home)?)?;
        Ok(format.print(&runtime()?.block_on(client.status())?)?)
    }
}
