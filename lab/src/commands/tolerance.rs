use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use poq_evaluator::scorer::ModelFiles;
use poq_lab::scores::tolerance::{Derivation, Differences, OwnedPair, built_in, compare, of_file};
use poq_proto::v1::EvaluatorModel;
use serde::Serialize;

use super::bench::find_one;
use super::{Lines, table};
use crate::options::scores::Tolerance;
use crate::report::Report as Output;

#[derive(Serialize)]
struct Report {
    machine: String,
    model: String,
    data: String,
    pairs: usize,
    windows: usize,
    tokens: usize,
    /// Differences from the reference evaluator.
    reference: Vec<Differences>,
    /// Differences from ONNX Runtime with its usual settings.
    settings: Vec<Differences>,
    derivation: Derivation,
    /// The tolerance in the registry entry.
    registered: u32,
}

/// Compares ONNX Runtime with the reference evaluator.
pub(super) fn tolerance(options: &Tolerance, output: &Output) -> Result<()> {
    let (entry, files) = find_one(&options.model)?;
    let number = options.pairs as usize;
    let (data, pairs) = match &options.data {
        Some(path) => (path.display().to_string(), of_file(path, number)?),
        None => ("the project's own sample".to_owned(), built_in(number)?),
    };
    let every = options.every as usize;
    let report = report(&entry, &files, data, &pairs, every)?;
    Ok(output.print(&report, || table(&lines(&report)))?)
}

fn report(
    entry: &EvaluatorModel,
    files: &ModelFiles,
    data: String,
    pairs: &[OwnedPair],
    every: usize,
) -> Result<Report> {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len} scores, {eta} left")?;
    let bar = ProgressBar::no_length()
        .with_style(style)
        .with_message(entry.id.clone());
    let compared = compare(entry, files, pairs, every, &bar)?;
    bar.finish_and_clear();
    let largest = compared.reference.iter().map(|of| of.max).max();
    Ok(Report {
        machine: poq_client::machine(),
        model: entry.id.clone(),
        data,
        pairs: pairs.len(),
        windows: compared.windows,
        tokens: compared.tokens,
        reference: compared.reference,
        settings: compared.settings,
        derivation: Derivation::new(largest.unwrap_or(0)),
        registered: entry.audit_tolerance,
    })
}

fn lines(report: &Report) -> Lines {
    let Report {
        pairs,
        windows,
        tokens,
        registered,
        ..
    } = report;
    let head = || {
        let name = "differences in millionths";
        let columns = ["pairs", "p50", "p90", "p99", "p99.9", "max"];
        let columns = columns.map(|column| format!("{column:>7}")).concat();
        ("", format!("{name:<28}{columns}"))
    };
    let row = |of: &Differences| {
        let columns = [of.p50, of.p90, of.p99, of.p999, of.max];
        let columns = columns.map(|column| format!("{column:>7}")).concat();
        ("", format!("{:<28}{:>7}{columns}", of.of, of.pairs))
    };
    let mut lines = vec![
        ("machine", report.machine.clone()),
        ("model", report.model.clone()),
        (
            "data",
            format!(
                "{}: {pairs} pairs, {windows} windows, {tokens} tokens",
                report.data
            ),
        ),
        (
            "reference",
            "ONNX Runtime against the reference evaluator".into(),
        ),
        head(),
    ];
    lines.extend(report.reference.iter().map(row));
    lines.push(("settings", "ONNX Runtime against its usual settings".into()));
    lines.push(head());
    lines.extend(report.settings.iter().map(row));
    let Derivation {
        largest,
        margin,
        audit_tolerance,
    } = report.derivation;
    lines.push((
        "tolerance",
        format!(
            "{audit_tolerance}: {largest}, the largest difference from the reference evaluator, times {margin} for other processors, other versions and untested pairs, rounded up; the registry entry has {registered}"
        ),
    ));
    lines
}
