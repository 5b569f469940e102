//! The evaluator's `config.toml`, and the defaults that depend on the machine.

use std::collections::BTreeSet;
use std::path::PathBuf;

use poq_worker::program::metrics::MetricsConfig;
use poq_worker::{ChainConfig, fill, quoted};
use serde::{Deserialize, Deserializer};

use crate::registry;
use crate::scorer::{Engine, ModelFiles, ScorerBackend};

/// File name of ONNX Runtime in the cache's `lib/`.
pub(crate) const LIBRARY: &str = "libonnxruntime.so.1.31.1";

const TEMPLATE: &str = include_str!("config.toml");

/// Why settings are not usable.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A number is out of range.
    #[error("`{name}` is {value}, expected {range}")]
    Range {
        /// Name of the option.
        name: &'static str,
        /// The value as given.
        value: usize,
        /// The range as text.
        range: &'static str,
    },
    /// No evaluator model is configured.
    #[error("config.toml has no evaluator model; add one as `[[models]]`")]
    NoModel,
    /// A model is listed twice.
    #[error("config.toml has the evaluator model {0} more than once; remove one of them")]
    Twice(String),
}

/// The content of `config.toml`; the file that [`render`] returns explains the options.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The chain and the operator's key.
    pub chain: ChainConfig,
    /// The evaluator models.
    #[serde(default = "default_models")]
    pub models: Vec<ModelConfig>,
    /// The table of older versions, which ran one model only.
    #[serde(default, rename = "model", deserialize_with = "refuse_single_model")]
    _single_model: (),
    /// Settings of scoring.
    #[serde(default)]
    pub scoring: ScoringConfig,
    /// Where metrics are served.
    #[serde(default)]
    pub metrics: MetricsConfig,
}

/// One table of `[[models]]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModelConfig {
    /// Id in the chain's registry.
    #[serde(default = "default_model")]
    pub id: String,
    /// Folder with the model's files; `None` means the cache.
    pub folder: Option<PathBuf>,
}

/// The table `[scoring]`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ScoringConfig {
    /// The backend.
    pub backend: ScorerBackend,
    /// Shared library of ONNX Runtime; `None` means the cache.
    pub library: Option<PathBuf>,
    /// Batches scored at the same time.
    pub sessions: usize,
    /// Compute threads per session.
    pub threads: usize,
    /// Most tokens of one batch after padding.
    pub batch_tokens: usize,
    /// Most queued pairs.
    pub queue: usize,
}

fn default_model() -> String {
    registry::DEFAULT_MODEL.to_owned()
}

fn default_models() -> Vec<ModelConfig> {
    vec![ModelConfig::default()]
}

fn refuse_single_model<'de, D: Deserializer<'de>>(_: D) -> Result<(), D::Error> {
    Err(serde::de::Error::custom(
        "`[model]` is a list now: write `[[models]]` with the same options",
    ))
}

impl Config {
    /// Checks what the types cannot express.
    pub(crate) fn validate(&self) -> Result<(), Error> {
        let mut ids = BTreeSet::new();
        if let Some(model) = self.models.iter().find(|model| !ids.insert(&model.id)) {
            return Err(Error::Twice(model.id.clone()));
        }
        match ids.is_empty() {
            true => Err(Error::NoModel),
            false => self.scoring.validate(),
        }
    }

    /// Ids of the evaluator models, in order.
    pub(crate) fn model_ids(&self) -> Vec<String> {
        self.models.iter().map(|model| model.id.clone()).collect()
    }
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            id: default_model(),
            folder: None,
        }
    }
}

impl Default for ScoringConfig {
    fn default() -> Self {
        Self {
            backend: ScorerBackend::default(),
            library: None,
            sessions: 1,
            threads: 1,
            batch_tokens: 512,
            queue: 64,
        }
    }
}

impl ScoringConfig {
    /// Checks the ranges that the template states.
    pub fn validate(&self) -> Result<(), Error> {
        let checks = [
            ("sessions", self.sessions, 64, "1..=64"),
            ("threads", self.threads, 256, "1..=256"),
            ("batch_tokens", self.batch_tokens, 65_536, "1..=65536"),
            ("queue", self.queue, 10_000, "1..=10000"),
        ];
        for (name, value, most, range) in checks {
            if !(1..=most).contains(&value) {
                return Err(Error::Range { name, value, range });
            }
        }
        Ok(())
    }

    /// Sessions and threads of the models.
    pub fn engine(&self) -> Engine {
        Engine {
            sessions: self.sessions,
            threads: self.threads,
        }
    }
}

/// Paths of the configured model's files.
pub(crate) fn model_files(model: &ModelConfig, scoring: &ScoringConfig) -> ModelFiles {
    let folder = model.folder.clone();
    let folder = folder.unwrap_or_else(|| registry::folder(&model.id));
    let library = scoring.library.clone();
    ModelFiles {
        weights: folder.join(registry::WEIGHTS),
        tokenizer: folder.join(registry::TOKENIZER),
        library: library.unwrap_or_else(|| poq_client::cache().join("lib").join(LIBRARY)),
        backend: scoring.backend,
    }
}

/// A commented `config.toml` with these settings; `models` are ids.
pub(crate) fn render(chain: &ChainConfig, models: &[String]) -> String {
    let table = |model: &String| format!("[[models]]\nid = {}\n\n", quoted(model));
    let (first, others) = match models {
        [first, others @ ..] => (first.as_str(), others),
        [] => (registry::DEFAULT_MODEL, models),
    };
    let values = [
        ("{chain}", chain.to_toml()),
        ("{model}", quoted(first)),
        ("{other_models}", others.iter().map(table).collect()),
        ("{library_name}", LIBRARY.into()),
    ];
    fill(TEMPLATE, &values)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use poq_client::keyring::Backend;

    use super::*;

    fn chain() -> ChainConfig {
        ChainConfig {
            id: "poq-\"1\"".into(),
            node: "http://127.0.0.1:26657".into(),
            key: "evaluator-0".into(),
            keyring: Backend::Test,
            ..ChainConfig::default()
        }
    }

    fn generated(models: &[&str]) -> String {
        let models: Vec<String> = models.iter().map(|id| (*id).to_owned()).collect();
        render(&chain(), &models)
    }

    #[test]
    fn the_generated_file_has_the_defaults() {
        let config: Config = toml::from_str(&generated(&["some-model", "other"])).unwrap();
        assert_eq!(config.chain, chain());
        assert_eq!(config.model_ids(), ["some-model", "other"]);
        assert_eq!(config.scoring, ScoringConfig::default());
        assert_eq!(config.metrics, MetricsConfig::default());
        config.validate().unwrap();
    }

    #[test]
    fn the_generated_file_names_every_option() {
        let uncommented = generated(&["some-model"])
            .replace("# folder =", "folder =")
            .replace("# library =", "library =")
            .replace("# listen =", "listen =");
        let config: Config = toml::from_str(&uncommented).unwrap();
        assert!(uncommented.contains("backend = \"onnxruntime\""));
        assert!(config.models[0].folder.is_some() && config.scoring.library.is_some());
        assert!(config.metrics.listen.is_some());
    }

    #[test]
    fn the_backend_is_chosen_by_name() {
        let content = |name: &str| generated(&["m"]).replace("\"onnxruntime\"", name);
        let config: Config = toml::from_str(&content("\"reference\"")).unwrap();
        assert_eq!(config.scoring.backend, ScorerBackend::Reference);
        let files = model_files(&config.models[0], &config.scoring);
        assert_eq!(files.backend, ScorerBackend::Reference);
        let error = toml::from_str::<Config>(&content("\"openvino\"")).unwrap_err();
        assert!(error.to_string().contains("onnxruntime"), "{error}");
    }

    #[test]
    fn an_unknown_option_is_refused() {
        let content = generated(&["m"]) + "\nthread = 2\n";
        assert!(toml::from_str::<Config>(&content).is_err());
    }

    #[test]
    fn the_table_of_one_model_is_named() {
        let content = generated(&["m"]).replace("[[models]]", "[model]");
        let error = toml::from_str::<Config>(&content).unwrap_err().to_string();
        assert!(error.contains("write `[[models]]`"), "{error}");
    }

    #[test]
    fn models_are_listed_once() {
        let config = |models: &[&str]| toml::from_str::<Config>(&generated(models)).unwrap();
        let error = config(&["m", "n", "m"]).validate().unwrap_err();
        assert!(error.to_string().contains("model m more than once"));
        let mut none = config(&["m"]);
        none.models.clear();
        assert!(matches!(none.validate(), Err(Error::NoModel)));
    }

    #[test]
    fn without_a_list_the_default_model_is_run() {
        let content = generated(&["m"])
            .replace("[[models]]", "")
            .replace("id = \"m\"", "");
        let config: Config = toml::from_str(&content).unwrap();
        assert_eq!(config.model_ids(), [registry::DEFAULT_MODEL]);
    }

    #[test]
    fn numbers_have_ranges() {
        let config = ScoringConfig {
            threads: 0,
            ..ScoringConfig::default()
        };
        let error = config.validate().unwrap_err().to_string();
        assert_eq!(error, "`threads` is 0, expected 1..=256");
    }

    #[test]
    fn files_are_in_the_configured_folders() {
        let model = ModelConfig {
            folder: Some("/models/m".into()),
            ..ModelConfig::default()
        };
        let scoring = ScoringConfig {
            library: Some("/lib/ort.so".into()),
            ..ScoringConfig::default()
        };
        let files = model_files(&model, &scoring);
        assert_eq!(files.weights, Path::new("/models/m/model.onnx"));
        assert_eq!(files.tokenizer, Path::new("/models/m/tokenizer.json"));
        assert_eq!(files.library, Path::new("/lib/ort.so"));
    }
}
