use anyhow::{Context, Result};
use poq_evaluator::scorer::{Model, ModelFiles, open_all};
use poq_lab::scores::{AttackReport, Attacks, read, sample, score_all};
use poq_proto::v1::EvaluatorModel;
use serde::Serialize;

use super::bench::{Bench, progress};
use super::{Lines, table};
use crate::options::scores::Attack;
use crate::report::Report as Output;

#[derive(Serialize)]
struct Report {
    machine: String,
    method: String,
    models: Vec<ModelReport>,
}

#[derive(Serialize)]
struct ModelReport {
    model: String,
    attacks: Vec<AttackReport>,
}

/// Measures what attacks get.
pub(super) fn attack(options: &Attack, seed: u64, output: &Output) -> Result<()> {
    let dataset = match &options.data {
        Some(path) => read(path)?,
        None => sample()?.remove(0),
    };
    let attacks = Attacks::new(&dataset).with_context(|| {
        let name = &dataset.name;
        format!("{name} has no prompt with three answers of different scores, one of them on the topic with the label false")
    })?;
    let bench = Bench::new(&options.measuring, seed)?;
    let report = report(&bench, &attacks)?;
    Ok(output.print(&report, || table(&lines(&report)))?)
}

fn report(bench: &Bench, attacks: &Attacks) -> Result<Report> {
    let mut models = Vec::new();
    for model in &bench.models {
        models.push(ModelReport {
            model: model.0.id.clone(),
            attacks: attack_model(bench, model, attacks)?,
        });
    }
    Ok(Report {
        machine: bench.machine.clone(),
        method: bench.method(),
        models,
    })
}

/// The results of the attacks for one model.
pub(super) fn attack_model(
    bench: &Bench,
    (entry, files): &(EvaluatorModel, ModelFiles),
    attacks: &Attacks,
) -> Result<Vec<AttackReport>> {
    let one_window = EvaluatorModel {
        max_windows: 1,
        ..entry.clone()
    };
    let both = [entry, &one_window].map(|entry| (entry.clone(), files.clone()));
    let raw = |model: &Model| -> Result<Vec<i32>> {
        let bar = progress(&entry.id)?;
        let scored = score_all(model, &attacks.pairs(), bench.batch_tokens, &bar)?;
        bar.finish_and_clear();
        Ok(scored.iter().map(|scored| scored.raw).collect())
    };
    let opened = open_all(&both, bench.engine)?;
    let scores: Vec<Vec<i32>> = opened.iter().map(raw).collect::<Result<_>>()?;
    let [all_windows, one_window] = &scores[..] else {
        anyhow::bail!("no model is loaded");
    };
    attacks
        .report(entry, all_windows, one_window, bench.settings)
        .context("scores are missing; this is a bug")
}

fn lines(report: &Report) -> Lines {
    let mut lines = vec![
        ("machine", report.machine.clone()),
        ("method", report.method.clone()),
    ];
    for ModelReport { model, attacks } in &report.models {
        lines.push(("model", model.clone()));
        let head = format!(
            "{:<47} {:>5} {:>6}  {:>10} {:>14}  {:>10} {:>14}",
            "attack",
            "base",
            "gets",
            "one window",
            "without copied",
            "beats right",
            "without copied"
        );
        lines.push(("", head));
        lines.extend(attacks.iter().map(|of| {
            let row = format!(
                "{:<47} {:>5.2} {:>6.2}  {:>10.2} {:>14.2}  {:>10.2} {:>14.2}",
                of.attack,
                of.base_quality,
                of.quality.value,
                of.quality_one_window,
                of.quality_without_copied,
                of.beats_right.value,
                of.beats_right_without_copied
            );
            ("", row)
        }));
    }
    lines
}
