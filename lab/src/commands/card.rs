use std::time::Instant;

use anyhow::{Context, Result};

use poq_evaluator::scorer::{Engine, Model, open_all};
use poq_lab::scores::{
    Attacks, Calibrated, Card, Dataset, Mitigation, Pair, Scores, Speed, fit, held, measure, read,
    sample,
};

use super::attack::attack_model;
use super::bench::{Bench, progress};
use crate::options::scores::Card as CardOptions;

/// Lengths of the timed answers, in tokens of all windows.
const LENGTHS: [usize; 3] = [128, 256, 512];
/// Number of scores per length.
const REPEAT: usize = 20;

/// Prints the card of one model.
pub(super) fn card(options: &CardOptions, seed: u64) -> Result<()> {
    let preferences = read(&options.data)?;
    let bench = Bench::new(&options.measuring, seed)?;
    anyhow::ensure!(
        bench.models.len() == 1,
        "{} models are given, but a card describes one; choose it with --model",
        bench.models.len()
    );
    let card = make(&bench, preferences)?;
    print!("{card}");
    Ok(())
}

fn make(bench: &Bench, preferences: Dataset) -> Result<Card> {
    let own = sample()?;
    let attacks = Attacks::new(&own[0]).context("the sample has no attacks; this is a bug")?;
    let mut datasets = vec![preferences];
    datasets.extend(own);
    let pairs: Vec<Pair> = datasets.iter().flat_map(Dataset::pairs).collect();
    let model = bench.each().next().context("no model is given")??;
    let entry = model.registered().clone();
    let bar = progress(&entry.id)?;
    let scores = Scores::new(&model, &pairs, bench.batch_tokens, &bar)?;
    bar.finish_and_clear();
    drop(model);
    let mut agreements = Vec::new();
    for dataset in &datasets {
        let values = values(&scores, dataset)?;
        agreements.extend(measure(dataset, &values, bench.settings));
    }
    let [to_fit, other] = datasets[0].halves();
    let length = Mitigation::fitted_length(&to_fit, &values(&scores, &to_fit)?, bench.settings);
    let mut effects = Vec::new();
    for mitigation in [length, Mitigation::Copied] {
        for dataset in [&other, &datasets[1], &datasets[2]] {
            let values = match mitigation {
                Mitigation::Length { .. } => values(&scores, dataset)?,
                Mitigation::Copied => qualities(&scores, dataset, &entry)?,
            };
            effects.extend(mitigation.effects(dataset, &values, bench.settings));
        }
    }
    Ok(Card {
        machine: bench.machine.clone(),
        method: bench.method(),
        command: std::env::args().skip(1).collect::<Vec<_>>().join(" "),
        calibrated: calibrated(&scores, &to_fit, &other, &entry)?,
        agreements,
        effects,
        attacks: attack_model(bench, &bench.models[0], &attacks)?,
        speed: speed(bench)?,
        entry,
    })
}

fn values(scores: &Scores, dataset: &Dataset) -> Result<Vec<f64>> {
    let raw = scores.raw(&dataset.pairs())?;
    Ok(raw.into_iter().map(f64::from).collect())
}

fn qualities(
    scores: &Scores,
    dataset: &Dataset,
    entry: &poq_proto::v1::EvaluatorModel,
) -> Result<Vec<f64>> {
    let raw = scores.raw(&dataset.pairs())?;
    let quality = |raw| f64::from(poq_proto::calibrate(&entry.calibration, raw)) / 1e6;
    Ok(raw.into_iter().map(quality).collect())
}

fn calibrated(
    scores: &Scores,
    to_fit: &Dataset,
    other: &Dataset,
    entry: &poq_proto::v1::EvaluatorModel,
) -> Result<Calibrated> {
    let raw = scores.raw(&to_fit.pairs())?;
    let fitted = fit(to_fit, &raw).context("the data has answers of one class only")?;
    let raw = scores.raw(&other.pairs())?;
    Ok(Calibrated {
        data: other.name.clone(),
        is_fitted: fitted.table == entry.calibration,
        held: held(other, &raw, &entry.calibration)
            .context("the data has too few prompts to measure a table on others")?,
    })
}

/// Times, on one thread.
fn speed(bench: &Bench) -> Result<Vec<Speed>> {
    let engine = Engine {
        sessions: 1,
        threads: 1,
    };
    let model = open_all(&bench.models, engine)?.pop();
    let model = model.context("no model is loaded")?;
    LENGTHS.iter().map(|tokens| time(&model, *tokens)).collect()
}

fn time(model: &Model, tokens: usize) -> Result<Speed> {
    let prompt = "Why is the sky blue?";
    // A pair with an empty answer has the other tokens.
    let others = model.encode_uncapped(prompt, "")?.tokens();
    let answer = "light ".repeat(tokens - others);
    let mut milliseconds = Vec::new();
    for _ in 0..REPEAT {
        let started = Instant::now();
        model.score(&model.encode_uncapped(prompt, &answer)?)?;
        milliseconds.push(started.elapsed().as_secs_f64() * 1e3);
    }
    milliseconds.sort_by(f64::total_cmp);
    Ok(Speed {
        tokens,
        milliseconds: milliseconds[REPEAT / 2],
    })
}
