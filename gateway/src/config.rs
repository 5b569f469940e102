//! `config.toml` in a gateway's home.

use std::net::SocketAddr;
use std::path::PathBuf;

use poq_client::keyring::Backend;
use poq_proto::PPM;
use poq_worker::program::metrics::MetricsConfig;
use poq_worker::{ChainConfig, fill, quoted};
use serde::{Deserialize, Deserializer};

use crate::pool;

/// All settings. `config.toml` beside this file is the template, with a comment on each.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// The connection to the chain.
    pub chain: Connection,
    /// The interface.
    #[serde(default)]
    pub http: Http,
    /// TLS of the interface.
    pub tls: Option<TlsFiles>,
    /// How sessions are opened.
    #[serde(default)]
    pub sessions: Sessions,
    /// Which nodes are used.
    #[serde(default)]
    pub nodes: Nodes,
    /// How answers are scored.
    #[serde(default)]
    pub quality: Quality,
    /// Where metrics are served.
    #[serde(default)]
    pub metrics: MetricsConfig,
}

/// The table `[chain]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Connection {
    /// The chain's id.
    pub id: String,
    /// RPC addresses of nodes; at least one.
    #[serde(deserialize_with = "one_or_several")]
    pub node: Vec<String>,
    /// Name of the account's key.
    pub key: String,
    /// Where the key is.
    pub keyring: Backend,
}

fn one_or_several<'de, D: Deserializer<'de>>(value: D) -> Result<Vec<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Nodes {
        One(String),
        Several(Vec<String>),
    }
    Ok(match Nodes::deserialize(value)? {
        Nodes::One(node) => vec![node],
        Nodes::Several(nodes) => nodes,
    })
}

impl From<&Connection> for ChainConfig {
    fn from(connection: &Connection) -> Self {
        Self {
            id: connection.id.clone(),
            node: connection.node.first().cloned().unwrap_or_default(),
            key: connection.key.clone(),
            keyring: connection.keyring,
            ..Self::default()
        }
    }
}

/// The table `[http]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Http {
    /// Listen address.
    pub listen: SocketAddr,
    /// Whether a proxy with TLS is in front.
    pub behind_proxy: bool,
}

impl Default for Http {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8090)),
            behind_proxy: false,
        }
    }
}

/// The table `[tls]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsFiles {
    /// PEM file with the chain of certificates, the gateway's first.
    pub cert: PathBuf,
    /// PEM file with the private key.
    pub key: PathBuf,
}

/// The table `[sessions]`.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sessions {
    /// Models whose sessions are opened ahead of requests.
    pub models: Vec<String>,
    /// Sessions in a set; at least 1.
    pub nodes: u32,
    /// Base units for each session; at least 1.
    pub escrow: u64,
    /// Blocks for which a session takes orders; at least 1.
    pub blocks: u64,
}

impl Default for Sessions {
    fn default() -> Self {
        Self {
            models: Vec::new(),
            nodes: 2,
            escrow: 20_000_000,
            blocks: 1200,
        }
    }
}

/// The table `[nodes]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Nodes {
    /// Whether nodes may be on private addresses.
    pub allow_private: bool,
}

/// The table `[quality]`.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Quality {
    /// Folder with the files of the chain's evaluator models; without it nothing is scored.
    pub evaluator_models: Option<PathBuf>,
    /// Mean quality, 0 to 1, of a node's last answers below which it comes into quarantine.
    pub least: f64,
}

impl Quality {
    /// The same, ppm.
    pub(crate) fn least_ppm(&self) -> u32 {
        (self.least * PPM as f64).round() as u32
    }
}

impl Config {
    /// Checks the settings.
    ///
    /// # Errors
    /// The setting and its range, as a message.
    pub(crate) fn validate(&self) -> Result<(), String> {
        let Sessions {
            nodes,
            escrow,
            blocks,
            ..
        } = self.sessions;
        let positive = [
            ("sessions.nodes", nodes.into()),
            ("sessions.escrow", escrow),
            ("sessions.blocks", blocks),
        ];
        if let Some((name, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(format!("{name} must be at least 1"));
        }
        if !(0.0..=1.0).contains(&self.quality.least) {
            return Err("quality.least must be in 0..=1".into());
        }
        if self.chain.node.is_empty() {
            return Err("chain.node must name a node".into());
        }
        let is_covered = self.tls.is_some() || self.http.behind_proxy;
        if !self.http.listen.ip().is_loopback() && !is_covered {
            return Err(
                "http.listen is reachable from other machines, without TLS: set tls.cert and tls.key, or put a \
                 proxy in front, and set http.behind_proxy"
                    .into(),
            );
        }
        Ok(())
    }

    /// How sessions are opened.
    pub(crate) fn settings(&self) -> pool::Settings {
        pool::Settings {
            models: self.sessions.models.clone(),
            nodes: self.sessions.nodes,
            escrow: self.sessions.escrow,
            blocks: self.sessions.blocks,
            allow_private: self.nodes.allow_private,
        }
    }
}

/// Values that `init` can set.
#[derive(Clone, Debug)]
pub(crate) struct Template {
    /// `http.listen`.
    pub listen: SocketAddr,
    /// `sessions.models`.
    pub models: Vec<String>,
    /// `nodes.allow_private`.
    pub allow_private: bool,
    /// `quality.evaluator_models`.
    pub evaluator_models: Option<PathBuf>,
}

impl Template {
    /// The text of a new `config.toml`.
    pub(crate) fn render(&self, chain: &ChainConfig) -> String {
        const TEMPLATE: &str = include_str!("config.toml");
        let sessions = Sessions::default();
        let models: Vec<_> = self.models.iter().map(|model| quoted(model)).collect();
        let folder = match &self.evaluator_models {
            Some(folder) => format!(
                "evaluator_models = {}",
                quoted(&folder.display().to_string())
            ),
            None => "# evaluator_models = \"models\"".into(),
        };
        let values = [
            ("{id}", quoted(&chain.id)),
            ("{node}", quoted(&chain.node)),
            ("{key}", quoted(&chain.key)),
            ("{keyring}", quoted(&chain.keyring.to_string())),
            ("{listen}", quoted(&self.listen.to_string())),
            ("{models}", format!("[{}]", models.join(", "))),
            ("{nodes}", sessions.nodes.to_string()),
            ("{escrow}", sessions.escrow.to_string()),
            ("{blocks}", sessions.blocks.to_string()),
            ("{allow_private}", self.allow_private.to_string()),
            ("{evaluator_models}", folder),
        ];
        fill(TEMPLATE, &values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text() -> String {
        let template = Template {
            listen: Http::default().listen,
            models: vec!["a".into(), "b \"c\"".into()],
            allow_private: false,
            evaluator_models: None,
        };
        template.render(&ChainConfig {
            key: "gateway".into(),
            ..ChainConfig::default()
        })
    }

    #[test]
    fn template_has_every_setting_with_its_default() {
        let config: Config = toml::from_str(&text()).unwrap();
        assert_eq!(config.chain.key, "gateway");
        assert_eq!(config.sessions.models, ["a", "b \"c\""]);
        let sessions = Sessions {
            models: config.sessions.models.clone(),
            ..Sessions::default()
        };
        assert_eq!(config.sessions, sessions);
        assert_eq!(config.http, Http::default());
        assert_eq!(config.nodes, Nodes::default());
        assert_eq!(config.quality, Quality::default());
        config.validate().unwrap();
        let set = text().replace("# listen =", "listen =");
        let set: Config = toml::from_str(&set).unwrap();
        assert!(set.metrics.listen.is_some());
    }

    #[test]
    fn one_node_or_several_are_asked() {
        let with = |nodes: &str| -> Config {
            let text = text().replace("\nnode = \"\"", &format!("\nnode = {nodes}"));
            toml::from_str(&text).unwrap()
        };
        assert_eq!(with("'http://a'").chain.node, ["http://a"]);
        let several = with("['http://a', 'http://b']");
        assert_eq!(several.chain.node, ["http://a", "http://b"]);
        several.validate().unwrap();
        assert!(with("[]").validate().unwrap_err().contains("chain.node"));
    }

    #[test]
    fn keys_do_not_cross_networks_in_the_clear() {
        let open = text().replace("127.0.0.1:8090", "0.0.0.0:8090");
        let config: Config = toml::from_str(&open).unwrap();
        assert!(config.validate().unwrap_err().contains("http.behind_proxy"));
        let tls = open.replace("# [tls]", "[tls]");
        let tls = tls
            .replace("# cert =", "cert =")
            .replace("# key =", "key =");
        let config: Config = toml::from_str(&tls).unwrap();
        assert!(config.tls.is_some());
        config.validate().unwrap();
        let behind = open.replace("behind_proxy = false", "behind_proxy = true");
        let config: Config = toml::from_str(&behind).unwrap();
        config.validate().unwrap();
    }

    #[test]
    fn unknown_settings_and_zeros_are_refused() {
        let typo = text().replace("escrow =", "escrw =");
        assert!(toml::from_str::<Config>(&typo).is_err());
        let half = format!("{}\n[tls]\ncert = 'c'\n", text());
        assert!(toml::from_str::<Config>(&half).is_err());
        let zero = text().replace("nodes = 2", "nodes = 0");
        let zero: Config = toml::from_str(&zero).unwrap();
        assert_eq!(
            zero.validate().unwrap_err(),
            "sessions.nodes must be at least 1"
        );
    }
}
