//! `poqd genesis`: changes the home's genesis.json.

use std::path::PathBuf;

use anyhow::{Context, ensure};
use poq_proto::v1::{
    EvaluatorModel, GenesisAccount, GenesisCoin, GenesisNode, GenesisState, GenesisValidator,
    Model, Params, Role,
};
use serde::Serialize;

use super::flags::KeyringFlags;
use super::role::WorkerRole;
use super::tx::account::find;
use super::tx::authority::read_message;
use super::tx::poq::sorted;
use crate::cli::coin::{Coin, Coins};
use crate::cli::output::count;
use crate::home::Home;
use crate::home::genesis::{self, Validator};
use crate::home::settings::ClientSettings;
use crate::home::settings::Format;
use crate::home::validator_keys::{
    PublicKey, VrfPublicKey, public_key, validator_keys, vrf_public_key,
};

/// Commands of `genesis`.
#[derive(Debug, clap::Args)]
pub(super) struct Genesis {
    #[command(flatten)]
    keyring: KeyringFlags,
    /// Format of the result; default: as in client.toml.
    #[arg(long, short = 'o', global = true, value_enum)]
    pub output: Option<Format>,
    #[command(subcommand)]
    command: GenesisCommand,
}

#[derive(Debug, clap::Subcommand)]
enum GenesisCommand {
    /// Add an account with coins.
    AddAccount {
        /// Address, or name of a key of this home.
        account: String,
        /// Coins, separated by commas, for example 1000upoq.
        coins: Coins,
    },
    /// Add a language model.
    AddModel {
        /// File with the model as proto3 JSON; - is standard input.
        file: PathBuf,
    },
    /// Add an evaluator model. It must come before the language models that name it.
    AddEvaluatorModel {
        /// File with the model as proto3 JSON; - is standard input.
        file: PathBuf,
    },
    /// Add an inference node or an evaluator. It must come after its models.
    AddNode {
        /// Role of the node.
        role: WorkerRole,
        /// Address of its operator, or the name of a key of this home.
        operator: String,
        /// Ids of its models or evaluator models, separated by commas.
        #[arg(long, value_delimiter = ',', required = true)]
        models: Vec<String>,
        /// Stake in addition to the operator's balance, for example 1000000upoq.
        #[arg(long)]
        stake: Coin,
        /// URL at which users may reach an inference node directly.
        #[arg(long, default_value = "")]
        endpoint: String,
        /// Payout address; default: the operator's.
        #[arg(long, default_value = "")]
        payout: String,
        /// Duties that the node takes at once and can do in time; 0 means 64.
        #[arg(long, default_value_t = 0, hide_default_value = true)]
        capacity: u32,
    },
    /// Add a validator, or set the owner of an existing one.
    AddValidator {
        /// Address of its operator, or the name of a key of this home.
        operator: String,
        /// Stake in addition to the operator's balance, for example 1000000upoq.
        #[arg(long)]
        stake: Coin,
        /// Ed25519 consensus key, base64; default: that of this home's node.
        #[arg(long, value_name = "BASE64", value_parser = public_key)]
        public_key: Option<PublicKey>,
        /// VRF key, base64; default: the newest of this home's node, unless --public-key is given.
        #[arg(long, value_name = "BASE64", value_parser = vrf_public_key)]
        vrf_key: Option<VrfPublicKey>,
        /// Voting power of a new validator.
        #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
        power: u64,
        /// Display name of a new validator.
        #[arg(long, default_value = "")]
        name: String,
        /// Payout address; default: the operator's.
        #[arg(long, default_value = "")]
        payout: String,
    },
    /// Let the application check the genesis, as at the start of the chain.
    Validate,
}

/// Summary of the changed genesis.
#[derive(Serialize)]
struct Summary {
    genesis: PathBuf,
    chain_id: String,
    accounts: u32,
    evaluator_models: u32,
    models: u32,
    nodes: u32,
    validators: u32,
}

impl Genesis {
    /// Changes the document, or leaves it unchanged on an error.
    ///
    /// # Errors
    /// If the application would refuse the genesis.
    pub(super) fn run(self, home: &Home) -> anyhow::Result<()> {
        let settings = ClientSettings::load(home)?;
        let path = home.genesis();
        let mut genesis = genesis::Genesis::read(&path).with_context(
            || "the home has no genesis; create it with `poqd init`, or check --home",
        )?;
        let mut state = genesis.app_state.take().with_context(|| {
            format!(
                "{} has no app_state; create it with `poqd init`",
                path.display()
            )
        })?;
        let editor = Editor {
            home,
            keyring: &self.keyring,
            settings: &settings,
        };
        let is_check = matches!(self.command, GenesisCommand::Validate);
        editor.edit(self.command, &mut state, &mut genesis.validators)?;
        let summary = Summary {
            genesis: path.clone(),
            chain_id: genesis.chain_id.clone(),
            accounts: count(state.accounts.len()),
            evaluator_models: count(state.evaluator_models.len()),
            models: count(state.models.len()),
            nodes: count(state.nodes.len()),
            validators: count(genesis.validators.len()),
        };
        if !is_check {
            genesis::validate(&genesis.chain_id, &state)?;
        }
        genesis.app_state = Some(state);
        match is_check {
            true => genesis.check()?,
            false => genesis.write(&path)?,
        }
        Ok(self.output.unwrap_or(settings.output).print(&summary)?)
    }
}

/// Executes a command on a genesis in memory.
struct Editor<'a> {
    home: &'a Home,
    keyring: &'a KeyringFlags,
    settings: &'a ClientSettings,
}

impl Editor<'_> {
    fn edit(
        &self,
        command: GenesisCommand,
        state: &mut GenesisState,
        validators: &mut Vec<Validator>,
    ) -> anyhow::Result<()> {
        let params = state
            .params
            .clone()
            .context("the app_state has no params")?;
        match command {
            GenesisCommand::Validate => {}
            GenesisCommand::AddAccount { account, coins } => state.accounts.push(GenesisAccount {
                address: self.address(&account, &params)?,
                coins: coins.0.into_iter().map(genesis_coin).collect(),
            }),
            GenesisCommand::AddModel { file } => {
                let model: Model = read_message(&file, Some("model"))?;
                let known = state.models.iter().any(|other| other.id == model.id);
                ensure!(!known, "the genesis has a model `{}` already", model.id);
                state.models.push(model);
            }
            GenesisCommand::AddEvaluatorModel { file } => {
                let model: EvaluatorModel = read_message(&file, Some("evaluator_model"))?;
                let mut models = state.evaluator_models.iter();
                let known = models.any(|other| other.id == model.id);
                ensure!(!known, "the genesis has a model `{}` already", model.id);
                state.evaluator_models.push(model);
            }
            GenesisCommand::AddNode {
                role,
                operator,
                models,
                stake,
                endpoint,
                payout,
                capacity,
            } => state.nodes.push(GenesisNode {
                role: Role::from(role).into(),
                operator: self.address(&operator, &params)?,
                payout,
                endpoint,
                models: sorted(models),
                stake: base_units(&stake, &params)?,
                capacity,
                stream: None,
            }),
            GenesisCommand::AddValidator {
                operator,
                stake,
                public_key,
                vrf_key,
                power,
                name,
                payout,
            } => {
                let (public_key, vrf_key) = validator_keys(public_key, vrf_key, self.home)?;
                if !validators.iter().any(|other| other.has_key(&public_key)) {
                    validators.push(Validator::new(&public_key, power, name));
                }
                state.validators.push(GenesisValidator {
                    operator: self.address(&operator, &params)?,
                    payout,
                    public_key,
                    stake: base_units(&stake, &params)?,
                    vrf_key,
                });
            }
        }
        Ok(())
    }

    /// Resolves the name of a key of this home to its address; an address stays unchanged.
    fn address(&self, account: &str, params: &Params) -> anyhow::Result<String> {
        let keyring = self.keyring.open(self.home, self.settings)?;
        match find(&keyring, account)? {
            Some(key) => Ok(poq_client::address_of(
                &key.public_key,
                &params.bech32_prefix,
            )?),
            None => {
                poq_client::parse_address(account, &params.bech32_prefix).with_context(|| {
                    format!("`{account}` is neither an address nor a key of this home")
                })?;
                Ok(account.to_owned())
            }
        }
    }
}

fn genesis_coin(coin: Coin) -> GenesisCoin {
    GenesisCoin {
        denom: coin.denom,
        amount: coin.amount.to_string(),
    }
}

fn base_units(coin: &Coin, params: &Params) -> anyhow::Result<u64> {
    ensure!(
        coin.denom == params.denom,
        "the chain takes stakes in {}, not in {}",
        params.denom,
        coin.denom
    );
    u64::try_from(coin.amount).with_context(|| format!("{} is too much", coin.amount))
}
