//! `poq-gateway receipt`: receipts of answers, with what proves them.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use clap::{Args, Subcommand};
use poq_client::{Client, durable};
use poq_worker::commands::{VerifyReceipt, receipt_text, require_verified};
use poq_worker::program::{Output, OutputArg, terminal};

use super::{settings, store};
use crate::api::receipts::Stored;

/// Commands of `receipt`.
#[derive(Debug, Subcommand)]
pub(super) enum Receipt {
    /// Write a receipt with the chain's proof, as one file that anyone can verify offline.
    Get(Get),
    /// Check a receipt without a network. Fails unless everything is proven against what you trust.
    Verify(Verify),
}

/// Options of `receipt get`.
#[derive(Debug, Args)]
pub(super) struct Get {
    /// Id of the receipt: SESSION-NUMBER.
    id: String,
    /// Where to write it; default: standard output.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

/// Options of `receipt verify`.
#[derive(Debug, Args)]
pub(super) struct Verify {
    /// What is checked, against what.
    #[command(flatten)]
    receipt: VerifyReceipt,
    /// Form of the result.
    #[command(flatten)]
    output: OutputArg,
}

impl Receipt {
    /// How results and failures are printed.
    pub(super) fn output(&self) -> Output {
        match self {
            Self::Get(_) => Output::Text,
            Self::Verify(options) => options.output.output,
        }
    }

    /// Does it.
    ///
    /// # Errors
    /// Failures of store and node; a receipt that is not verified.
    pub(super) async fn run(self, home: &Path) -> Result<()> {
        match self {
            Self::Get(options) => get(home, &options).await,
            Self::Verify(options) => {
                let report = options.receipt.report()?;
                options.output.output.print(&report, &report)?;
                require_verified(&report)
            }
        }
    }
}

async fn get(home: &Path, options: &Get) -> Result<()> {
    let id = &options.id;
    let (home, config) = settings(home)?;
    let found = Stored::of_id(&store(&home)?, id)?;
    let stored = found.with_context(|| format!("the store has no receipt `{id}`"))?;
    let node = config.chain.node.first().context("chain.node is empty")?;
    let client = Client::new(node)?;
    let state = client.signed_session(stored.session()).await?;
    let state = state.with_context(|| {
        format!(
            "the chain has no session {}; check chain.node in config.toml",
            stored.session()
        )
    })?;
    let text = receipt_text(&stored.document(&config.chain.id, state)?)?;
    match &options.out {
        Some(file) => durable::replace(file, text.as_bytes())
            .with_context(|| format!("cannot write {}", file.display())),
        None => Ok(terminal::write(&text)?),
    }
}
