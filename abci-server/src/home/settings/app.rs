use std::net::SocketAddr;
use std::path::PathBuf;

use poq_client::cache;
use serde::{Deserialize, Serialize};

use super::{Error, load, quoted};
use crate::home::Home;
use crate::home::validator_keys::PublicKey;
use crate::transport::Address;

/// Default address of ABCI for an unsupervised CometBFT; CometBFT's default of `proxy_app`.
const DEFAULT_ABCI: &str = "127.0.0.1:26658";
/// Default address of gRPC; the Cosmos SDK's port.
const DEFAULT_GRPC: &str = "127.0.0.1:9090";

/// `app.toml`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct AppSettings {
    /// Address of ABCI; `None` means a socket in the home for a supervised CometBFT, else
    /// [`Self::abci_for_others`].
    pub abci: Option<Address>,
    /// Address of gRPC, `HOST:PORT`; empty turns gRPC off.
    pub grpc_address: String,
    /// Number of versions of the state kept for queries; 0 keeps all.
    pub keep_versions: u64,
    /// Folder of the evaluator models' files; `None` means the default.
    pub evaluator_models: Option<PathBuf>,
    /// The validator for which CometBFT signs; `None` means that of its key file.
    pub(crate) validator_public_key: Option<PublicKey>,
    /// Address of Prometheus metrics; `None` turns them off.
    pub metrics_address: Option<SocketAddr>,
    /// Settings of the supervised CometBFT.
    pub comet: CometSettings,
}

/// The table `[comet]` of `app.toml`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields, default)]
pub(crate) struct CometSettings {
    /// Whether `start` runs CometBFT as a child.
    pub supervise: bool,
    /// The program; `None` means the default.
    pub binary: Option<PathBuf>,
    /// File for its log; `None` means standard error.
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
    /// The folder of the evaluator models' files: as set, else in the home, else in the cache.
    pub(crate) fn evaluator_models_folder(&self, home: &Home) -> PathBuf {
        let in_home = home.evaluator_models();
        match &self.evaluator_models {
            Some(folder) => folder.clone(),
            None if in_home.is_dir() => in_home,
            None => cache().join("models"),
        }
    }

    /// The address of ABCI for an unsupervised CometBFT.
    pub(crate) fn abci_for_others(&self) -> Address {
        let default = || Address::Tcp(DEFAULT_ABCI.into());
        self.abci.clone().unwrap_or_else(default)
    }

    /// Reads `app.toml`.
    ///
    /// # Errors
    /// See [`Error`].
    pub(crate) fn load(home: &Home) -> Result<Self, Error> {
        load(&home.app_toml())
    }

    /// The file's text, with a comment for every option.
    pub(crate) fn to_toml(&self) -> String {
        let optional = |name: &str, value: Option<String>| match value {
            Some(value) => format!("{name} = {}", quoted(value)),
            None => format!("# {name} = \"\""),
        };
        let path = |name: &str, path: &Option<PathBuf>| {
            optional(name, path.as_ref().map(|path| path.display().to_string()))
        };
        format!(
            r#"# Settings of `poqd start`. Command-line flags override them. Relative paths are relative to
# the working directory.

# Address of ABCI: "unix:///PATH", at most 107 bytes, which only this user can reach, or
# "tcp://HOST:PORT". ABCI has no authentication: every user of this machine can use a TCP port. An
# address that other machines could reach needs the flag --allow-remote-abci. Default: the socket
# abci.sock in the home if CometBFT is supervised (see `supervise` below), else "tcp://{DEFAULT_ABCI}".
{abci}

# Address of gRPC for clients, HOST:PORT; "" turns it off. It answers the same queries as `abci_query`
# of CometBFT's RPC, and can send and find transactions.
grpc-address = {grpc_address}

# Number of versions of the state, one per block, that are kept for queries with --height, proofs and
# `query poq draw --verify`. Older ones are pruned; raising the number does not bring them back.
# 0 keeps all: a finished task then leaves about 80 kB instead of 1.
keep-versions = {keep_versions}

# Folder with the files of the chain's evaluator models, with which a node recomputes the scores
# of audited tasks: weights (*.onnx) and tokenizers (*.json). They are found by their digests, with any
# name and in any subfolder. A node does not start without them. Default: `evaluator-models` in the home
# if it exists, else `models` of the cache (see `binary` below).
{evaluator_models}

# Ed25519 public key, 32 bytes in base64, of the validator for which CometBFT signs. This node extends
# its votes with VRF outputs. Needed if a remote signer has the key (`priv_validator_laddr` in
# config.toml). Default: the key of the key file in config.toml.
{validator_public_key}

# Address of Prometheus metrics, at /metrics, for example "127.0.0.1:26660". Default: off.
{metrics_address}

[comet]
# Whether `poqd start` also runs and supervises CometBFT, as with --with-comet.
supervise = {supervise}

# The program `cometbft`, version 0.38. Default: the one in $PATH, else the one in the folder
# `bin` of the cache ($POQ_CACHE, else $XDG_CACHE_HOME/poq, else ~/.cache/poq).
{binary}

# File to which CometBFT's log is appended. Default: standard error.
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
