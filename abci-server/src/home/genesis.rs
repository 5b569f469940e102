//! `genesis.json`: CometBFT's document, which contains the application's state.

use std::fs::Permissions;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use poq_app::abci::APP_VERSION;
use poq_app::modules::validators::ValidatorPower;
use poq_proto::v1::GenesisState;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tendermint_proto::v0_38::crypto::public_key;

/// CometBFT's largest block, bytes. The application itself bounds blocks (`max_block_bytes`), so that
/// CometBFT offers it the whole mempool and it can reserve room for duties (ADR 37).
const COMETBFT_MAX_BLOCK_BYTES: u64 = 100 << 20;
/// Short, so that only the limit in blocks decides the age of evidence.
const EVIDENCE_DURATION_NANOSECONDS: u64 = 1_000_000_000;
/// Length of a consensus address, the start of the key's hash, bytes.
const ADDRESS_BYTES: usize = 20;

/// CometBFT's genesis document. Fields that this program does not use stay as CometBFT wrote them.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Genesis {
    genesis_time: String,
    /// Id of the chain, 1..=50 bytes.
    pub chain_id: String,
    initial_height: String,
    consensus_params: Value,
    /// The first validators.
    pub validators: Vec<Validator>,
    app_hash: String,
    /// The application's state.
    #[serde(default)]
    pub app_state: Option<GenesisState>,
}

/// A validator of the genesis document.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Validator {
    /// Consensus address, 40 hex digits.
    pub address: String,
    pub_key: Value,
    /// Voting power, decimal.
    pub power: String,
    /// Name for display.
    pub name: String,
}

/// The reason why a genesis cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// It cannot be read or written.
    #[error("cannot {action} {path}: {source}", path = path.display())]
    File {
        /// "read" or "write".
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Its cause.
        source: std::io::Error,
    },
    /// It is malformed.
    #[error("{path} is not valid: {reason}", path = path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The position and the cause.
        reason: String,
    },
    /// A validator's key or power cannot be used.
    #[error("validator `{name}` of genesis.json has no Ed25519 key with a power above 0")]
    Validator {
        /// Name of the validator.
        name: String,
    },
    /// The application refuses it.
    #[error("the application refuses the genesis: {0}")]
    Refused(#[from] poq_app::Error),
    /// Its height of the first vote extensions is malformed.
    #[error(
        "`{0}` in consensus_params.abci.vote_extensions_enable_height of genesis.json is not a height in quotes"
    )]
    Extensions(String),
    /// Its initial height is not 1, the first height of the store.
    #[error("initial_height of genesis.json is {0}; chains of this application begin at height 1")]
    InitialHeight(String),
    /// The chain's id cannot be used.
    #[error("`{0}` is not a chain id; expected 1 to 50 letters, digits, '-', '_' and '.'")]
    ChainId(String),
    /// The temporary folder for its check cannot be used.
    #[error("cannot check the genesis in a temporary folder: {0}")]
    Check(std::io::Error),
}

impl Genesis {
    /// Reads the document at `path`.
    ///
    /// # Errors
    /// [`Error::File`], [`Error::Invalid`].
    pub(crate) fn read(path: &Path) -> Result<Self, Error> {
        read_json(path)
    }

    /// Turns a new document from CometBFT into the genesis of a chain.
    pub(crate) fn found(
        &mut self,
        chain_id: &str,
        validators: Vec<Validator>,
        app_state: GenesisState,
    ) {
        self.chain_id = chain_id.to_owned();
        self.initial_height = "1".into();
        self.consensus_params["block"]["max_bytes"] = json!(COMETBFT_MAX_BLOCK_BYTES.to_string());
        // Must equal the application's answer to Info: state sync and rollback compare them.
        self.consensus_params["version"]["app"] = json!(APP_VERSION.to_string());
        self.set_vote_extensions_height(1);
        // Evidence counts while a validator's stake can be slashed. It expires only after both limits,
        // so the short duration leaves the decision to the number of blocks.
        if let Some(params) = &app_state.params {
            let evidence = &mut self.consensus_params["evidence"];
            evidence["max_age_num_blocks"] = json!(params.unbonding_window.to_string());
            evidence["max_age_duration"] = json!(EVIDENCE_DURATION_NANOSECONDS.to_string());
        }
        self.validators = validators;
        self.app_state = Some(app_state);
    }

    /// First height whose votes carry VRF outputs; 0 if it is not set.
    ///
    /// # Errors
    /// [`Error::Extensions`].
    pub(crate) fn vote_extensions_height(&self) -> Result<u64, Error> {
        let height = &self.consensus_params["abci"]["vote_extensions_enable_height"];
        match height {
            Value::Null => Ok(0),
            // CometBFT writes 64-bit integers as text.
            Value::String(text) => text.parse().map_err(|_| Error::Extensions(text.clone())),
            other => Err(Error::Extensions(other.to_string())),
        }
    }

    /// Sets the first height whose votes carry VRF outputs.
    pub(crate) fn set_vote_extensions_height(&mut self, height: u64) {
        let height = json!({ "vote_extensions_enable_height": height.to_string() });
        self.consensus_params["abci"] = height;
    }

    /// Lets the application check the whole document, as at the start of the chain.
    ///
    /// # Errors
    /// [`Error::Refused`] with the cause; [`Error::InitialHeight`], [`Error::Validator`],
    /// [`Error::Check`].
    pub(crate) fn check(&self) -> Result<(), Error> {
        if !["", "0", "1"].contains(&self.initial_height.as_str()) {
            return Err(Error::InitialHeight(self.initial_height.clone()));
        }
        let json =
            serde_json::to_vec(&self.app_state).map_err(|error| Error::Check(error.into()))?;
        let validators = self.validators.iter().map(Validator::voting_power);
        let validators = validators.collect::<Result<Vec<_>, _>>()?;
        let (_folder, app) = scratch()?;
        let extensions = self.vote_extensions_height()?;
        app.init_chain(&self.chain_id, &json, &validators, extensions)?;
        Ok(())
    }

    /// Replaces the document atomically.
    ///
    /// # Errors
    /// [`Error::File`].
    pub(crate) fn write(&self, path: &Path) -> Result<(), Error> {
        serde_json::to_vec_pretty(self)
            .map_err(std::io::Error::other)
            .and_then(|json| replace(path, &json))
            .map_err(|source| Error::File {
                action: "write",
                path: path.to_owned(),
                source,
            })
    }
}

impl Validator {
    /// Creates a validator with an Ed25519 key of 32 bytes.
    pub(crate) fn new(public_key: &[u8], power: u64, name: String) -> Self {
        let digest = Sha256::digest(public_key);
        Self {
            address: hex::encode_upper(&digest[..ADDRESS_BYTES]),
            pub_key: json!({
                "type": "tendermint/PubKeyEd25519",
                "value": BASE64.encode(public_key),
            }),
            power: power.to_string(),
            name,
        }
    }

    /// Whether it has this key.
    pub(crate) fn has_key(&self, public_key: &[u8]) -> bool {
        self.pub_key["value"] == BASE64.encode(public_key)
    }

    /// The Ed25519 key, 32 bytes.
    ///
    /// # Errors
    /// [`Error::Validator`].
    pub(crate) fn public_key(&self) -> Result<Vec<u8>, Error> {
        match serde_json::from_value(self.pub_key.clone()) {
            Ok(public_key::Sum::Ed25519(key)) => Ok(key),
            _ => Err(self.unusable()),
        }
    }

    fn voting_power(&self) -> Result<ValidatorPower, Error> {
        Ok(ValidatorPower {
            public_key: self.public_key()?,
            power: self.power.parse().map_err(|_| self.unusable())?,
        })
    }

    fn unusable(&self) -> Error {
        Error::Validator {
            name: self.name.clone(),
        }
    }
}

/// Replaces a file that every user may read.
fn replace(path: &Path, content: &[u8]) -> std::io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .permissions(Permissions::from_mode(0o644))
        .tempfile_in(folder)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path)?;
    Ok(())
}

/// Reads an `app_state` from a file: proto3 JSON with snake_case names.
///
/// # Errors
/// [`Error::File`], [`Error::Invalid`].
pub(crate) fn read_app_state(path: &Path) -> Result<GenesisState, Error> {
    read_json(path)
}

/// Reads the address prefix of the chain from the document at `path`; `None` if it has none.
///
/// # Errors
/// [`Error::File`], [`Error::Invalid`].
pub(crate) fn read_address_prefix(path: &Path) -> Result<Option<String>, Error> {
    /// The other fields of a large document are skipped.
    #[derive(Deserialize)]
    struct Document {
        app_state: Option<AppState>,
    }
    #[derive(Deserialize)]
    struct AppState {
        params: Option<Prefix>,
    }
    #[derive(Deserialize)]
    struct Prefix {
        bech32_prefix: String,
    }
    let document: Document = read_json(path)?;
    let params = document.app_state.and_then(|state| state.params);
    Ok(params.map(|params| params.bech32_prefix))
}

/// Lets the application check its state alone, without comparing its validators with the document's.
///
/// # Errors
/// [`Error::Refused`] with the cause; [`Error::Check`].
pub(crate) fn validate(chain_id: &str, app_state: &GenesisState) -> Result<(), Error> {
    let json = serde_json::to_vec(app_state).map_err(|error| Error::Check(error.into()))?;
    let (_folder, app) = scratch()?;
    Ok(app.check_genesis(chain_id, &json)?)
}

/// An application without a chain, in a temporary folder.
fn scratch() -> Result<(tempfile::TempDir, poq_app::App), Error> {
    let folder = tempfile::tempdir().map_err(Error::Check)?;
    let app = poq_app::App::open(
        folder.path(),
        poq_app::Options::default(),
        Arc::new(poq_app::NoReference),
    )?;
    Ok((folder, app))
}

/// Checks the form of a chain id; CometBFT's limit is 50 bytes.
///
/// # Errors
/// [`Error::ChainId`].
pub(crate) fn parse_chain_id(text: &str) -> Result<String, Error> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    if (1..=50).contains(&text.len()) && text.bytes().all(allowed) {
        Ok(text.to_owned())
    } else {
        Err(Error::ChainId(text.to_owned()))
    }
}

fn read_json<T: serde::de::DeserializeOwned>(path: &Path) -> Result<T, Error> {
    let text = std::fs::read(path).map_err(|source| Error::File {
        action: "read",
        path: path.to_owned(),
        source,
    })?;
    serde_json::from_slice(&text).map_err(|error| Error::Invalid {
        path: path.to_owned(),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn validators_are_known_by_their_keys() {
        let validator = Validator::new(&[7; 32], 10, "a".into());
        assert_eq!(validator.address.len(), 40);
        assert!(validator.has_key(&[7; 32]) && !validator.has_key(&[0; 32]));
    }

    #[test]
    fn chain_ids() {
        assert!(parse_chain_id("poq-local-1").is_ok());
        for bad in ["", "a b", "käse", &"x".repeat(51)] {
            assert!(parse_chain_id(bad).is_err(), "{bad}");
        }
    }
}
