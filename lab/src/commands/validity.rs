use anyhow::Result;
use poq_lab::scores::{Agreement, Dataset, Pair, Scores, measure, read, sample};
use serde::Serialize;

use super::bench::{Bench, progress, shown};
use super::{Lines, table};
use crate::options::scores::Validity;
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
    agreements: Vec<Agreement>,
}

/// Measures how far scores agree with labels.
pub(super) fn validity(options: &Validity, seed: u64, output: &Output) -> Result<()> {
    let datasets = match options.data.is_empty() {
        true => sample()?,
        false => options
            .data
            .iter()
            .map(|path| read(path))
            .collect::<Result<_, _>>()?,
    };
    let bench = Bench::new(&options.measuring, seed)?;
    let report = report(&bench, &datasets)?;
    Ok(output.print(&report, || table(&lines(&report)))?)
}

fn report(bench: &Bench, datasets: &[Dataset]) -> Result<Report> {
    let pairs: Vec<Pair> = datasets.iter().flat_map(Dataset::pairs).collect();
    let mut models = Vec::new();
    for model in bench.each() {
        let model = model?;
        let id = &model.registered().id;
        let bar = progress(id)?;
        let scores = Scores::new(&model, &pairs, bench.batch_tokens, &bar)?;
        bar.finish_and_clear();
        let mut agreements = Vec::new();
        for dataset in datasets {
            let raw = scores.raw(&dataset.pairs())?;
            let values: Vec<f64> = raw.into_iter().map(f64::from).collect();
            agreements.extend(measure(dataset, &values, bench.settings));
        }
        models.push(ModelReport {
            model: id.clone(),
            agreements,
        });
    }
    Ok(Report {
        machine: bench.machine.clone(),
        method: bench.method(),
        models,
    })
}

fn lines(report: &Report) -> Lines {
    let mut lines = vec![
        ("machine", report.machine.clone()),
        ("method", report.method.clone()),
    ];
    for ModelReport { model, agreements } in &report.models {
        lines.push(("model", model.clone()));
        let row = |cells: [&str; 6]| {
            let [data, measure, cases, model, length, overlap] = cells;
            format!("{data:<18} {measure:<26} {cases:>6}  {model:<23} {length:<23} {overlap}")
        };
        let head = [
            "data",
            "measure",
            "cases",
            "model",
            "answer's length",
            "word overlap",
        ];
        lines.push(("", row(head)));
        lines.extend(agreements.iter().map(|of| {
            let (cases, length, overlap) =
                (of.cases.to_string(), shown(of.length), shown(of.overlap));
            let cells = [
                &of.data,
                of.measure,
                &cases,
                &shown(of.model),
                &length,
                &overlap,
            ];
            ("", row(cells))
        }));
    }
    lines
}
