//! A judge: the reference evaluator with the registry entry of one model.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use poq_app::{ReferenceScorer, ScoreError};
use poq_proto::v1::EvaluatorModel;
use poq_reference_evaluator::{Evaluator, Source};
use sha2::{Digest, Sha256};

use crate::error::{Error, Result};
use crate::world::Scale;
use poq_evaluator::registry::{self, TOKENIZER, WEIGHTS, read};
use poq_evaluator::scorer::kind;

/// The registry entry in a judge's folder.
const ENTRY: &str = "entry.json";

type Scoring = dyn Fn(&str, &str) -> Result<i32> + Send + Sync;

/// Scores each text once: results are kept in memory, because a score takes 20 to 250 ms.
pub struct Judge {
    entry: EvaluatorModel,
    scoring: Box<Scoring>,
    /// Raw scores by the SHA-256 of prompt and answer.
    known: Mutex<HashMap<[u8; 32], i32>>,
}

impl Judge {
    /// A judge that computes raw scores of a prompt and an answer with `scoring`.
    pub fn new(
        entry: EvaluatorModel,
        scoring: impl Fn(&str, &str) -> Result<i32> + Send + Sync + 'static,
    ) -> Self {
        Self {
            entry,
            scoring: Box::new(scoring),
            known: Mutex::default(),
        }
    }

    /// The reference evaluator of a model: the id of one that `make setup` fetches; a registry
    /// entry (`.json`) whose files are in the cache; or a folder with `entry.json`, `model.onnx`
    /// and `tokenizer.json`.
    ///
    /// # Errors
    /// If the entry or one of the files is missing or not valid.
    pub fn open(model: &str) -> Result<Self> {
        let (entry, folder) = locate(model)?;
        let failed = |source| Error::Judge {
            model: model.to_owned(),
            source,
        };
        let evaluator = Evaluator::open(&Source {
            kind: kind(&entry)?,
            weights: &folder.join(WEIGHTS),
            weights_sha256: &entry.weights_sha256,
            tokenizer: &folder.join(TOKENIZER),
            tokenizer_sha256: &entry.tokenizer_sha256,
            max_tokens: entry.max_tokens as usize,
            max_windows: entry.max_windows as usize,
            caps_junk: entry.caps_junk,
        })
        .map_err(failed)?;
        let id = entry.id.clone();
        Ok(Self::new(entry, move |prompt, answer| {
            evaluator
                .score(prompt, answer)
                .map_err(|source| Error::Judge {
                    model: id.clone(),
                    source,
                })
        }))
    }

    /// Its registry entry.
    pub fn entry(&self) -> &EvaluatorModel {
        &self.entry
    }

    /// The conversion between its raw scores and qualities.
    pub fn scale(&self) -> Scale {
        Scale::of(&self.entry)
    }

    /// The raw score of an answer: micro-logits, or millionths of a cosine.
    ///
    /// # Errors
    /// If the reference evaluator cannot compute.
    pub fn score(&self, prompt: &str, answer: &str) -> Result<i32> {
        let key: [u8; 32] = Sha256::new()
            .chain_update((prompt.len() as u64).to_be_bytes())
            .chain_update(prompt)
            .chain_update(answer)
            .finalize()
            .into();
        let known = || self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(raw) = known().get(&key) {
            return Ok(*raw);
        }
        // Without the lock, so that others can score in parallel.
        let raw = (self.scoring)(prompt, answer)?;
        known().insert(key, raw);
        Ok(raw)
    }

    /// The calibrated quality of an answer, 0 to 1.
    ///
    /// # Errors
    /// See [`Self::score`].
    pub fn quality(&self, prompt: &str, answer: &str) -> Result<f64> {
        let raw = self.score(prompt, answer)?;
        Ok(f64::from(self.scale().quality(raw)) / 1e6)
    }
}

impl fmt::Debug for Judge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Judge({})", self.entry.id)
    }
}

impl ReferenceScorer for Judge {
    fn score(
        &self,
        _: &EvaluatorModel,
        prompt: &str,
        answer: &str,
    ) -> std::result::Result<i32, ScoreError> {
        Self::score(self, prompt, answer)
            .map_err(|error| ScoreError::Unavailable(error.to_string()))
    }
}

/// The entry of a model, and the folder of its files.
fn locate(model: &str) -> Result<(EvaluatorModel, PathBuf)> {
    let path = Path::new(model);
    if path.is_dir() {
        return Ok((read(&path.join(ENTRY))?, path.to_owned()));
    }
    let entry = match path.extension().is_some_and(|ending| ending == "json") {
        true => read(path)?,
        false => built_in(model)?,
    };
    let folder = registry::folder(&entry.id);
    Ok((entry, folder))
}

fn built_in(id: &str) -> Result<EvaluatorModel> {
    registry::find(id)?.ok_or_else(|| {
        Error::Option(format!(
            "{id} is neither a folder, nor a registry entry (.json), nor a model that `make setup` fetches"
        ))
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::world::scorer;

    #[test]
    fn a_text_is_scored_once() {
        let calls = Arc::new(AtomicU32::new(0));
        let counted = Arc::clone(&calls);
        let judge = Judge::new(scorer(), move |prompt, answer| {
            counted.fetch_add(1, Ordering::Relaxed);
            Ok((prompt.len() * 10 + answer.len()) as i32)
        });
        for _ in 0..3 {
            assert_eq!(judge.score("ab", "c").unwrap(), 21);
            assert_eq!(judge.score("a", "bc").unwrap(), 12);
        }
        assert_eq!(calls.load(Ordering::Relaxed), 2);
    }

    #[test]
    fn qualities_come_from_the_entrys_table() {
        let judge = Judge::new(scorer(), |_, _| Ok(0));
        assert_eq!(judge.quality("", "").unwrap(), 0.82);
    }

    #[test]
    fn models_that_nobody_knows_are_refused_by_name() {
        for model in ["no-such-model", "no-such-entry.json"] {
            let error = Judge::open(model).unwrap_err().to_string();
            assert!(error.contains(model), "{error}");
        }
    }

    #[test]
    fn an_entry_in_a_folder_is_read() {
        let folder = tempfile::tempdir().unwrap();
        let bge = serde_json::to_string(&built_in("bge-small-en-v1.5").unwrap()).unwrap();
        std::fs::write(folder.path().join(ENTRY), bge).unwrap();
        let (entry, files) = locate(&folder.path().display().to_string()).unwrap();
        assert_eq!(entry.id, "bge-small-en-v1.5");
        assert_eq!(files, folder.path());
        assert_eq!(
            kind(&entry).unwrap(),
            poq_evaluator::scorer::Kind::BiEncoder
        );
        let (_, files) = locate("bge-small-en-v1.5").unwrap();
        assert!(files.ends_with("models/bge-small-en-v1.5"));
    }
}
