//! Evaluator models of the registry, loaded and ready to score.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use clap::ValueEnum;
use poq_proto::v1::EvaluatorModel;
use serde::Deserialize;

use super::{
    Encoded, Error, Kind, OrtScorer, PairTokenizer, ReferenceScorer, Row, Score, Scorer, Window,
    kind,
};

/// Longest input of the supported BERT models, in tokens.
const POSITIONS: usize = 512;

/// Paths of a model's files, and its backend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ModelFiles {
    /// The canonical ONNX file.
    pub weights: PathBuf,
    /// `tokenizer.json`.
    pub tokenizer: PathBuf,
    /// The shared library of ONNX Runtime.
    pub library: PathBuf,
    /// The backend.
    pub backend: ScorerBackend,
}

/// The backend that computes the rows of windows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum ScorerBackend {
    /// ONNX Runtime, which is the fastest, and whose scores are within the audit tolerance.
    #[default]
    #[value(name = "onnxruntime")]
    OnnxRuntime,
    /// The reference evaluator, whose scores are exactly those of audits.
    Reference,
}

/// Sessions and threads of a model.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Engine {
    /// Batches scored at the same time, each with its own copy of the weights.
    pub sessions: usize,
    /// Compute threads per session.
    pub threads: usize,
}

/// Scorers with the same weights, which run in parallel.
type Sessions = Arc<[Mutex<Box<dyn Scorer>>]>;

/// Tokenizer and sessions of one evaluator model.
pub struct Model {
    registered: EvaluatorModel,
    kind: Kind,
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
            .find(|model| model.has_weights_of(registered))
            .map(|model| Arc::clone(&model.sessions));
        opened.push(Model::open(registered, files, engine, loaded)?);
    }
    Ok(opened)
}

impl Model {
    /// Loads the model of a registry entry from files whose digests must match it, then scores a
    /// window of the greatest length in each session, so that everything is in memory for the first
    /// duty. `loaded` are sessions with the same weights.
    fn open(
        registered: &EvaluatorModel,
        files: &ModelFiles,
        engine: Engine,
        loaded: Option<Sessions>,
    ) -> Result<Self, Error> {
        let started = Instant::now();
        let kind = kind(registered)?;
        let tokenizer = tokenizer(registered, files)?;
        let is_shared = loaded.is_some();
        let sessions = match loaded {
            Some(sessions) => sessions,
            None => load(registered, kind, files, engine)?,
        };
        let model = Self {
            registered: registered.clone(),
            kind,
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

    /// Number of batches that can be scored at the same time; at least 1.
    pub fn sessions(&self) -> usize {
        self.sessions.len()
    }

    /// The token ids of a pair; none if the model caps it.
    pub fn encode(&self, prompt: &str, answer: &str) -> Result<Encoded, Error> {
        self.tokenizer.encode(prompt, answer)
    }

    /// The token ids of any pair, even junk: for made-up texts in timing measurements.
    pub fn encode_uncapped(&self, prompt: &str, answer: &str) -> Result<Encoded, Error> {
        self.tokenizer.encode_uncapped(prompt, answer)
    }

    /// The model's value for a pair.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The rows of one batch, computed by one of the [sessions](Self::sessions), which are numbered
    /// from 0.
    pub fn rows(&self, session: usize, batch: &[&Window]) -> Result<Vec<Row>, Error> {
        let session = &self.sessions[session % self.sessions.len()];
        let mut scorer = session.lock().unwrap_or_else(PoisonError::into_inner);
        scorer.rows(batch)
    }

    /// The score of one pair, window by window.
    pub fn score(&self, pair: &Encoded) -> Result<Score, Error> {
        let mut rows = Vec::with_capacity(pair.windows.len());
        for window in &pair.windows {
            rows.extend(self.rows(0, &[window])?);
        }
        Score::of(self.kind, &rows)
    }

    fn has_weights_of(&self, registered: &EvaluatorModel) -> bool {
        let own = &self.registered;
        own.weights_sha256 == registered.weights_sha256 && own.kind == registered.kind
    }

    fn warm_up(&self) -> Result<(), Error> {
        let words = self.registered.max_tokens as usize;
        let longest = self.encode_uncapped(&"warm ".repeat(words), &"up ".repeat(words))?;
        let first = &longest.windows[..1];
        for session in 0..self.sessions.len() {
            self.rows(session, &first.iter().collect::<Vec<_>>())?;
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
    PairTokenizer::open(&files.tokenizer, registered)
}

fn load(
    registered: &EvaluatorModel,
    kind: Kind,
    files: &ModelFiles,
    engine: Engine,
) -> Result<Sessions, Error> {
    if files.backend == ScorerBackend::Reference {
        let scorer = ReferenceScorer::open(registered, kind, &files.weights, engine.threads)?;
        let session = |_| -> Mutex<Box<dyn Scorer>> { Mutex::new(Box::new(scorer.clone())) };
        return Ok((0..engine.sessions.max(1)).map(session).collect());
    }
    let content = poq_reference_evaluator::read(&files.weights, &registered.weights_sha256)?;
    let session = |_| -> Result<Mutex<Box<dyn Scorer>>, Error> {
        let scorer = OrtScorer::new(&files.library, &content, kind, engine.threads)?;
        Ok(Mutex::new(Box::new(scorer)))
    };
    (0..engine.sessions.max(1)).map(session).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;
    use poq_reference_evaluator::{mean, millionths};

    /// Windows score like pairs of their own; only the mean is added.
    #[test]
    fn a_long_answer_has_the_mean_score_of_its_windows() {
        let model = testing::models().remove(1);
        let pair = model.encode(testing::LONG.0, testing::LONG.1).unwrap();
        let scores: Vec<i32> = pair
            .windows
            .iter()
            .map(|window| millionths(model.rows(0, &[window]).unwrap()[0][0]))
            .collect();
        assert_eq!((scores.len(), pair.truncated), (3, 0), "{scores:?}");
        let score = model.score(&pair).unwrap().raw_score;
        assert_eq!(score, mean(&scores));
        // From `bench/windows.py`, with ONNX Runtime's Python package.
        assert!((score + 3_852_510).abs() <= 10, "{score}");
    }

    #[test]
    fn models_of_the_same_weights_share_their_sessions() {
        let models = testing::models();
        assert!(Arc::ptr_eq(&models[0].sessions, &models[1].sessions));
    }

    fn refusal(entry: EvaluatorModel, files: ModelFiles) -> String {
        let engine = Engine {
            sessions: 1,
            threads: 1,
        };
        let opened = open_all(&[(entry, files)], engine);
        opened.err().unwrap().to_string()
    }

    /// Scores by ONNX Runtime's Python package for the same pairs.
    #[test]
    fn a_bi_encoder_has_its_known_scores() {
        let model = testing::open(&[testing::bi_encoder()]).remove(0);
        let pairs = &testing::pairs()[..3];
        for ((prompt, answer), expected) in pairs.iter().zip([787_141, 499_178, 715_834]) {
            let pair = model.encode(prompt, answer).unwrap();
            assert_eq!(pair.windows.len(), 2);
            let score = model.score(&pair).unwrap();
            assert!((score.raw_score - expected).abs() <= 2, "{score:?}");
        }
    }

    #[test]
    fn a_bi_encoder_reads_long_answers_in_windows() {
        let entry = EvaluatorModel {
            max_tokens: 40,
            max_windows: 3,
            ..testing::bi_encoder()
        };
        let model = testing::open(&[entry]).remove(0);
        let pair = model.encode(testing::LONG.0, testing::LONG.1).unwrap();
        assert_eq!((pair.windows.len(), pair.answer_windows), (4, 3));
        let rows: Vec<Row> = pair
            .windows
            .iter()
            .map(|window| model.rows(0, &[window]).unwrap().remove(0))
            .collect();
        let alone = |window: usize| {
            let rows = [rows[0].clone(), rows[window].clone()];
            Score::of(Kind::BiEncoder, &rows).unwrap().raw_score
        };
        let score = model.score(&pair).unwrap().raw_score;
        assert_eq!(score, mean(&[alone(1), alone(2), alone(3)]));
    }

    #[test]
    fn a_file_of_another_kind_is_refused() {
        let mut entry = testing::published();
        entry.set_kind(poq_proto::v1::EvaluatorKind::BiEncoder);
        let error = refusal(entry, testing::files());
        assert!(error.contains("outputs are logits"), "{error}");
    }

    #[test]
    fn a_damaged_file_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let mut files = testing::files();
        let content = std::fs::read(&files.weights).unwrap();
        files.weights = folder.path().join("model.onnx");
        std::fs::write(&files.weights, &content[..content.len() / 2]).unwrap();
        let error = refusal(testing::published(), files.clone());
        assert!(error.contains("run `make setup`"), "{error}");
        // And one for which the registry has that digest.
        let mut entry = testing::published();
        entry.weights_sha256 = poq_client::digest::of_file(&files.weights).unwrap();
        let error = refusal(entry, files);
        assert!(error.contains("cannot load the model"), "{error}");
    }

    #[test]
    fn more_tokens_than_the_model_has_positions_are_refused() {
        let mut entry = testing::published();
        entry.max_tokens = 513;
        let error = refusal(entry, testing::files());
        assert!(error.contains("513 tokens"), "{error}");
    }
}
