//! An evaluator model as the registry describes it, ready to score.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use poq_proto::v1::EvaluatorModel;

use super::{Encoded, Error, OrtScorer, PairTokenizer, Scorer, micro_logits};
use crate::digest;

/// Longest input of the BERT models that this program runs, in tokens.
const POSITIONS: usize = 512;

/// Where the parts of a model are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFiles {
    /// The canonical ONNX file.
    pub weights: PathBuf,
    /// `tokenizer.json`.
    pub tokenizer: PathBuf,
    /// The shared library of ONNX Runtime.
    pub library: PathBuf,
}

/// The score of one pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// As the model computed it.
    pub logit: f32,
    /// Micro-logits.
    pub raw_score: i32,
}

/// Tokenizer and scorer of one evaluator model.
pub struct Model {
    tokenizer: PairTokenizer,
    scorer: Box<dyn Scorer>,
}

impl Model {
    /// Loads the model of a registry entry from files whose digests must be the entry's, then
    /// scores a pair of the longest length, so that the first duty finds everything in memory.
    pub fn open(
        registered: &EvaluatorModel,
        files: &ModelFiles,
        threads: usize,
    ) -> Result<Self, Error> {
        let started = Instant::now();
        let max_tokens = registered.max_tokens as usize;
        if max_tokens > POSITIONS {
            return Err(Error::Runtime {
                action: "run the registry's model",
                reason: format!("{max_tokens} tokens are more than its {POSITIONS} positions"),
            });
        }
        let tokenizer =
            PairTokenizer::open(&files.tokenizer, &registered.tokenizer_sha256, max_tokens)?;
        let content = std::fs::read(&files.weights).map_err(|source| digest::Error::Read {
            path: files.weights.clone(),
            source,
        })?;
        digest::check(
            &files.weights,
            &digest::of_bytes(&content),
            &registered.weights_sha256,
            "the registry",
        )?;
        let scorer = OrtScorer::new(&files.library, &content, threads)?;
        let mut model = Self {
            tokenizer,
            scorer: Box::new(scorer),
        };
        let warm_up = model.warm_up(max_tokens)?;
        tracing::info!(
            model = registered.id,
            threads,
            load_ms = started.elapsed().as_millis() as u64,
            warm_up_ms = warm_up.as_millis() as u64,
            "evaluator model is ready"
        );
        Ok(model)
    }

    /// The token ids of a pair.
    pub fn encode(&self, prompt: &str, answer: &str) -> Result<Encoded, Error> {
        self.tokenizer.encode(prompt, answer)
    }

    /// The scores of one batch. The outer error is the whole batch's, an inner one a single
    /// pair's.
    pub fn score(&mut self, batch: &[Encoded]) -> Result<Vec<Result<Score, Error>>, Error> {
        let score = |logit| micro_logits(logit).map(|raw_score| Score { logit, raw_score });
        Ok(self.scorer.logits(batch)?.into_iter().map(score).collect())
    }

    fn warm_up(&mut self, max_tokens: usize) -> Result<Duration, Error> {
        let longest = self.encode(&"warm ".repeat(max_tokens), &"up ".repeat(max_tokens))?;
        let started = Instant::now();
        self.score(&[longest])?;
        Ok(started.elapsed())
    }
}
