//! `receipt verify`, the same in every program.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use poq_client::receipt::{Anchors, Document, Receipt, Report, Subject, Verdict, parse_hash};

/// What a receipt is checked against.
#[derive(Debug, Args)]
pub struct VerifyReceipt {
    /// File with the receipt, or a gateway's answer about it; - is standard input
    pub file: PathBuf,
    /// Trust exactly the header with this hash: that of the block after the receipt's state
    #[arg(long, value_name = "HEX", value_parser = parse_hash)]
    pub trusted_hash: Option<[u8; 32]>,
    /// Trust every header that more than two thirds of the validator set with this hash signed
    #[arg(long, value_name = "HEX", value_parser = parse_hash)]
    pub trusted_validators: Option<[u8; 32]>,
    /// File with the text of the answer, to check it too
    #[arg(long, value_name = "FILE")]
    pub answer: Option<PathBuf>,
}

impl VerifyReceipt {
    /// Checks the receipt, without a network.
    ///
    /// # Errors
    /// If a file cannot be read, or is not a receipt. What is wrong with a receipt is in the report.
    pub fn report(&self) -> Result<Report> {
        let mut document = read_receipt(&self.file)?;
        if let Some(file) = &self.answer {
            let text = std::fs::read_to_string(file)
                .with_context(|| format!("cannot read {}", file.display()))?;
            match &mut document.receipt.subject {
                Subject::Task(task) => task.answer = Some(text),
                Subject::Answer(answer) => answer.answer = Some(text),
            }
        }
        Ok(document.verify(&Anchors {
            header: self.trusted_hash,
            validators: self.trusted_validators,
        }))
    }
}

/// Reads a receipt, or a gateway's answer about one; - is standard input.
///
/// # Errors
/// If the file cannot be read, or is not a receipt.
pub fn read_receipt(file: &Path) -> Result<Document> {
    let mut content = Vec::new();
    let read = match file == Path::new("-") {
        true => io::stdin().read_to_end(&mut content).map(drop),
        false => std::fs::read(file).map(|bytes| content = bytes),
    };
    read.with_context(|| format!("cannot read {}", file.display()))?;
    Document::parse(&content).with_context(|| format!("cannot use {}", file.display()))
}

/// The receipt in indented JSON, as it is written to files. One that does not hold together is refused.
///
/// # Errors
/// If a check fails other than for want of trust.
pub fn receipt_text(receipt: &Receipt) -> Result<String> {
    let report = receipt.verify(&Anchors::default());
    if report.verdict == Verdict::Failed {
        bail!("the receipt is wrong; the node or the gateway lies:\n{report}");
    }
    Ok(poq_client::json::to_string_pretty(receipt)? + "\n")
}

/// The failure of a verification, unless everything is proven.
///
/// # Errors
/// If the verdict is not [`Verdict::Verified`].
pub fn require_verified(report: &Report) -> Result<()> {
    match report.verdict {
        Verdict::Verified => Ok(()),
        Verdict::Provisional => bail!(
            "the receipt is provisional: the chain does not commit to the answer; fetch it again once the session is settled"
        ),
        Verdict::Untrusted => bail!(
            "the header is not trusted; give --trusted-hash or --trusted-validators from a source that you trust"
        ),
        Verdict::Failed => bail!("the receipt is wrong; see the checks"),
    }
}
