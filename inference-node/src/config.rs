//! `config.toml` in an inference node's home.

mod template;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use poq_worker::ChainConfig;
use poq_worker::program::metrics::MetricsConfig;
use serde::Deserialize;

use crate::generator::weights::WeightType;
use crate::stream::StreamConfig;

pub(crate) use template::{StreamTemplate, Template};

/// The model that `make setup` fetches.
pub(crate) const DEFAULT_MODEL: &str = "smollm2-135m-instruct";

/// All settings. `config.toml` beside this file is the template, with a comment on each.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The connection to the chain.
    pub chain: ChainConfig,
    /// The language model.
    #[serde(default)]
    pub model: ModelConfig,
    /// Limits of duties.
    #[serde(default)]
    pub duties: DutiesConfig,
    /// The OpenAI-compatible server.
    #[serde(default)]
    pub http: HttpConfig,
    /// The stream API.
    #[serde(default)]
    pub stream: StreamConfig,
    /// Where metrics are served.
    #[serde(default)]
    pub metrics: MetricsConfig,
}

/// The table `[model]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct ModelConfig {
    /// Id in the chain's registry.
    pub id: String,
    /// The GGUF file or folder of safetensors whose digest is in the registry.
    pub file: PathBuf,
    /// A repository on the Hugging Face hub, instead of a file.
    pub hub: Option<String>,
    /// Folder of converted weights.
    pub converted: PathBuf,
    /// Type of the matrices in memory.
    pub weights: WeightType,
    /// Compute threads; 0 means one per core.
    pub threads: usize,
    /// Answers generated at the same time, each with its own copy of the weights and its share of
    /// the threads; at least 1.
    pub concurrency: usize,
    /// Seconds without progress after which a busy engine counts as lost and the process exits; at
    /// least 1.
    pub stall_seconds: u64,
}

impl Default for ModelConfig {
    fn default() -> Self {
        Self {
            id: DEFAULT_MODEL.into(),
            file: default_model_file(),
            hub: None,
            converted: default_converted(),
            weights: WeightType::default(),
            threads: 0,
            concurrency: 1,
            stall_seconds: 300,
        }
    }
}

/// The table `[duties]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct DutiesConfig {
    /// Most tokens of an answer, even if the task allows more; at least 1.
    pub max_tokens: usize,
    /// Most duties in progress or queued; further ones wait on the chain.
    pub queue: usize,
    /// An answer is cut short and handed in this many blocks before its due height.
    pub margin_blocks: u64,
}

impl Default for DutiesConfig {
    fn default() -> Self {
        Self {
            max_tokens: 256,
            queue: 64,
            margin_blocks: 3,
        }
    }
}

/// The table `[http]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct HttpConfig {
    /// Listen address.
    pub listen: SocketAddr,
    /// Whether the server is enabled.
    pub enabled: bool,
    /// Most tokens of an answer; at least 1.
    pub max_tokens: usize,
    /// Most queued requests; further ones are refused.
    pub queue: usize,
    /// Seconds from a request to the end of its answer; at least 1.
    pub deadline_seconds: u64,
    /// Whether no API key is needed.
    pub open: bool,
    /// An API key.
    pub api_key: Option<String>,
    /// More API keys.
    pub api_keys: Vec<String>,
    /// A file with more API keys, one per line.
    pub api_keys_file: Option<PathBuf>,
    /// Origins of web pages that may use the server; `*` means every origin.
    pub cors_origins: Vec<String>,
}

impl Default for HttpConfig {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            enabled: true,
            max_tokens: 1024,
            queue: 16,
            deadline_seconds: 120,
            open: false,
            api_key: None,
            api_keys: Vec::new(),
            api_keys_file: None,
            cors_origins: Vec::new(),
        }
    }
}

impl HttpConfig {
    /// All API keys. Without any, and without [`open`](Self::open), every request is refused.
    ///
    /// # Errors
    /// A message about an unreadable file, a file without keys, or a blank key, so that no server
    /// is open by mistake.
    pub(crate) fn keys(&self) -> Result<Vec<String>, String> {
        let mut keys: Vec<String> = self.api_key.iter().chain(&self.api_keys).cloned().collect();
        if keys.iter().any(|key| key.trim().is_empty()) {
            return Err("http.api_key and http.api_keys must not be blank".into());
        }
        if let Some(path) = &self.api_keys_file {
            let failed =
                |reason: String| format!("http.api_keys_file {}: {reason}", path.display());
            let text = std::fs::read_to_string(path).map_err(|error| failed(error.to_string()))?;
            let lines = text.lines().map(str::trim);
            let found = lines.filter(|line| !line.is_empty() && !line.starts_with('#'));
            let before = keys.len();
            keys.extend(found.map(str::to_owned));
            if keys.len() == before {
                return Err(failed("it has no key".into()));
            }
        }
        if self.open && !keys.is_empty() {
            return Err("http.open admits everyone, but there are API keys: remove one".into());
        }
        Ok(keys)
    }
}

impl Config {
    /// Checks the ranges of all settings.
    ///
    /// # Errors
    /// The setting and its range, as a message.
    pub(crate) fn validate(&self) -> Result<(), String> {
        let positive = [
            ("model.concurrency", self.model.concurrency),
            (
                "model.stall_seconds",
                usize::from(self.model.stall_seconds > 0),
            ),
            ("duties.max_tokens", self.duties.max_tokens),
            ("duties.queue", self.duties.queue),
            ("http.max_tokens", self.http.max_tokens),
            ("http.queue", self.http.queue),
            (
                "http.deadline_seconds",
                usize::from(self.http.deadline_seconds > 0),
            ),
        ];
        match positive.iter().find(|(_, value)| *value == 0) {
            Some((name, _)) => Err(format!("{name} must be at least 1")),
            None => self.stream.validate(),
        }
    }
}

/// The file of SmolLM2-135M-Instruct in the layout of `make setup`.
pub(crate) fn default_model_file() -> PathBuf {
    poq_client::cache().join("models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf")
}

/// Number of compute threads for a setting of `threads`: 0 means one per core.
pub(crate) fn compute_threads(threads: usize) -> usize {
    match threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    }
}

/// Default of `concurrency` in a new `config.toml`: 2 if each engine has its own thread and the
/// weights are small. The README has the measurements.
pub(crate) fn suggested_concurrency(threads: usize, model_file: &Path) -> usize {
    const SMALL: u64 = 512 << 20;
    let is_small = std::fs::metadata(model_file)
        .is_ok_and(|metadata| metadata.is_file() && metadata.len() <= SMALL);
    if is_small {
        compute_threads(threads).min(2)
    } else {
        1
    }
}

fn default_converted() -> PathBuf {
    poq_client::cache().join("converted")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Template {
        Template {
            model: "smollm2-135m-instruct".into(),
            model_file: r"C:\models\a.gguf".into(),
            hub: None,
            weights: WeightType::default(),
            threads: 1,
            concurrency: 2,
            listen: SocketAddr::from(([127, 0, 0, 1], 9000)),
            open: true,
            stream: None,
        }
    }

    fn chain() -> ChainConfig {
        ChainConfig {
            key: "inference \"1\"".into(),
            ..ChainConfig::default()
        }
    }

    #[test]
    fn template_has_every_setting_with_its_default() {
        let config: Config = toml::from_str(&values().render(&chain())).unwrap();
        assert_eq!(config.chain.key, "inference \"1\"");
        assert_eq!(config.model.file, PathBuf::from(r"C:\models\a.gguf"));
        assert_eq!(config.model.weights, WeightType::default());
        assert_eq!(config.model.threads, 1);
        assert_eq!(config.model.concurrency, 2);
        let model = ModelConfig::default();
        assert_eq!(config.model.stall_seconds, model.stall_seconds);
        assert!(config.model.hub.is_none());
        assert_eq!(config.duties, DutiesConfig::default());
        assert_eq!(config.http.listen.port(), 9000);
        assert_eq!(
            config.http,
            HttpConfig {
                listen: config.http.listen,
                open: true,
                ..HttpConfig::default()
            }
        );
        assert_eq!(config.stream, StreamConfig::default());
        config.validate().unwrap();
        let serving = Template {
            stream: Some(StreamTemplate {
                listen: SocketAddr::from(([0, 0, 0, 0], 9443)),
                certificate: r"C:\home\c.pem".into(),
                private_key: "k.pem".into(),
            }),
            ..values()
        };
        let config: Config = toml::from_str(&serving.render(&chain())).unwrap();
        config.validate().unwrap();
        let stream = StreamConfig {
            enabled: true,
            listen: SocketAddr::from(([0, 0, 0, 0], 9443)),
            certificate: Some(r"C:\home\c.pem".into()),
            private_key: Some("k.pem".into()),
            ..StreamConfig::default()
        };
        assert_eq!(config.stream, stream);
        let hub = Template {
            hub: Some("mistralai/Mixtral-8x7B-Instruct-v0.1".into()),
            weights: WeightType::F32,
            ..values()
        };
        let model = toml::from_str::<Config>(&hub.render(&chain()))
            .unwrap()
            .model;
        assert_eq!((model.hub, model.weights), (hub.hub, WeightType::F32));
        let set = values().render(&chain()).replace("# listen =", "listen =");
        assert!(
            toml::from_str::<Config>(&set)
                .unwrap()
                .metrics
                .listen
                .is_some()
        );
    }

    #[test]
    fn keys_are_collected_and_none_is_blank() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("keys");
        let keys = |text: &str| {
            let http: HttpConfig = toml::from_str(text).unwrap();
            http.keys()
        };
        assert_eq!(keys("").unwrap(), Vec::<String>::new());
        std::fs::write(&file, "# for friends\n\n c \nd\n").unwrap();
        let all = format!("api_key = 'a'\napi_keys = ['b']\napi_keys_file = {file:?}");
        assert_eq!(keys(&all).unwrap(), ["a", "b", "c", "d"]);
        std::fs::write(&file, "# nobody yet\n").unwrap();
        assert!(keys(&all).unwrap_err().contains("has no key"));
        for slip in [
            "api_key = ' '",
            "api_keys = ['a', '']",
            "api_keys_file = '/none'",
            "open = true\napi_key = 'a'",
        ] {
            assert!(keys(slip).is_err(), "{slip}");
        }
    }

    #[test]
    fn unknown_settings_and_zero_limits_are_refused() {
        let text = values().render(&chain());
        let typo = text.replace("queue = 64", "que = 64");
        assert!(
            toml::from_str::<Config>(&typo)
                .unwrap_err()
                .to_string()
                .contains("que")
        );
        for (setting, name) in [
            ("queue = 64", "duties.queue"),
            ("concurrency = 2", "model.concurrency"),
            ("stall_seconds = 300", "model.stall_seconds"),
            ("deadline_seconds = 120", "http.deadline_seconds"),
        ] {
            let (key, _) = setting.split_once(' ').unwrap();
            let zero = text.replace(setting, &format!("{key} = 0"));
            let zero: Config = toml::from_str(&zero).unwrap();
            let expected = format!("{name} must be at least 1");
            assert_eq!(zero.validate().unwrap_err(), expected);
        }
    }

    #[test]
    fn only_a_small_model_with_threads_to_share_is_loaded_twice() {
        let folder = tempfile::tempdir().unwrap();
        let small = folder.path().join("small.gguf");
        std::fs::write(&small, [0; 100]).unwrap();
        let suggested = [1, 2, 8].map(|threads| suggested_concurrency(threads, &small));
        assert_eq!(suggested, [1, 2, 2]);
        let large = folder.path().join("large.gguf");
        let file = std::fs::File::create(&large).unwrap();
        file.set_len(4 << 30).unwrap();
        for other in [large.as_path(), folder.path(), Path::new("missing.gguf")] {
            assert_eq!(suggested_concurrency(8, other), 1, "{}", other.display());
        }
    }
}
