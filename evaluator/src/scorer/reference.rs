//! The reference evaluator as a [`Scorer`]: its scores are exactly those of audits.

use std::path::Path;
use std::sync::Arc;
use std::thread;

use poq_proto::v1::EvaluatorModel;
use poq_reference_evaluator as reference;

use super::{Error, Kind, Row, Scorer, Window};

/// A model of the reference evaluator. Clones share the weights.
#[derive(Clone)]
pub struct ReferenceScorer {
    model: Arc<reference::Model>,
    threads: usize,
}

impl ReferenceScorer {
    /// Reads the weights of a registry entry. The windows of a batch are computed on up to
    /// `threads` threads.
    pub fn open(
        registered: &EvaluatorModel,
        kind: Kind,
        weights: &Path,
        threads: usize,
    ) -> Result<Self, Error> {
        let model = reference::Model::open(kind, weights, &registered.weights_sha256)?;
        Ok(Self {
            model: Arc::new(model),
            threads: threads.max(1),
        })
    }

    fn compute(&self, windows: &[&Window]) -> Result<Vec<Row>, Error> {
        let mut scratch = reference::Scratch::default();
        let mut row = |window: &&Window| -> Result<Row, Error> {
            Ok(match self.model.kind() {
                Kind::CrossEncoder => vec![self.model.logit(window, &mut scratch)?],
                Kind::BiEncoder => self.model.row(window, &mut scratch)?,
            })
        };
        windows.iter().map(&mut row).collect()
    }
}

impl Scorer for ReferenceScorer {
    fn rows(&mut self, batch: &[&Window]) -> Result<Vec<Row>, Error> {
        if self.threads == 1 || batch.len() < 2 {
            return self.compute(batch);
        }
        let parts = batch.chunks(batch.len().div_ceil(self.threads));
        let scorer = &*self;
        let results: Vec<Result<Vec<Row>, Error>> = thread::scope(|scope| {
            let threads: Vec<_> = parts
                .map(|part| scope.spawn(move || scorer.compute(part)))
                .collect();
            threads
                .into_iter()
                .map(|thread| {
                    thread
                        .join()
                        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
                })
                .collect()
        });
        let rows: Result<Vec<Vec<Row>>, Error> = results.into_iter().collect();
        Ok(rows?.concat())
    }
}

#[cfg(test)]
mod tests {
    use poq_reference_evaluator::{Evaluator, Source};

    use super::*;
    use crate::scorer::{Engine, Model, ModelFiles, Score, ScorerBackend, kind, open_all};
    use crate::{config, testing};

    fn files(entry: &EvaluatorModel, backend: ScorerBackend) -> ModelFiles {
        let model = config::ModelConfig {
            id: entry.id.clone(),
            folder: None,
        };
        let scoring = config::ScoringConfig {
            backend,
            ..config::ScoringConfig::default()
        };
        config::model_files(&model, &scoring)
    }

    fn open(entry: &EvaluatorModel, backend: ScorerBackend) -> Model {
        let engine = Engine {
            sessions: 1,
            threads: 2,
        };
        let models = [(entry.clone(), files(entry, backend))];
        open_all(&models, engine).unwrap().remove(0)
    }

    fn reference(entry: &EvaluatorModel) -> Evaluator {
        let files = files(entry, ScorerBackend::Reference);
        Evaluator::open(&Source {
            kind: kind(entry).unwrap(),
            weights: &files.weights,
            weights_sha256: &entry.weights_sha256,
            tokenizer: &files.tokenizer,
            tokenizer_sha256: &entry.tokenizer_sha256,
            max_tokens: entry.max_tokens as usize,
            max_windows: entry.max_windows as usize,
            caps_junk: entry.caps_junk,
        })
        .unwrap()
    }

    fn entries() -> [EvaluatorModel; 2] {
        let windowed = |entry| EvaluatorModel {
            max_tokens: 40,
            max_windows: 3,
            ..entry
        };
        [testing::published(), testing::bi_encoder()].map(windowed)
    }

    #[test]
    fn it_scores_exactly_as_the_reference_evaluator() {
        for entry in entries() {
            let model = open(&entry, ScorerBackend::Reference);
            let reference = reference(&entry);
            let runtime = open(&entry, ScorerBackend::OnnxRuntime);
            for (prompt, answer) in [testing::LONG, ("", ""), ("Why?", "Because.")] {
                let pair = model.encode(prompt, answer).unwrap();
                let score = model.score(&pair).unwrap().raw_score;
                assert_eq!(score, reference.score(prompt, answer).unwrap());
                let batch: Vec<&Window> = pair.windows.iter().collect();
                let rows = model.rows(0, &batch).unwrap();
                assert_eq!(Score::of(model.kind(), &rows).unwrap().raw_score, score);
                let near = runtime.score(&pair).unwrap().raw_score;
                assert!((near - score).abs() <= 20, "{near} and {score}");
            }
        }
    }

    #[test]
    fn both_cap_the_same_pairs() {
        let caps = |entry| EvaluatorModel {
            caps_junk: true,
            ..entry
        };
        let (prompt, answer) = testing::LONG;
        let repeated = "It is blue because it is blue. ".repeat(9);
        let junk = ["", "...", &prompt.repeat(3), &repeated];
        for (capping, entry) in entries().map(caps).into_iter().zip(entries()) {
            let plain = reference(&entry);
            let reference = reference(&capping);
            for backend in [ScorerBackend::Reference, ScorerBackend::OnnxRuntime] {
                let model = open(&capping, backend);
                let score = |answer: &str| {
                    let pair = model.encode(prompt, answer).unwrap();
                    model.score(&pair).unwrap().raw_score
                };
                for answer in junk {
                    assert_eq!(score(answer), i32::MIN);
                    assert_eq!(reference.score(prompt, answer).unwrap(), i32::MIN);
                    assert!(plain.score(prompt, answer).unwrap() > -20_000_000);
                }
                let exact = reference.score(prompt, answer).unwrap();
                assert_eq!(exact, plain.score(prompt, answer).unwrap());
                assert!((score(answer) - exact).abs() <= 20);
            }
        }
    }

    #[test]
    fn another_file_is_refused() {
        let entry = testing::published();
        let mut files = files(&entry, ScorerBackend::Reference);
        files.weights.clone_from(&files.tokenizer);
        let engine = Engine {
            sessions: 1,
            threads: 1,
        };
        let opened = open_all(&[(entry, files)], engine);
        let error = opened.err().unwrap().to_string();
        assert!(error.contains("run `make setup`"), "{error}");
    }
}
