//! `poqd vrf-key`: the VRF keys of a validator.

use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;

use crate::home::Home;
use crate::home::settings::Format;
use crate::home::vrf_keys::VrfKeys;

/// Commands of `vrf-key`.
#[derive(Debug, clap::Args)]
pub(super) struct VrfKey {
    /// Format of the result.
    #[arg(long, short = 'o', global = true, value_enum)]
    pub output: Option<Format>,
    #[command(subcommand)]
    command: VrfKeyCommand,
}

#[derive(Debug, clap::Subcommand)]
enum VrfKeyCommand {
    /// Print the public keys of this home, oldest first.
    Show,
    /// Create another key. Restart the node, then register the key with `poqd tx poq set-vrf-key`; the
    /// node uses each key when it takes effect.
    Add,
}

#[derive(Serialize)]
struct Summary<'a> {
    path: &'a Path,
    public_keys: Vec<String>,
}

impl VrfKey {
    /// Shows or adds keys.
    ///
    /// # Errors
    /// If the file cannot be used.
    pub(super) fn run(self, home: &Home) -> anyhow::Result<()> {
        let mut keys = VrfKeys::read(home.vrf_key())?;
        if matches!(self.command, VrfKeyCommand::Add) {
            keys.add()?;
        }
        let public_keys = keys.public_keys();
        self.output.unwrap_or_default().print(&Summary {
            path: keys.path(),
            public_keys: public_keys.iter().map(|key| BASE64.encode(key)).collect(),
        })?;
        Ok(())
    }
}
