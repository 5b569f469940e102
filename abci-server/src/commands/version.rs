//! `poqd version`.

use serde::Serialize;

use crate::output::Format;

/// Flags of `version`.
#[derive(Debug, clap::Args)]
pub struct Version {
    /// How the result is printed.
    #[arg(long, value_enum)]
    pub output: Option<Format>,
}

#[derive(Serialize)]
struct Versions {
    name: &'static str,
    version: &'static str,
    app_version: u64,
    cometbft: &'static str,
}

impl Version {
    /// Prints the versions.
    ///
    /// # Errors
    /// If the output is closed.
    pub fn run(self) -> anyhow::Result<()> {
        Ok(self.output.unwrap_or_default().print(&Versions {
            name: env!("CARGO_BIN_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            app_version: poq_app::abci::APP_VERSION,
            cometbft: crate::comet::SERIES,
        })?)
    }
}
