//! The files of evaluator models, found by their digests.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use poq_client::digest;
use poq_proto::v1::{EvaluatorKind, EvaluatorModel};
use poq_reference_evaluator::{Error as EvaluatorError, Evaluator, Kind, Source};
use thiserror::Error;

/// Depth of the subfolders that are searched for files.
const DEPTH: usize = 2;

/// The reason why an evaluator model cannot be run.
#[derive(Debug, Error)]
pub enum Error {
    /// No file has the digest of the registry.
    #[error(
        "the {what} of the evaluator model {model} are missing: no file *.{ending} in {folder} or its \
         subfolders has the SHA-256 {sha256}; put the file there, for example as \
         {folder}/{model}/{name}, or set another folder: `evaluator-models` in poqd's app.toml or \
         --evaluator-models, `evaluator_models` in the config.toml of other programs",
        folder = folder.display()
    )]
    Missing {
        /// Id of the model.
        model: String,
        /// Weights or tokenizer.
        what: &'static str,
        /// Usual name of the file.
        name: &'static str,
        /// Extension of the file.
        ending: &'static str,
        /// The registered digest.
        sha256: String,
        /// The searched folder.
        folder: PathBuf,
    },
    /// A file cannot be read.
    #[error("cannot read {path}: {source}", path = path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Its cause.
        source: io::Error,
    },
    /// This program does not know the model's kind.
    #[error(
        "the evaluator model {model} is of the kind {kind}, which this version of the program \
         cannot compute; install the version that the chain runs"
    )]
    Kind {
        /// Id of the model.
        model: String,
        /// The unknown kind.
        kind: i32,
    },
    /// The files do not contain a usable model.
    #[error("the evaluator model {model}: {source}")]
    Open {
        /// Id of the model.
        model: String,
        /// Its cause.
        source: EvaluatorError,
    },
    /// The model has no score for the texts, or could not compute it.
    #[error("no score by the evaluator model {model}: {source}")]
    Score {
        /// Id of the model.
        model: String,
        /// Its cause.
        source: EvaluatorError,
    },
}

impl Error {
    /// Whether every machine with the registered files gets this error. Then it is a result of an audit,
    /// not a fault of this node, so that the authority can withdraw the model.
    pub fn is_of_the_model(&self) -> bool {
        match self {
            Self::Open { source, .. } => matches!(
                source,
                EvaluatorError::Model { .. }
                    | EvaluatorError::Kind { .. }
                    | EvaluatorError::Tokenizer { .. }
                    | EvaluatorError::Window { .. }
            ),
            // The result depends only on the texts and the model.
            Self::Score { source, .. } => matches!(
                source,
                EvaluatorError::Text { .. }
                    | EvaluatorError::Token { .. }
                    | EvaluatorError::NotANumber
            ),
            // A newer version may know the kind.
            Self::Missing { .. } | Self::Read { .. } | Self::Kind { .. } => false,
        }
    }
}

/// Scores answers with the files under a folder, with the same bits on every machine. A model's files are
/// read on first use.
pub struct Judge {
    folder: PathBuf,
    loaded: Mutex<Loaded>,
}

#[derive(Default)]
struct Loaded {
    /// Indexed files, by SHA-256 in hex.
    files: BTreeMap<String, PathBuf>,
    /// Open evaluators, by the registry fields on which scores depend.
    evaluators: BTreeMap<Key, Arc<Evaluator>>,
}

/// The registry fields on which a raw score depends.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    kind: i32,
    weights: String,
    tokenizer: String,
    max_tokens: u32,
    max_windows: u32,
    caps_junk: bool,
}

impl Key {
    /// Destructures every field, so that a new one cannot be forgotten.
    fn of(model: &EvaluatorModel) -> Self {
        let EvaluatorModel {
            id: _,
            kind,
            weights_sha256,
            tokenizer_sha256,
            max_tokens,
            calibration: _,
            audit_tolerance: _,
            deprecated: _,
            max_windows,
            caps_junk,
            licence: _,
            registered_height: _,
        } = model;
        Self {
            kind: *kind,
            weights: weights_sha256.clone(),
            tokenizer: tokenizer_sha256.clone(),
            max_tokens: *max_tokens,
            max_windows: *max_windows,
            caps_junk: *caps_junk,
        }
    }
}

impl Judge {
    /// Reads model files under `folder`.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            loaded: Mutex::default(),
        }
    }

    /// Loads a model, or returns the loaded one.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub fn load(&self, model: &EvaluatorModel) -> Result<Arc<Evaluator>, Error> {
        let mut loaded = self.loaded.lock().unwrap_or_else(PoisonError::into_inner);
        let key = Key::of(model);
        if let Some(evaluator) = loaded.evaluators.get(&key) {
            return Ok(Arc::clone(evaluator));
        }
        let kind = match model.kind() {
            EvaluatorKind::CrossEncoder => Kind::CrossEncoder,
            EvaluatorKind::BiEncoder => Kind::BiEncoder,
            EvaluatorKind::Unspecified => {
                return Err(Error::Kind {
                    model: model.id.clone(),
                    kind: model.kind,
                });
            }
        };
        let weights = self.file(&mut loaded, model, Part::Weights)?;
        let tokenizer = self.file(&mut loaded, model, Part::Tokenizer)?;
        let opened = Evaluator::open(&Source {
            kind,
            weights: &weights,
            weights_sha256: &model.weights_sha256,
            tokenizer: &tokenizer,
            tokenizer_sha256: &model.tokenizer_sha256,
            max_tokens: model.max_tokens as usize,
            max_windows: model.max_windows as usize,
            caps_junk: model.caps_junk,
        });
        let evaluator = Arc::new(opened.map_err(|source| Error::Open {
            model: model.id.clone(),
            source,
        })?);
        loaded.evaluators.insert(key, Arc::clone(&evaluator));
        Ok(evaluator)
    }

    /// The raw score of an answer: micro-logits, or millionths of a cosine.
    ///
    /// # Errors
    /// See [`enum@Error`].
    pub fn score(&self, model: &EvaluatorModel, prompt: &str, answer: &str) -> Result<i32, Error> {
        let score = self.load(model)?.score(prompt, answer);
        score.map_err(|source| Error::Score {
            model: model.id.clone(),
            source,
        })
    }

    /// The file with the registered digest, whatever its name.
    fn file(
        &self,
        loaded: &mut Loaded,
        model: &EvaluatorModel,
        part: Part,
    ) -> Result<PathBuf, Error> {
        let sha256 = part.sha256(model);
        // Searched again on each miss, because the file may have been added meanwhile.
        if !loaded.files.contains_key(sha256) {
            let mut paths = candidates(&self.folder, DEPTH)?;
            let likely = self.folder.join(&model.id).join(part.name());
            // Files are large, so files with the usual name are hashed first.
            paths.sort_by_key(|path| (*path != likely, path.file_name() != likely.file_name()));
            loaded.index(&paths, part.ending(), sha256)?;
        }
        loaded
            .files
            .get(sha256)
            .cloned()
            .ok_or_else(|| Error::Missing {
                model: model.id.clone(),
                what: part.words(),
                name: part.name(),
                ending: part.ending(),
                sha256: sha256.to_owned(),
                folder: self.folder.clone(),
            })
    }
}

#[derive(Clone, Copy)]
enum Part {
    Weights,
    Tokenizer,
}

impl Part {
    fn sha256(self, model: &EvaluatorModel) -> &str {
        match self {
            Self::Weights => &model.weights_sha256,
            Self::Tokenizer => &model.tokenizer_sha256,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Weights => "weights",
            Self::Tokenizer => "tokenizer's data",
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Weights => "model.onnx",
            Self::Tokenizer => "tokenizer.json",
        }
    }

    fn ending(self) -> &'static str {
        match self {
            Self::Weights => "onnx",
            Self::Tokenizer => "json",
        }
    }
}

impl Loaded {
    /// Hashes files with an extension until one has the wanted digest.
    fn index(&mut self, paths: &[PathBuf], ending: &str, wanted: &str) -> Result<(), Error> {
        for path in paths {
            let has_ending = path.extension().is_some_and(|found| found == ending);
            if !has_ending || self.files.values().any(|known| known == path) {
                continue;
            }
            let digest = digest::of_file(path).map_err(unread(path))?;
            let is_wanted = digest == wanted;
            self.files.insert(digest, path.clone());
            if is_wanted {
                break;
            }
        }
        Ok(())
    }
}

/// The files in a folder and its subfolders. A missing folder has none.
fn candidates(folder: &Path, depth: usize) -> Result<Vec<PathBuf>, Error> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(unread(folder)(source)),
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(unread(folder))?.path();
        if path.is_dir() && depth > 0 {
            files.extend(candidates(&path, depth - 1)?);
        } else if path.is_file() {
            files.push(path);
        }
    }
    Ok(files)
}

fn unread(path: &Path) -> impl Fn(io::Error) -> Error {
    move |source| Error::Read {
        path: path.to_owned(),
        source,
    }
}

#[cfg(test)]
mod tests;
