use std::time::Instant;

use anyhow::{Result, ensure};
use poq_client::Client;
use poq_proto::calibrate;
use poq_proto::v1::EvaluatorModel;
use serde::Serialize;

use crate::cli;
use crate::config::{self, ModelConfig, ScoringConfig};
use crate::scorer::Model;
use crate::{output, registry};

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
    let entry = entry(&args).await?;
    let model = ModelConfig {
        id: args.model,
        folder: args.model_folder,
    };
    let scoring = ScoringConfig {
        library: args.library,
        threads: args.threads,
        ..ScoringConfig::default()
    };
    scoring.validate()?;
    let files = config::model_files(&model, &scoring)?;
    let mut model = Model::open(&entry, &files, scoring.threads)?;
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

async fn entry(args: &cli::Score) -> Result<EvaluatorModel> {
    let entry = match (&args.node, &args.registry) {
        (Some(node), _) => Client::new(node)?.evaluator_model(&args.model).await?,
        (None, Some(path)) => registry::read(path)?,
        (None, None) => registry::default_entry()?,
    };
    ensure!(
        entry.id == args.model,
        "the registry entry is of {}, not of {}; give --model or another --registry",
        entry.id,
        args.model
    );
    Ok(entry)
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
