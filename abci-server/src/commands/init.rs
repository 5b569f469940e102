//! `poqd init`, and what every new node's home gets.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use serde::Serialize;

use crate::comet::{Binary, CometConfig};
use crate::genesis::{self, Genesis};
use crate::home::Home;
use crate::output::Format;
use crate::settings::{AppSettings, ClientSettings};

/// Longest body of an RPC request, bytes: the longest transaction in base64 and its envelope.
const MAX_RPC_BODY_BYTES: i64 = 2 << 20;

/// Flags of `init`.
#[derive(Debug, clap::Args)]
pub struct Init {
    /// The node's name, for people.
    moniker: String,
    /// Id of the chain.
    #[arg(long, value_parser = genesis::parse_chain_id)]
    chain_id: String,
    /// JSON file with the application's genesis; default: default parameters and nothing else.
    #[arg(long, value_name = "FILE")]
    genesis_template: Option<PathBuf>,
    /// Write settings and genesis again where they exist; keys and data stay.
    #[arg(long, short = 'o')]
    overwrite: bool,
    /// The program `cometbft` 0.38; default: in $PATH, else in the cache.
    #[arg(long, value_name = "PATH", alias = "comet-binary")]
    cometbft: Option<PathBuf>,
    /// How the result is printed.
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
}

impl Init {
    /// Creates the home.
    ///
    /// # Errors
    /// What is in the way.
    pub fn run(self, home: &Home) -> anyhow::Result<()> {
        let genesis_path = home.genesis();
        if genesis_path.exists() && !self.overwrite {
            bail!(
                "{} exists; write it again with --overwrite, or choose another --home",
                genesis_path.display()
            );
        }
        let binary = Binary::find(self.cometbft.as_deref())?;
        let app_state = match &self.genesis_template {
            Some(path) => genesis::read_app_state(path)?,
            None => poq_app::genesis::default_genesis(),
        };
        genesis::validate(&self.chain_id, &app_state)?;
        let settings = NodeSettings {
            moniker: &self.moniker,
            app: AppSettings::default(),
            client: ClientSettings {
                chain_id: self.chain_id.clone(),
                ..ClientSettings::default()
            },
        };
        let (config, mut genesis) = create(&binary, home, &settings)?;
        config.save()?;
        let mut validators = std::mem::take(&mut genesis.validators);
        for validator in &mut validators {
            validator.name.clone_from(&self.moniker);
        }
        genesis.found(&self.chain_id, validators, app_state);
        genesis.write(&genesis_path)?;
        self.output.unwrap_or_default().print(&Created {
            moniker: &self.moniker,
            chain_id: &self.chain_id,
            node_id: binary.node_id(home)?,
            home: home.path(),
            genesis: genesis_path,
        })?;
        Ok(())
    }
}

/// What one new node differs in.
pub(super) struct NodeSettings<'a> {
    pub(super) moniker: &'a str,
    pub(super) app: AppSettings,
    pub(super) client: ClientSettings,
}

/// Makes a node's home: keys that do not exist yet, and new settings. Returns CometBFT's
/// settings, not saved yet, and a genesis document with this node as the only validator.
pub(super) fn create(
    binary: &Binary,
    home: &Home,
    settings: &NodeSettings<'_>,
) -> anyhow::Result<(CometConfig, Genesis)> {
    // CometBFT makes only what does not exist.
    for path in [home.genesis(), home.comet_toml()] {
        if path.exists() {
            fs::remove_file(&path).with_context(|| format!("cannot replace {}", path.display()))?;
        }
    }
    fs::create_dir_all(home.path())
        .with_context(|| format!("cannot create {}", home.path().display()))?;
    binary.init(home)?;
    let mut config = CometConfig::open(home.comet_toml())?;
    config.set("moniker", settings.moniker)?;
    config.set("proxy_app", settings.app.abci.to_string())?;
    config.set("rpc.max_body_bytes", MAX_RPC_BODY_BYTES)?;
    write(&home.app_toml(), &settings.app.to_toml())?;
    write(&home.client_toml(), &settings.client.to_toml())?;
    Ok((config, Genesis::read(&home.genesis())?))
}

pub(super) fn write(path: &Path, text: &str) -> anyhow::Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
