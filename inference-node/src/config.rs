//! `config.toml` of an inference node's home.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use poq_client::metrics::MetricsConfig;
use poq_client::worker::ChainConfig;
use serde::Deserialize;

use crate::generator::weights::WeightType;

/// The model that set-up fetches.
pub const DEFAULT_MODEL: &str = "smollm2-135m-instruct";

/// All settings. [`template`] writes the file with every one of them explained.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// The way onto the chain.
    pub chain: ChainConfig,
    /// The language model.
    #[serde(default)]
    pub model: ModelConfig,
    /// How duties are done.
    #[serde(default)]
    pub duties: DutiesConfig,
    /// The OpenAI-compatible server.
    #[serde(default)]
    pub http: HttpConfig,
    /// Where metrics are served.
    #[serde(default)]
    pub metrics: MetricsConfig,
}

/// The table `[model]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ModelConfig {
    /// Id in the chain's registry.
    pub id: String,
    /// The GGUF file or folder of safetensors whose digest is in the registry.
    pub file: PathBuf,
    /// A repository of the Hugging Face hub, in place of a file.
    pub hub: Option<String>,
    /// Folder of converted weights.
    pub converted: PathBuf,
    /// How the matrices are kept in memory.
    pub weights: WeightType,
    /// Compute threads; 0 is one per core.
    pub threads: usize,
    /// Answers that are generated at the same time, each with its own copy of the weights and its
    /// share of the threads; at least 1.
    pub concurrency: usize,
    /// Seconds without a sign of life after which a busy engine counts as lost and the process
    /// ends; at least 1.
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
pub struct DutiesConfig {
    /// Most tokens of an answer, also where the task would allow more; at least 1.
    pub max_tokens: usize,
    /// Duties that may wait at once; more are left for a later look.
    pub queue: usize,
    /// An answer is cut short and handed in this many blocks before it is due.
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
pub struct HttpConfig {
    /// Where the server listens.
    pub listen: SocketAddr,
    /// Whether there is a server.
    pub enabled: bool,
    /// Most tokens of an answer; at least 1.
    pub max_tokens: usize,
    /// Requests that may wait at once; more are refused.
    pub queue: usize,
    /// Seconds from a request to the end of its answer; at least 1.
    pub deadline_seconds: u64,
    /// Whether everybody who reaches the server may ask, without a key.
    pub open: bool,
    /// The key that requests need.
    pub api_key: Option<String>,
    /// Further keys.
    pub api_keys: Vec<String>,
    /// A file with further keys, one a line.
    pub api_keys_file: Option<PathBuf>,
    /// Origins of web pages that may ask; `*` is every one.
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
    /// All keys; without any and without [`open`](Self::open) nobody may ask.
    ///
    /// # Errors
    /// A file that cannot be read or has no key, or a key that is blank, in words: a server must not
    /// be open by a slip.
    pub fn keys(&self) -> Result<Vec<String>, String> {
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
            return Err("http.open lets everybody ask, but there are API keys: remove one".into());
        }
        Ok(keys)
    }
}

impl Config {
    /// Says what is out of its range.
    ///
    /// # Errors
    /// The setting and its range, in words.
    pub fn validate(&self) -> Result<(), String> {
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
            None => Ok(()),
        }
    }
}

/// The user's home folder, or the current one where there is none.
pub fn home() -> PathBuf {
    std::env::home_dir().unwrap_or_default()
}

/// The file of SmolLM2-135M-Instruct as set-up lays it out.
pub fn default_model_file() -> PathBuf {
    poq_client::cache().join("models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf")
}

/// Compute threads that a setting of `threads` means: 0 is one per core.
pub fn compute_threads(threads: usize) -> usize {
    match threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        threads => threads,
    }
}

/// Answers at once that a new `config.toml` gets: two where a second engine has a thread of its
/// own and its copy of the weights is small. The README has the measurement.
pub fn suggested_concurrency(threads: usize, model_file: &Path) -> usize {
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

/// A value of the template, quoted as TOML wants it.
fn quoted(text: impl std::fmt::Display) -> String {
    toml::Value::String(text.to_string()).to_string()
}

/// What `init` can set.
#[derive(Clone, Debug)]
pub struct Template {
    /// `chain.id`.
    pub chain_id: String,
    /// `chain.node`.
    pub node: String,
    /// `chain.key`.
    pub key: String,
    /// `chain.keyring`.
    pub keyring: String,
    /// `model.id`.
    pub model: String,
    /// `model.file`.
    pub model_file: PathBuf,
    /// `model.hub`.
    pub hub: Option<String>,
    /// `model.weights`.
    pub weights: WeightType,
    /// `model.threads`.
    pub threads: usize,
    /// `model.concurrency`.
    pub concurrency: usize,
    /// `http.listen`.
    pub listen: SocketAddr,
    /// `http.open`.
    pub open: bool,
}

/// The text of a new `config.toml`.
pub fn template(values: &Template) -> String {
    let duties = DutiesConfig::default();
    let http = HttpConfig::default();
    format!(
        r#"# Settings of an inference node. Relative paths are relative to the working directory.

[chain]
# Id of the chain; the node below must be on it.
id = {chain_id}
# RPC address of a node of the chain.
node = {node}
# Name of the operator's key, and where it is kept: "test" (plain, for test networks) or "file"
# (encrypted; the passphrase is asked for, or taken from POQ_KEYRING_PASSPHRASE or the file that
# POQ_KEYRING_PASSPHRASE_FILE names).
key = {key}
keyring = {keyring}
# Pause between two looks for new blocks, in milliseconds. New blocks are noticed at once while
# the node's WebSocket works.
poll_interval_ms = 1000
# Whether the operator is unjailed as soon as its jail time is over and the worker could do duties again,
# told loudly in the log. It costs a fee each time; and while nobody finds out what was missed, the
# next slash follows.
auto_unjail = false

[model]
# Id of the model in the chain's registry.
id = {model}
# A GGUF file (the first part of one that was split), or a folder of safetensors as the Hugging Face
# hub has it. The node starts only if its digest is the one in the registry.
file = {file}
# Fetches such a folder from the hub, in place of the file.
{hub}
# Folder of converted weights; nodes of one machine can share it.
converted = {converted}
# How the matrices are kept in memory: "f32" (single precision: the answers do not depend on the
# processor), "q8_0" (8-bit blocks but for one matrix of a layer, faster answers in less memory),
# "q8_0_all" (8-bit blocks throughout, the fastest answers) or "original" (as the file has them).
# `poq-inference-node models margins` shows what each does to the answers on this machine.
weights = {weights}
# Compute threads; 0 is one per core. Give fewer where several nodes share a machine.
threads = {threads}
# Answers that are generated at the same time, duties and requests together. Each has its own copy
# of the weights in memory and its share of the threads; with two or more, one is kept for duties.
concurrency = {concurrency}
# Seconds without a token after which a busy engine counts as lost: the process then ends with an
# error, for its supervisor to start it again. Longer than the longest prompt takes to be read.
stall_seconds = {stall}

[duties]
# Most tokens of an answer, also where the task would allow more.
max_tokens = {duties_tokens}
# Duties that may wait at once; more are left for a later look.
queue = {duties_queue}
# An answer is cut short and handed in this many blocks before it is due.
margin_blocks = {margin}

[http]
# The OpenAI-compatible server: POST /v1/chat/completions, POST /v1/completions, GET /v1/models,
# GET /health, GET /ready. It speaks no TLS: let it listen to the outside only behind a proxy that does.
enabled = {http_enabled}
listen = {listen}
# Most tokens of an answer.
max_tokens = {http_tokens}
# Requests that may wait at once; more are refused with status 429. Duties always go first: one
# that finds the model busy cuts the newest answer short.
queue = {http_queue}
# Seconds from a request to the end of its answer. One that waits longer is refused with status
# 503; an answer that takes longer is cut, and is an error (504) if it has no word yet.
deadline_seconds = {deadline}
# Keys, one of which requests need as `Authorization: Bearer KEY`, /health and /ready excepted: one,
# many, or a file with one a line that only the node's user can read. Without any nobody may ask,
# unless the server is open to everybody who reaches it.
open = {open}
# api_key = "a-long-random-text"
# api_keys = []
# api_keys_file = "/etc/poq/api-keys"
# Origins of web pages that may ask, as https://example.org; "*" is every one.
cors_origins = []

[metrics]
# Where Prometheus metrics are served, at /metrics, with /health and /ready; nowhere unless set.
# listen = "127.0.0.1:9101"
"#,
        chain_id = quoted(&values.chain_id),
        node = quoted(&values.node),
        key = quoted(&values.key),
        keyring = quoted(&values.keyring),
        model = quoted(&values.model),
        file = quoted(values.model_file.display()),
        hub = match &values.hub {
            Some(hub) => format!("hub = {}", quoted(hub)),
            None => "# hub = \"meta-llama/Llama-3.2-1B-Instruct\"".into(),
        },
        weights = serde_json::json!(values.weights),
        converted = quoted(default_converted().display()),
        threads = values.threads,
        concurrency = values.concurrency,
        stall = ModelConfig::default().stall_seconds,
        duties_tokens = duties.max_tokens,
        duties_queue = duties.queue,
        margin = duties.margin_blocks,
        http_enabled = http.enabled,
        listen = quoted(values.listen),
        http_tokens = http.max_tokens,
        http_queue = http.queue,
        deadline = http.deadline_seconds,
        open = values.open,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values() -> Template {
        Template {
            chain_id: "poq-local-1".into(),
            node: "http://127.0.0.1:26657".into(),
            key: "inference \"1\"".into(),
            keyring: "test".into(),
            model: "smollm2-135m-instruct".into(),
            model_file: r"C:\models\a.gguf".into(),
            hub: None,
            weights: WeightType::default(),
            threads: 1,
            concurrency: 2,
            listen: SocketAddr::from(([127, 0, 0, 1], 9000)),
            open: true,
        }
    }

    #[test]
    fn template_has_every_setting_with_its_default() {
        let config: Config = toml::from_str(&template(&values())).unwrap();
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
        config.validate().unwrap();
        let hub = Template {
            hub: Some("mistralai/Mixtral-8x7B-Instruct-v0.1".into()),
            weights: WeightType::F32,
            ..values()
        };
        let model = toml::from_str::<Config>(&template(&hub)).unwrap().model;
        assert_eq!((model.hub, model.weights), (hub.hub, WeightType::F32));
        let set = template(&values()).replace("# listen =", "listen =");
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
        let text = template(&values());
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
