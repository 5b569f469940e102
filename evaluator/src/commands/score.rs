use std::time::Instant;

use anyhow::{Context, Result};
use poq_proto::calibrate;
use poq_reference_evaluator::Junk;
use poq_worker::program::table;
use serde::Serialize;

use crate::cli;
use crate::config::ScoringConfig;
use crate::scorer::{Kind, open_all};

#[derive(Serialize)]
struct Scored {
    model: String,
    /// In millionths.
    raw_score: i32,
    /// For a cross-encoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    logit: Option<f32>,
    /// For a bi-encoder.
    #[serde(skip_serializing_if = "Option::is_none")]
    cosine: Option<f32>,
    /// In parts per million.
    quality: u32,
    /// The reason if the pair is capped as junk.
    #[serde(skip_serializing_if = "Option::is_none")]
    junk: Option<&'static str>,
    /// Number of windows of the answer.
    windows: usize,
    /// Tokens of all windows.
    tokens: usize,
    truncated_tokens: usize,
    /// Time to tokenize and score, with the model in memory; the median of all repetitions.
    milliseconds: f64,
    /// The 99th percentile of all repetitions.
    milliseconds_p99: f64,
}

/// Scores one pair.
pub(super) async fn score(args: cli::Score) -> Result<()> {
    let scoring = ScoringConfig {
        threads: args.threads,
        ..ScoringConfig::default()
    };
    scoring.validate()?;
    let (entry, files) = args.model.find_one().await?;
    let model = open_all(&[(entry.clone(), files)], scoring.engine())?
        .pop()
        .context("no model is loaded")?;
    let mut milliseconds = Vec::new();
    let (score, pair) = loop {
        let started = Instant::now();
        let pair = model.encode(&args.prompt, &args.answer)?;
        let score = model.score(&pair)?;
        milliseconds.push(started.elapsed().as_secs_f64() * 1e3);
        if milliseconds.len() >= args.repeat as usize {
            break (score, pair);
        }
    };
    milliseconds.sort_by(f64::total_cmp);
    let scored = Scored {
        model: entry.id.clone(),
        raw_score: score.raw_score,
        logit: (model.kind() == Kind::CrossEncoder).then_some(score.value),
        cosine: (model.kind() == Kind::BiEncoder).then_some(score.value),
        quality: calibrate(&entry.calibration, score.raw_score),
        junk: pair.junk.map(Junk::name),
        windows: pair.answer_windows,
        tokens: pair.tokens(),
        truncated_tokens: pair.truncated,
        milliseconds: percentile(&milliseconds, 50),
        milliseconds_p99: percentile(&milliseconds, 99),
    };
    let value_name = match model.kind() {
        Kind::CrossEncoder => "logit",
        Kind::BiEncoder => "cosine",
    };
    let mut lines = lines(&scored, value_name, score.value);
    lines.extend(pair.junk.map(|junk| ("junk", junk.to_string())));
    args.output.output.print_figures(&scored, table(&lines))?;
    Ok(())
}

/// Percentile by nearest rank; `sorted` is not empty.
fn percentile(sorted: &[f64], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).copied().unwrap_or(f64::NAN)
}

fn lines(scored: &Scored, value_name: &'static str, value: f32) -> Vec<(&'static str, String)> {
    vec![
        ("model", scored.model.clone()),
        (
            "raw score",
            format!("{} millionths of a {value_name}", scored.raw_score),
        ),
        (value_name, value.to_string()),
        ("quality", format!("{} ppm", scored.quality)),
        ("windows", scored.windows.to_string()),
        (
            "tokens",
            format!("{} ({} cut off)", scored.tokens, scored.truncated_tokens),
        ),
        ("time", format!("{:.1} ms", scored.milliseconds)),
    ]
}

#[cfg(test)]
mod tests {
    use super::percentile;

    #[test]
    fn percentiles_are_by_nearest_rank() {
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(percentile(&hundred, 50), 50.0);
        assert_eq!(percentile(&hundred, 99), 99.0);
        assert_eq!(percentile(&[7.0], 99), 7.0);
    }
}
