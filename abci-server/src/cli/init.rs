//! `poqd init`, and the creation of a node's home.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use poq_app::modules::bank::default_metadata;
use poq_proto::v1::{GenesisState, GenesisValidator, Params};
use serde::Serialize;

use crate::cli::coin::GasPrice;
use crate::home::Home;
use crate::home::comet_config::CometConfig;
use crate::home::genesis::{self, Genesis};
use crate::home::settings::Format;
use crate::home::settings::{AppSettings, ClientSettings};
use crate::home::validator_keys::chosen_key;
use crate::home::vrf_keys::VrfKeys;
use crate::node::comet::Binary;

/// Longest body of an RPC request, bytes: the largest transaction in base64 and its envelope.
const MAX_RPC_BODY_BYTES: i64 = 2 << 20;
/// Largest size of the mempool, bytes. CometBFT offers all of it to the application for a block.
const MEMPOOL_BYTES: i64 = 64 << 20;

/// Flags of `init`.
#[derive(Debug, clap::Args)]
pub(super) struct Init {
    /// Display name of the node.
    moniker: String,
    /// Id of the chain.
    #[arg(long, value_parser = genesis::parse_chain_id)]
    chain_id: String,
    /// JSON file with the application's genesis; default: only default parameters.
    #[arg(long, value_name = "FILE")]
    genesis_template: Option<PathBuf>,
    /// Denom of fees and stakes, the smallest unit; default: as in the template, else upoq.
    #[arg(long)]
    denom: Option<String>,
    /// Address prefix; default: as in the template, else poq.
    #[arg(long, value_name = "PREFIX")]
    bech32_prefix: Option<String>,
    /// Gas price of the chain, with at most six decimals, for example 0.025upoq; default: as in the
    /// template, else 0.01.
    #[arg(long, value_name = "PRICE")]
    minimum_gas_price: Option<GasPrice>,
    /// Account that owns this node's validator in the genesis. Without it, a chain cannot start until
    /// app_state.validators names an owner.
    #[arg(long, value_name = "ADDRESS")]
    operator: Option<String>,
    /// Stake of the validator in addition to the operator's balance, base units; default: twice the
    /// minimum.
    #[arg(long, requires = "operator")]
    stake: Option<u64>,
    /// Overwrite existing settings and genesis; keys and data stay.
    #[arg(long, short = 'o')]
    overwrite: bool,
    /// The program `cometbft` 0.38; default: in $PATH, else in the cache.
    #[arg(long, value_name = "PATH", alias = "comet-binary")]
    cometbft: Option<PathBuf>,
    /// Format of the result.
    #[arg(long, value_enum)]
    pub output: Option<Format>,
}

#[derive(Debug, Serialize)]
struct Created<'a> {
    moniker: &'a str,
    chain_id: &'a str,
    node_id: String,
    home: &'a Path,
    genesis: PathBuf,
    operator: Option<&'a str>,
}

impl Init {
    /// Creates the home.
    ///
    /// # Errors
    /// If the home cannot be created.
    pub(super) fn run(self, home: &Home) -> anyhow::Result<()> {
        let genesis_path = home.genesis();
        if genesis_path.exists() && !self.overwrite {
            bail!(
                "{} exists; replace it with --overwrite, or choose another --home",
                genesis_path.display()
            );
        }
        let binary = Binary::find(self.cometbft.as_deref())?;
        let mut app_state = match &self.genesis_template {
            Some(path) => genesis::read_app_state(path)?,
            None => poq_app::genesis::default_genesis(),
        };
        if let Some(params) = &mut app_state.params {
            let before = params.denom.clone();
            self.set(params)?;
            let all = &mut app_state.denom_metadata;
            if params.denom != before {
                all.retain(|metadata| metadata.base != before);
            }
            if all.iter().all(|metadata| metadata.base != params.denom) {
                all.push(default_metadata(&params.denom));
            }
        }
        let owner = self.owner(&app_state);
        let mut complete = app_state.clone();
        // The node has no key yet; any key can test the other values.
        let any_key = vec![0; 32];
        complete.validators.extend(
            owner
                .iter()
                .map(|owner| owner.own(any_key.clone(), Vec::new())),
        );
        genesis::validate(&self.chain_id, &complete)?;
        let settings = NodeSettings {
            moniker: &self.moniker,
            app: AppSettings::default(),
            client: ClientSettings {
                chain_id: self.chain_id.clone(),
                ..ClientSettings::default()
            },
        };
        let (config, mut genesis, vrf_key) = create(&binary, home, &settings)?;
        config.save()?;
        let mut validators = std::mem::take(&mut genesis.validators);
        for validator in &mut validators {
            validator.name.clone_from(&self.moniker);
        }
        if let Some(owner) = &owner {
            for validator in &validators {
                app_state
                    .validators
                    .push(owner.own(validator.public_key()?, vrf_key.to_vec()));
            }
        }
        genesis.found(&self.chain_id, validators, app_state);
        if owner.is_some() {
            genesis.check()?;
        }
        genesis.write(&genesis_path)?;
        self.output.unwrap_or_default().print(&Created {
            moniker: &self.moniker,
            chain_id: &self.chain_id,
            node_id: binary.node_id(home)?,
            home: home.path(),
            genesis: genesis_path,
            operator: self.operator.as_deref(),
        })?;
        Ok(())
    }

    /// Applies the flags of denom, prefix and gas price to the chain's parameters.
    fn set(&self, params: &mut Params) -> anyhow::Result<()> {
        if let Some(denom) = &self.denom {
            params.denom.clone_from(denom);
        }
        if let Some(prefix) = &self.bech32_prefix {
            params.bech32_prefix.clone_from(prefix);
        }
        let Some(price) = &self.minimum_gas_price else {
            return Ok(());
        };
        ensure!(
            price.denom == params.denom,
            "the chain's denom is {}, not {}: use it in --minimum-gas-price, or give --denom {}",
            params.denom,
            price.denom,
            price.denom
        );
        params.gas_price = price.of_million().with_context(|| {
            format!(
                "the gas price must be a multiple of a millionth of a {}; round --minimum-gas-price",
                params.denom
            )
        })?;
        Ok(())
    }

    fn owner(&self, app_state: &GenesisState) -> Option<Owner> {
        let least = app_state
            .params
            .as_ref()
            .map_or(0, |params| params.min_validator_stake);
        self.operator.as_ref().map(|operator| Owner {
            operator: operator.clone(),
            stake: self.stake.unwrap_or(least.saturating_mul(2)),
        })
    }
}

/// The owner of the node's validator in the genesis.
struct Owner {
    operator: String,
    stake: u64,
}

impl Owner {
    fn own(&self, public_key: Vec<u8>, vrf_key: Vec<u8>) -> GenesisValidator {
        GenesisValidator {
            operator: self.operator.clone(),
            payout: String::new(),
            public_key,
            stake: self.stake,
            vrf_key,
        }
    }
}

/// Settings that differ between new nodes.
pub(super) struct NodeSettings<'a> {
    pub(super) moniker: &'a str,
    pub(super) app: AppSettings,
    pub(super) client: ClientSettings,
}

/// Creates a node's home: missing keys and new settings. Returns CometBFT's unsaved settings, a genesis
/// document with this node as the only validator, and the validator's VRF key.
pub(super) fn create(
    binary: &Binary,
    home: &Home,
    settings: &NodeSettings<'_>,
) -> anyhow::Result<(CometConfig, Genesis, Vec<u8>)> {
    // CometBFT creates only missing files.
    for path in [home.genesis(), home.comet_toml()] {
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("cannot replace {}", path.display()))?;
        }
    }
    fs::create_dir_all(home.path())
        .with_context(|| format!("cannot create {}", home.path().display()))?;
    binary.init(home)?;
    VrfKeys::read_or_create(home.vrf_key())?;
    let mut config = CometConfig::open(home.comet_toml())?;
    config.set("moniker", settings.moniker)?;
    config.set("proxy_app", settings.app.abci_for_others().to_string())?;
    config.set("rpc.max_body_bytes", MAX_RPC_BODY_BYTES)?;
    config.set("mempool.max_txs_bytes", MEMPOOL_BYTES)?;
    write(&home.app_toml(), &settings.app.to_toml())?;
    write(&home.client_toml(), &settings.client.to_toml())?;
    let vrf_key = chosen_key(None, home)?;
    Ok((config, Genesis::read(&home.genesis())?, vrf_key))
}

pub(super) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
