use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::{Error, load, quoted};
use crate::home::Home;
use crate::validator_keys::PublicKey;
use poq_abci::transport::Address;
use poq_client::cache;

/// Where `start` serves ABCI to a CometBFT that it does not run; CometBFT's default of `proxy_app`.
const DEFAULT_ABCI: &str = "127.0.0.1:26658";
/// Where `start` serves gRPC unless told otherwise; the Cosmos SDK's port.
const DEFAULT_GRPC: &str = "127.0.0.1:9090";

/// `app.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct AppSettings {
    /// Where ABCI is served; `None` is a socket in the home for a supervised CometBFT, else
    /// [`Self::abci_for_others`].
    pub abci: Option<Address>,
    /// Where gRPC is served, `HOST:PORT`; empty is nowhere.
    pub grpc_address: String,
    /// Versions of the state that queries can reach back to; 0 keeps all.
    pub keep_versions: u64,
    /// Folder with the files of the evaluator models; `None` looks for it.
    pub evaluator_models: Option<PathBuf>,
    /// The validator that CometBFT signs for; `None` is that of its key file.
    pub(crate) validator_public_key: Option<PublicKey>,
    /// Where Prometheus metrics are served; `None` is nowhere.
    pub metrics_address: Option<SocketAddr>,
    /// Settings of the supervised CometBFT.
    pub comet: CometSettings,
}

/// The table `[comet]` of `app.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub struct CometSettings {
    /// Whether `start` runs CometBFT too.
    pub supervise: bool,
    /// The program; `None` looks for it.
    pub binary: Option<PathBuf>,
    /// File for its log; `None` is the standard error output.
    pub log: Option<PathBuf>,
}

impl Default for AppSettings {
    fn default() -> Self {
        Self {
            abci: None,
            grpc_address: DEFAULT_GRPC.into(),
            keep_versions: poq_app::Options::default().keep_versions,
            evaluator_models: None,
            validator_public_key: None,
            metrics_address: None,
            comet: CometSettings::default(),
        }
    }
}

impl AppSettings {
    /// Where the files of the evaluator models are: as set, else in the home, else in the cache.
    pub fn evaluator_models_folder(&self, home: &Home) -> PathBuf {
        let in_home = home.evaluator_models();
        match &self.evaluator_models {
            Some(folder) => folder.clone(),
            None if in_home.is_dir() => in_home,
            None => cache().join("models"),
        }
    }

    /// Where a CometBFT that `start` does not run finds the application.
    pub fn abci_for_others(&self) -> Address {
        let default = || Address::Tcp(DEFAULT_ABCI.into());
        self.abci.clone().unwrap_or_else(default)
    }

    /// Reads `app.toml`.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn load(home: &Home) -> Result<Self, Error> {
        load(&home.app_toml())
    }

    /// The file's text, with every option explained.
    pub fn to_toml(&self) -> String {
        let optional = |name: &str, value: Option<String>| match value {
            Some(value) => format!("{name} = {}", quoted(value)),
            None => format!("# {name} = \"\""),
        };
        let path = |name: &str, path: &Option<PathBuf>| {
            optional(name, path.as_ref().map(|path| path.display().to_string()))
        };
        format!(
            r#"# Settings of `poqd start`. Flags of the command line go first. Relative paths are relative to
# the working directory.

# Where ABCI is served: "unix:///PATH", of at most 107 bytes and for this user alone, or
# "tcp://HOST:PORT". ABCI has no authentication, so that every user of this machine can use a TCP
# port; one that others could reach needs the flag --allow-remote-abci. Default: the socket abci.sock
# in the home where CometBFT is run too (see `supervise` below), else "tcp://{DEFAULT_ABCI}".
{abci}

# Where gRPC is served for clients, HOST:PORT; "" for nowhere. All can be asked there that a query
# through CometBFT's RPC can, and transactions be sent and found.
grpc-address = {grpc_address}

# Versions of the state, one per block, that queries with --height, proofs and
# `query poq draw --verify` can reach back to. Older ones are pruned for good: raising the number
# does not bring them back. 0 keeps all: a finished task then leaves about 80 kB instead of 1.
keep-versions = {keep_versions}

# Folder with the files of the chain's evaluator models, with which a node recomputes the scores
# of audited tasks: weights (*.onnx) and tokenizers (*.json), found by their digests, whatever their
# names and folders. A node does not start without them. Default: `evaluator-models` in the home if
# it exists, else `models` of the cache (see `binary` below).
{evaluator_models}

# The validator that CometBFT signs for, whose votes this node extends with outputs for the beacon: its
# Ed25519 public key, 32 bytes in base64. To be set where a remote signer has the key
# (`priv_validator_laddr` in config.toml). Default: that of the key file of config.toml.
{validator_public_key}

# Where Prometheus metrics are served, at /metrics, for example "127.0.0.1:26660". Default: nowhere.
{metrics_address}

[comet]
# Whether `poqd start` runs and supervises CometBFT too, as with --with-comet.
supervise = {supervise}

# The program `cometbft`, version 0.38. Default: the one in $PATH, else the one in the folder
# `bin` of the cache ($POQ_CACHE, else $XDG_CACHE_HOME/poq, else ~/.cache/poq).
{binary}

# File to which CometBFT's log is appended. Default: the standard error output.
{log}
"#,
            abci = optional("abci", self.abci.as_ref().map(ToString::to_string)),
            grpc_address = quoted(&self.grpc_address),
            keep_versions = self.keep_versions,
            evaluator_models = path("evaluator-models", &self.evaluator_models),
            validator_public_key = optional(
                "validator-public-key",
                self.validator_public_key.as_ref().map(ToString::to_string)
            ),
            metrics_address = optional(
                "metrics-address",
                self.metrics_address.map(|address| address.to_string())
            ),
            supervise = self.comet.supervise,
            binary = path("binary", &self.comet.binary),
            log = path("log", &self.comet.log),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_has_every_setting() {
        let settings = AppSettings {
            abci: Some("unix:///tmp/a \"b\".sock".parse().unwrap()),
            grpc_address: String::new(),
            keep_versions: 7,
            evaluator_models: Some("models".into()),
            validator_public_key: Some(PublicKey(vec![7; 32])),
            metrics_address: Some(([127, 0, 0, 1], 26660).into()),
            comet: CometSettings {
                supervise: true,
                binary: Some("bin/cometbft".into()),
                log: Some("comet.log".into()),
            },
        };
        assert_eq!(
            toml::from_str::<AppSettings>(&settings.to_toml()).unwrap(),
            settings
        );
        let default = AppSettings::default();
        assert_eq!(
            toml::from_str::<AppSettings>(&default.to_toml()).unwrap(),
            default
        );
    }

    #[test]
    fn a_missing_file_has_defaults_and_a_wrong_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let home = Home::new(folder.path());
        assert_eq!(AppSettings::load(&home).unwrap(), AppSettings::default());
        std::fs::create_dir(home.config()).unwrap();
        for wrong in ["abci = \"127.0.0.1:1\"", "[comet]\nsupervised = true"] {
            std::fs::write(home.app_toml(), wrong).unwrap();
            let error = AppSettings::load(&home).unwrap_err().to_string();
            assert!(
                error.contains("app.toml") && error.contains("line"),
                "{error}"
            );
        }
    }
}
