//! Evaluator models as the registry describes them, ready to score.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use poq_proto::v1::EvaluatorModel;

use super::{Encoded, Error, OrtScorer, PairTokenizer, Scorer, Window, mean, micro_logits};
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

/// How a model is run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Batches that are scored at the same time, each by a copy of the weights.
    pub sessions: usize,
    /// Compute threads of one session.
    pub threads: usize,
}

/// The score of one pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Score {
    /// As the model computed it; of several windows, the raw score as a float. For people and
    /// programs off the chain.
    pub logit: f32,
    /// Micro-logits.
    pub raw_score: i32,
}

impl Score {
    /// From the logits of all windows.
    pub fn of(logits: &[f32]) -> Result<Self, Error> {
        let scores: Vec<i32> = logits
            .iter()
            .map(|logit| micro_logits(*logit))
            .collect::<Result<_, _>>()?;
        let raw_score = mean(&scores);
        let logit = match *logits {
            [logit] => logit,
            _ => (f64::from(raw_score) / 1e6) as f32,
        };
        Ok(Self { logit, raw_score })
    }
}

/// Scorers of the same weights, which work at the same time.
type Sessions = Arc<[Mutex<Box<dyn Scorer>>]>;

/// Tokenizer and sessions of one evaluator model.
pub struct Model {
    registered: EvaluatorModel,
    tokenizer: PairTokenizer,
    sessions: Sessions,
}

/// Loads several models; those with the same weights share their sessions.
pub fn open_all(
    models: &[(EvaluatorModel, ModelFiles)],
    engine: Engine,
) -> Result<Vec<Model>, Error> {
    let mut opened: Vec<Model> = Vec::with_capacity(models.len());
    for (registered, files) in models {
        let loaded = opened
            .iter()
            .find(|model| model.registered.weights_sha256 == registered.weights_sha256)
            .map(|model| Arc::clone(&model.sessions));
        opened.push(Model::open(registered, files, engine, loaded)?);
    }
    Ok(opened)
}

impl Model {
    /// Loads the model of a registry entry from files whose digests must be the entry's, then
    /// scores a window of the longest length in each session, so that the first duty finds
    /// everything in memory. `loaded` are sessions of the same weights.
    fn open(
        registered: &EvaluatorModel,
        files: &ModelFiles,
        engine: Engine,
        loaded: Option<Sessions>,
    ) -> Result<Self, Error> {
        let started = Instant::now();
        let tokenizer = tokenizer(registered, files)?;
        let is_shared = loaded.is_some();
        let sessions = match loaded {
            Some(sessions) => sessions,
            None => load(registered, files, engine)?,
        };
        let model = Self {
            registered: registered.clone(),
            tokenizer,
            sessions,
        };
        if !is_shared {
            model.warm_up()?;
        }
        tracing::info!(
            model = registered.id,
            sessions = engine.sessions,
            threads = engine.threads,
            load_ms = started.elapsed().as_millis() as u64,
            "evaluator model is ready"
        );
        Ok(model)
    }

    /// The registry entry.
    pub fn registered(&self) -> &EvaluatorModel {
        &self.registered
    }

    /// How many batches can be scored at the same time; at least 1.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// The token ids of a pair.
    pub fn encode(&self, prompt: &str, answer: &str) -> Result<Encoded, Error> {
        self.tokenizer.encode(prompt, answer)
    }

    /// The logits of one batch, computed by one of the [sessions](Self::sessions), which are
    /// counted from 0.
    pub fn logits(&self, session: usize, batch: &[&Window]) -> Result<Vec<f32>, Error> {
        let session = &self.sessions[session % self.sessions.len()];
        let mut scorer = session.lock().unwrap_or_else(PoisonError::into_inner);
        scorer.logits(batch)
    }

    /// The score of one pair, window by window.
    pub fn score(&self, pair: &Encoded) -> Result<Score, Error> {
        let mut logits = Vec::with_capacity(pair.windows.len());
        for window in &pair.windows {
            logits.extend(self.logits(0, &[window])?);
        }
        Score::of(&logits)
    }

    fn warm_up(&self) -> Result<(), Error> {
        let words = self.registered.max_tokens as usize;
        let longest = self.encode(&"warm ".repeat(words), &"up ".repeat(words))?;
        let first = &longest.windows[..1];
        for session in 0..self.sessions.len() {
            self.logits(session, &first.iter().collect::<Vec<_>>())?;
        }
        Ok(())
    }
}

fn tokenizer(registered: &EvaluatorModel, files: &ModelFiles) -> Result<PairTokenizer, Error> {
    let max_tokens = registered.max_tokens as usize;
    if max_tokens > POSITIONS {
        return Err(Error::Runtime {
            action: "run the registry's model",
            reason: format!("{max_tokens} tokens are more than its {POSITIONS} positions"),
        });
    }
    PairTokenizer::open(
        &files.tokenizer,
        &registered.tokenizer_sha256,
        max_tokens,
        registered.max_windows as usize,
    )
}

fn load(
    registered: &EvaluatorModel,
    files: &ModelFiles,
    engine: Engine,
) -> Result<Sessions, Error> {
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
    let session = |_| -> Result<Mutex<Box<dyn Scorer>>, Error> {
        let scorer = OrtScorer::new(&files.library, &content, engine.threads)?;
        Ok(Mutex::new(Box::new(scorer)))
    };
    (0..engine.sessions.max(1)).map(session).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn one_window_scores_as_its_logit() {
        let score = Score::of(&[-11.187_496]).unwrap();
        assert_eq!((score.logit, score.raw_score), (-11.187_496, -11_187_496));
    }

    #[test]
    fn windows_score_as_the_mean_of_their_micro_logits() {
        let score = Score::of(&[2.0, -1.000_001]).unwrap();
        assert_eq!((score.logit, score.raw_score), (0.5, 500_000));
        assert!(matches!(
            Score::of(&[1.0, f32::NAN]),
            Err(Error::NotANumber)
        ));
    }

    /// The windows are pairs of their own: nothing but the mean is added.
    #[test]
    fn a_long_answer_has_the_mean_score_of_its_windows() {
        let model = testing::models().remove(1);
        let pair = model.encode(testing::LONG.0, testing::LONG.1).unwrap();
        let scores: Vec<i32> = pair
            .windows
            .iter()
            .map(|window| micro_logits(model.logits(0, &[window]).unwrap()[0]).unwrap())
            .collect();
        assert_eq!((scores.len(), pair.truncated), (3, 0), "{scores:?}");
        let score = model.score(&pair).unwrap().raw_score;
        assert_eq!(score, mean(&scores));
        // Of windows.py in `bench/`, with ONNX Runtime's Python package.
        assert!((score + 3_852_510).abs() <= 10, "{score}");
    }

    #[test]
    fn models_of_the_same_weights_share_their_sessions() {
        let models = testing::models();
        assert!(Arc::ptr_eq(&models[0].sessions, &models[1].sessions));
    }

    #[test]
    fn more_tokens_than_the_model_has_positions_are_refused() {
        let mut entry = testing::published();
        entry.max_tokens = 513;
        let engine = Engine {
            sessions: 1,
            threads: 1,
        };
        let opened = open_all(&[(entry, testing::files())], engine);
        let error = opened.err().map(|error| error.to_string());
        assert!(error.unwrap().contains("513 tokens"));
    }
}
