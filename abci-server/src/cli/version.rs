//! `poqd version`.

use serde::Serialize;

use crate::home::settings::Format;

/// Flags of `version`.
#[derive(Debug, clap::Args)]
pub(super) struct Version {
    /// Also print build information.
    #[arg(long)]
    long: bool,
    /// Format of the result.
    #[arg(long, value_enum)]
    pub output: Option<Format>,
}

#[derive(Serialize)]
struct Versions {
    name: &'static str,
    version: &'static str,
    app_version: u64,
    cometbft: &'static str,
    #[serde(flatten)]
    build: Option<Build>,
}

/// Fields that only `--long` prints.
#[derive(Serialize)]
struct Build {
    /// Version of ABCI.
    abci: &'static str,
    /// Oldest Rust version that can build the program.
    rust: &'static str,
    os: &'static str,
    architecture: &'static str,
    /// Whether debug assertions are on.
    debug_assertions: bool,
}

impl Version {
    /// Prints the versions.
    ///
    /// # Errors
    /// If the output is closed.
    pub(super) fn run(self) -> anyhow::Result<()> {
        Ok(self.output.unwrap_or_default().print(&Versions {
            name: env!("CARGO_PKG_NAME"),
            version: env!("CARGO_PKG_VERSION"),
            app_version: poq_app::abci::APP_VERSION,
            cometbft: crate::node::comet::SERIES,
            build: self.long.then_some(Build {
                abci: "2.0",
                rust: env!("CARGO_PKG_RUST_VERSION"),
                os: std::env::consts::OS,
                architecture: std::env::consts::ARCH,
                debug_assertions: cfg!(debug_assertions),
            }),
        })?)
    }
}
