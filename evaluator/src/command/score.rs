use std::time::Instant;

use anyhow::Result;
use poq_proto::calibrate;
use serde::Serialize;

use super::model::{entry, open};
use crate::{cli, output};

#[derive(Serialize)]
struct Scored {
    model: String,
    /// Micro-logits.
    raw_score: i32,
    logit: f32,
    /// Parts per million.
    quality: u32,
    tokens: usize,
    truncated_tokens: usize,
    /// Of tokenizing and scoring, with the model in memory.
    milliseconds: f64,
}

/// Scores one pair.
pub async fn score(args: cli::Score) -> Result<()> {
    let entry = entry(&args.model).await?;
    let scoring = args.model.scoring();
    scoring.validate()?;
    let mut model = open(&entry, args.model, &scoring)?;
    let started = Instant::now();
    let pair = model.encode(&args.prompt, &args.answer)?;
    let (tokens, truncated_tokens) = (pair.ids.len(), pair.truncated);
    let scores = model.score(&[pair])?;
    let milliseconds = started.elapsed().as_secs_f64() * 1e3;
    for score in scores {
        let score = score?;
        let scored = Scored {
            model: entry.id.clone(),
            raw_score: score.raw_score,
            logit: score.logit,
            quality: calibrate(&entry.calibration, score.raw_score),
            tokens,
            truncated_tokens,
            milliseconds,
        };
        output::print(args.output.output, &scored, &lines(&scored))?;
    }
    Ok(())
}

fn lines(scored: &Scored) -> [(&'static str, String); 6] {
    [
        ("model", scored.model.clone()),
        ("raw score", format!("{} micro-logits", scored.raw_score)),
        ("logit", scored.logit.to_string()),
        ("quality", format!("{} ppm", scored.quality)),
        (
            "tokens",
            format!("{} ({} cut off)", scored.tokens, scored.truncated_tokens),
        ),
        ("time", format!("{:.1} ms", scored.milliseconds)),
    ]
}
