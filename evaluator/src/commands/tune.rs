use std::sync::{Mutex, PoisonError};
use std::thread::available_parallelism;
use std::time::Instant;

use anyhow::{Context, Result};
use poq_proto::v1::EvaluatorModel;
use poq_worker::program::table;
use serde::Serialize;
use tracing::info;

use crate::cli;
use crate::scorer::{Batch, Engine, Model, ModelFiles, Window, in_lanes, open_all};

/// Batch budgets that are measured.
const BATCH_TOKENS: [usize; 3] = [512, 1024, 4096];
/// Lengths of the windows, as eighths of the longest.
const LENGTHS: usize = 8;
/// Number of windows of each length.
const REPEAT: usize = 4;
/// Settings that are slower by less than this count as equally fast, in percent; the cheapest of
/// them is chosen.
const NOISE: f64 = 5.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
struct Setting {
    sessions: usize,
    threads: usize,
    batch_tokens: usize,
}

#[derive(Clone, Debug, Serialize)]
struct Measured {
    #[serde(flatten)]
    setting: Setting,
    /// Medians of all rounds.
    windows_per_second: f64,
    slowest_batch_ms: f64,
}

#[derive(Serialize)]
struct Tuned {
    machine: String,
    model: String,
    /// One measurement.
    windows: usize,
    tokens: usize,
    rounds: u32,
    max_batch_ms: u32,
    /// From the cheapest to the most expensive in memory and latency.
    settings: Vec<Measured>,
    best: Setting,
}

/// Measures settings with the real model, in rounds, and names the fastest whose batches are short
/// enough.
pub(super) async fn tune(args: cli::Tune) -> Result<()> {
    let (entry, files) = args.model.find_one().await?;
    let (max_batch_ms, rounds) = (args.max_batch_ms, args.rounds);
    let tuned = tokio::task::spawn_blocking(move || measure(&entry, &files, max_batch_ms, rounds));
    let tuned = tuned.await??;
    let text = table(&lines(&tuned));
    args.output.output.print_figures(&tuned, text)?;
    Ok(())
}

fn measure(
    entry: &EvaluatorModel,
    files: &ModelFiles,
    max_batch_ms: u32,
    rounds: u32,
) -> Result<Tuned> {
    let cores = available_parallelism().context("cannot determine the number of cores")?;
    let machine = poq_client::machine();
    let models = [(entry.clone(), files.clone())];
    let engines = engines(cores.get());
    let mut samples: Vec<Vec<Sample>> = vec![Vec::new(); engines.len() * BATCH_TOKENS.len()];
    for round in 1..=rounds {
        let mut of_settings = samples.iter_mut();
        for engine in &engines {
            let new = sample_all(&models, *engine)?;
            for (sample, of_setting) in new.into_iter().zip(of_settings.by_ref()) {
                info!(round, ?sample, "measured");
                of_setting.push(sample);
            }
        }
    }
    let settings: Vec<Measured> = samples.iter().filter_map(|of| summary(of)).collect();
    let best = choose(&settings, f64::from(max_batch_ms)).context("nothing was measured")?;
    let sample = samples.first().and_then(|of| of.first());
    Ok(Tuned {
        machine,
        model: entry.id.clone(),
        windows: sample.map_or(0, |sample| sample.windows),
        tokens: sample.map_or(0, |sample| sample.tokens),
        rounds,
        max_batch_ms,
        settings,
        best,
    })
}

/// One sample for each of [`BATCH_TOKENS`].
fn sample_all(models: &[(EvaluatorModel, ModelFiles)], engine: Engine) -> Result<Vec<Sample>> {
    let model = open_all(models, engine)?;
    let model = model.first().context("no model is loaded")?;
    let workload = workload(model)?;
    BATCH_TOKENS
        .iter()
        .map(|batch_tokens| {
            let setting = Setting {
                sessions: engine.sessions,
                threads: engine.threads,
                batch_tokens: *batch_tokens,
            };
            sample(model, &workload, setting)
        })
        .collect()
}

/// One session on one thread, and every way to divide the cores among sessions whose number is a
/// power of two.
fn engines(cores: usize) -> Vec<Engine> {
    let powers = (0..).map(|power| 1 << power);
    let shared = powers.take_while(|sessions| *sessions <= cores);
    let mut engines: Vec<Engine> = shared
        .map(|sessions| Engine {
            sessions,
            threads: cores / sessions,
        })
        .collect();
    let single = Engine {
        sessions: 1,
        threads: 1,
    };
    if !engines.contains(&single) {
        engines.insert(0, single);
    }
    engines
}

/// Windows of several lengths, as in duties.
fn workload(model: &Model) -> Result<Vec<Window>> {
    let longest = model.registered().max_tokens as usize;
    let mut windows = Vec::new();
    for part in 1..=LENGTHS {
        // The prompt and the special tokens are nine tokens.
        let words = (longest * part / LENGTHS).saturating_sub(9);
        let pair = model.encode_uncapped("Why is the sky blue?", &"light ".repeat(words))?;
        for _ in 0..REPEAT {
            windows.extend(pair.windows.iter().cloned());
        }
    }
    Ok(windows)
}

#[derive(Clone, Copy, Debug)]
struct Sample {
    setting: Setting,
    windows: usize,
    tokens: usize,
    windows_per_second: f64,
    slowest_batch_ms: f64,
}

/// Scores all windows once, as the evaluator does.
fn sample(model: &Model, windows: &[Window], setting: Setting) -> Result<Sample> {
    let lengths: Vec<(usize, usize)> = windows.iter().map(|window| (0, window.ids.len())).collect();
    let batches = Batch::plan(&lengths, 1, setting.batch_tokens);
    let times = Mutex::new(Ok(0.0_f64));
    let started = Instant::now();
    in_lanes(batches, model.sessions(), |session, batch| {
        let begun = Instant::now();
        let batch: Vec<&Window> = batch.windows.iter().map(|at| &windows[*at]).collect();
        let scored = model.rows(session, &batch);
        let time = begun.elapsed().as_secs_f64() * 1e3;
        let mut slowest = times.lock().unwrap_or_else(PoisonError::into_inner);
        match (&mut *slowest, scored) {
            (Ok(slowest), Ok(_)) => *slowest = slowest.max(time),
            (slowest, Err(error)) => *slowest = Err(error),
            (Err(_), Ok(_)) => {}
        }
    });
    let seconds = started.elapsed().as_secs_f64();
    let slowest_batch_ms = times.into_inner().unwrap_or_else(PoisonError::into_inner)?;
    Ok(Sample {
        setting,
        windows: windows.len(),
        tokens: lengths.iter().map(|(_, tokens)| tokens).sum(),
        windows_per_second: windows.len() as f64 / seconds,
        slowest_batch_ms,
    })
}

/// The samples belong to one setting.
fn summary(samples: &[Sample]) -> Option<Measured> {
    let median = |value: fn(&Sample) -> f64| {
        let mut values: Vec<f64> = samples.iter().map(value).collect();
        values.sort_by(f64::total_cmp);
        let median = values.get(values.len() / 2)?;
        Some((median * 10.0).round() / 10.0)
    };
    Some(Measured {
        setting: samples.first()?.setting,
        windows_per_second: median(|sample| sample.windows_per_second)?,
        slowest_batch_ms: median(|sample| sample.slowest_batch_ms)?,
    })
}

/// The first setting that is about as fast as the fastest, among those whose batches are within the
/// bound; if there are none, the one with the shortest batches.
fn choose(settings: &[Measured], max_batch_ms: f64) -> Option<Setting> {
    let within = |measured: &&Measured| measured.slowest_batch_ms <= max_batch_ms;
    let fastest = settings
        .iter()
        .filter(within)
        .map(|measured| measured.windows_per_second)
        .max_by(f64::total_cmp);
    let Some(fastest) = fastest else {
        let time = |measured: &&Measured| measured.slowest_batch_ms;
        return settings
            .iter()
            .min_by(|a, b| time(a).total_cmp(&time(b)))
            .map(|measured| measured.setting);
    };
    settings
        .iter()
        .filter(within)
        .find(|measured| measured.windows_per_second >= fastest * (1.0 - NOISE / 100.0))
        .map(|measured| measured.setting)
}

fn lines(tuned: &Tuned) -> Vec<(&'static str, String)> {
    let (windows, tokens, rounds) = (tuned.windows, tuned.tokens, tuned.rounds);
    let mut lines = vec![
        ("machine", tuned.machine.clone()),
        ("model", tuned.model.clone()),
        (
            "method",
            format!("{windows} windows with {tokens} tokens, {rounds} alternating rounds, medians"),
        ),
        (
            "",
            "sessions x threads  batch_tokens  windows/s  slowest batch".to_owned(),
        ),
    ];
    lines.extend(tuned.settings.iter().map(|measured| {
        let Setting {
            sessions,
            threads,
            batch_tokens,
        } = measured.setting;
        let (speed, slowest) = (measured.windows_per_second, measured.slowest_batch_ms);
        let row = format!(
            "{sessions:>8} x {threads:<7}  {batch_tokens:>12}  {speed:>9.1}  {slowest:>10.0} ms"
        );
        ("", row)
    }));
    let best = tuned.best;
    lines.push((
        "best",
        format!(
            "sessions = {}, threads = {}, batch_tokens = {} (batches of at most {} ms)",
            best.sessions, best.threads, best.batch_tokens, tuned.max_batch_ms
        ),
    ));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    fn measured(sessions: usize, speed: f64, slowest: f64) -> Measured {
        Measured {
            setting: Setting {
                sessions,
                threads: 1,
                batch_tokens: 512,
            },
            windows_per_second: speed,
            slowest_batch_ms: slowest,
        }
    }

    fn chosen(settings: &[Measured], most: f64) -> usize {
        choose(settings, most).unwrap().sessions
    }

    #[test]
    fn the_fastest_within_the_bound_is_chosen() {
        let settings = [
            measured(1, 10.0, 500.0),
            measured(2, 15.0, 900.0),
            measured(4, 20.0, 2000.0),
        ];
        assert_eq!(chosen(&settings, 1000.0), 2);
        assert_eq!(chosen(&settings, 5000.0), 4);
        assert_eq!(chosen(&settings, 100.0), 1);
        assert_eq!(choose(&[], 100.0), None);
    }

    #[test]
    fn a_gain_within_the_noise_is_none() {
        let settings = [measured(1, 19.5, 500.0), measured(2, 20.0, 500.0)];
        assert_eq!(chosen(&settings, 1000.0), 1);
    }

    #[test]
    fn the_cores_are_shared_out() {
        let pairs = |cores| -> Vec<(usize, usize)> {
            let engines = engines(cores).into_iter();
            engines
                .map(|engine| (engine.sessions, engine.threads))
                .collect()
        };
        assert_eq!(pairs(1), [(1, 1)]);
        assert_eq!(pairs(2), [(1, 1), (1, 2), (2, 1)]);
        assert_eq!(pairs(6), [(1, 1), (1, 6), (2, 3), (4, 1)]);
    }

    #[test]
    fn the_workload_is_scored_whole() {
        let model = testing::models().remove(1);
        let windows = workload(&model).unwrap();
        assert_eq!(windows.len(), LENGTHS * REPEAT);
        assert!(windows.iter().all(|window| window.ids.len() <= 40));
        let setting = measured(1, 0.0, 0.0).setting;
        let sample = sample(&model, &windows, setting).unwrap();
        assert_eq!(sample.windows, windows.len());
        assert!(sample.windows_per_second > 0.0 && sample.slowest_batch_ms > 0.0);
    }
}
