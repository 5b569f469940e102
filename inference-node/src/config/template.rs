//! The text of a new `config.toml`.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use poq_worker::{ChainConfig, fill, quoted};

use super::{DutiesConfig, HttpConfig, ModelConfig, WeightType, default_converted};
use crate::stream::StreamConfig;

/// Values that `init` can set.
#[derive(Clone, Debug)]
pub(crate) struct Template {
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
    /// The table `stream`, if sessions are served.
    pub stream: Option<StreamTemplate>,
}

/// Values of the table `stream` that `init` can set.
#[derive(Clone, Debug)]
pub(crate) struct StreamTemplate {
    /// `stream.listen`.
    pub listen: SocketAddr,
    /// `stream.certificate`.
    pub certificate: PathBuf,
    /// `stream.private_key`.
    pub private_key: PathBuf,
}

impl Template {
    /// The text of a new `config.toml`.
    pub(crate) fn render(&self, chain: &ChainConfig) -> String {
        const TEMPLATE: &str = include_str!("../config.toml");
        let (duties, http) = (DutiesConfig::default(), HttpConfig::default());
        let stream = StreamConfig::default();
        let listen = self.stream.as_ref().map_or(stream.listen, |own| own.listen);
        let file = |name, example, own: Option<&PathBuf>| match own {
            Some(own) => format!("{name} = {}", quoted(&own.display().to_string())),
            None => format!("# {name} = \"{example}\""),
        };
        let certificate = self.stream.as_ref().map(|own| &own.certificate);
        let private_key = self.stream.as_ref().map(|own| &own.private_key);
        let hub = match &self.hub {
            Some(hub) => format!("hub = {}", quoted(hub)),
            None => "# hub = \"meta-llama/Llama-3.2-1B-Instruct\"".into(),
        };
        let path = |path: &Path| quoted(&path.display().to_string());
        let values = [
            ("{chain}", chain.to_toml()),
            ("{model}", quoted(&self.model)),
            ("{file}", path(&self.model_file)),
            ("{hub}", hub),
            ("{converted}", path(&default_converted())),
            ("{weights}", quoted(self.weights.name())),
            ("{threads}", self.threads.to_string()),
            ("{concurrency}", self.concurrency.to_string()),
            ("{stall}", ModelConfig::default().stall_seconds.to_string()),
            ("{duties_tokens}", duties.max_tokens.to_string()),
            ("{duties_queue}", duties.queue.to_string()),
            ("{margin}", duties.margin_blocks.to_string()),
            ("{http_enabled}", http.enabled.to_string()),
            ("{listen}", quoted(&self.listen.to_string())),
            ("{http_tokens}", http.max_tokens.to_string()),
            ("{http_queue}", http.queue.to_string()),
            ("{deadline}", http.deadline_seconds.to_string()),
            ("{open}", self.open.to_string()),
            ("{stream_enabled}", self.stream.is_some().to_string()),
            ("{stream_listen}", quoted(&listen.to_string())),
            (
                "{stream_certificate}",
                file(
                    "certificate",
                    "/etc/poq/stream-certificate.pem",
                    certificate,
                ),
            ),
            (
                "{stream_key}",
                file("private_key", "/etc/poq/stream-key.pem", private_key),
            ),
            ("{stream_proxy}", stream.behind_proxy.to_string()),
            ("{stream_tokens}", stream.max_tokens.to_string()),
            ("{stream_queue}", stream.queue.to_string()),
            ("{stream_deadline}", stream.deadline_seconds.to_string()),
            ("{stream_wait}", stream.duty_wait_seconds.to_string()),
            ("{stream_pay}", stream.min_pay.to_string()),
        ];
        fill(TEMPLATE, &values)
    }
}
