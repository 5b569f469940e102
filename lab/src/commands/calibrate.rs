use anyhow::{Context, Result};
use poq_lab::scores::{Dataset, Held, Scores, fit, held, read};
use poq_proto::v1::{CalibrationPoint, EvaluatorModel};
use serde::Serialize;

use super::bench::{Bench, progress};
use super::{Lines, table};
use crate::options::scores::Calibrate;
use crate::report::Report as Output;

#[derive(Serialize)]
struct Calibrated {
    machine: String,
    data: String,
    model: String,
    /// Number of pairs that the table was fitted to.
    fitted_pairs: usize,
    /// The registry's table on the other prompts.
    old: Held,
    /// The new table on the same prompts.
    new: Held,
    entry: EvaluatorModel,
}

/// Fits the table from raw scores to qualities.
pub(super) fn calibrate(options: &Calibrate, seed: u64, output: &Output) -> Result<()> {
    let dataset = read(&options.data)?;
    let bench = Bench::new(&options.measuring, seed)?;
    let calibrated = calibrated(&bench, &dataset)?;
    let entry = serde_json::to_string_pretty(&calibrated.entry)? + "\n";
    let mut lines = lines(&calibrated);
    match &options.entry {
        Some(path) => {
            poq_client::durable::replace(path, entry.as_bytes())?;
            lines.push(("entry", path.display().to_string()));
        }
        None => lines.push(("entry", entry)),
    }
    Ok(output.print(&calibrated, || table(&lines))?)
}

fn calibrated(bench: &Bench, dataset: &Dataset) -> Result<Calibrated> {
    let model = bench.each().next().context("no model is given")??;
    let bar = progress(&model.registered().id)?;
    let scores = Scores::new(&model, &dataset.pairs(), bench.batch_tokens, &bar)?;
    bar.finish_and_clear();
    let [to_fit, other] = dataset.halves();
    let name = &dataset.name;
    let raw = scores.raw(&to_fit.pairs())?;
    let fitted = fit(&to_fit, &raw).with_context(|| {
        format!(
            "{name} has answers of one class or of one score only; a table needs answers to their own prompt and to others, or labels of both kinds"
        )
    })?;
    let mut entry = model.registered().clone();
    let old = std::mem::replace(&mut entry.calibration, fitted.table);
    let raw = scores.raw(&other.pairs())?;
    let measured = |table: &[CalibrationPoint]| {
        held(&other, &raw, table)
            .with_context(|| format!("{name} has too few prompts to measure a table on others"))
    };
    Ok(Calibrated {
        machine: bench.machine.clone(),
        data: name.clone(),
        model: entry.id.clone(),
        fitted_pairs: fitted.fitted,
        old: measured(&old)?,
        new: measured(&entry.calibration)?,
        entry,
    })
}

fn lines(calibrated: &Calibrated) -> Lines {
    let held = |held: &Held| {
        format!(
            "Brier score {:.4}, calibration error {:.4}, AUC {:.4}",
            held.brier, held.calibration_error, held.auc
        )
    };
    vec![
        ("machine", calibrated.machine.clone()),
        ("data", calibrated.data.clone()),
        ("model", calibrated.model.clone()),
        (
            "method",
            format!(
                "fitted to {} pairs, measured on {} of other prompts",
                calibrated.fitted_pairs, calibrated.new.pairs
            ),
        ),
        ("registry's table", held(&calibrated.old)),
        ("new table", held(&calibrated.new)),
    ]
}
