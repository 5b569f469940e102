//! Creates the files of a network.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use poq_client::keyring::{Keyring, ask};
use poq_client::network::{Account, Description, Validator, Worker};
use poq_proto::v1::{
    GenesisAccount, GenesisCoin, GenesisNode, GenesisState, GenesisValidator, Params, Role,
};

use super::InitFiles;
use super::folder::Draft;
use crate::cli::init::{self, NodeSettings};
use crate::home::Home;
use crate::home::comet_config::CometConfig;
use crate::home::genesis::{self, Genesis};
use crate::home::settings::{AppSettings, ClientSettings};
use crate::node::comet::Binary;

const HOST: &str = "127.0.0.1";
/// Ports reserved for each node, of which three are used.
const PORTS_PER_NODE: u16 = 10;

/// Creates the network's files, all or none.
pub(super) fn create(flags: &InitFiles) -> anyhow::Result<Description> {
    let ports = Ports::new(flags)?;
    let binary = Binary::find(flags.cometbft.as_deref())?;
    let mut app_state = genesis::read_app_state(&flags.genesis_template)?;
    let mut params = app_state
        .params
        .take()
        .with_context(|| format!("{} has no `params`", flags.genesis_template.display()))?;

    let draft = Draft::new(&flags.output_dir, flags.overwrite)?;
    let accounts = Accounts::create(draft.path(), flags, &params)?;
    if params.authority.is_empty() {
        params.authority.clone_from(&accounts.authority.address);
    }
    let network = describe(flags, &ports, accounts, &params, &app_state);
    complete(&mut app_state, flags, &network, params);
    genesis::validate(&flags.chain_id, &app_state)?;
    let network = write_nodes(draft.path(), flags, &binary, network, &ports, app_state)?;
    network.write(draft.path())?;
    draft.publish(&network)?;
    Ok(network)
}

/// Port numbers of the network.
struct Ports {
    nodes: Vec<u16>,
    inference_nodes: Vec<u16>,
    evaluators: Vec<u16>,
}

impl Ports {
    fn new(flags: &InitFiles) -> anyhow::Result<Self> {
        let workers = flags
            .base_port
            .checked_add(PORTS_PER_NODE * flags.validators);
        let evaluators = workers.and_then(|first| first.checked_add(flags.inference_nodes));
        let end = evaluators.and_then(|first| first.checked_add(flags.evaluators));
        let (Some(workers), Some(evaluators), Some(end)) = (workers, evaluators, end) else {
            bail!(
                "the ports of the network would go beyond 65535; choose a --base-port below {}",
                flags.base_port
            );
        };
        Ok(Self {
            nodes: (0..flags.validators)
                .map(|index| flags.base_port + PORTS_PER_NODE * index)
                .collect(),
            inference_nodes: (workers..evaluators).collect(),
            evaluators: (evaluators..end).collect(),
        })
    }
}

/// All accounts of the network.
struct Accounts {
    validators: Vec<Account>,
    inference_nodes: Vec<Account>,
    evaluators: Vec<Account>,
    user: Account,
    authority: Account,
}

impl Accounts {
    fn create(root: &Path, flags: &InitFiles, params: &Params) -> anyhow::Result<Self> {
        let account = |home: String, key: String| -> anyhow::Result<Account> {
            let keyring = Keyring::open(&root.join(&home), flags.keyring_backend, ask)?;
            let keyring = keyring.with_prefix(&params.bech32_prefix);
            let address = keyring.add(&key)?.0.address;
            Ok(Account { home, key, address })
        };
        let several = |count: u16, home: &str, key: &str| -> anyhow::Result<Vec<Account>> {
            (1..=count)
                .map(|index| account(format!("{home}{index}"), format!("{key}-{index}")))
                .collect()
        };
        Ok(Self {
            validators: several(flags.validators, "node", "validator")?,
            inference_nodes: several(flags.inference_nodes, "inference-", "inference")?,
            evaluators: several(flags.evaluators, "evaluator-", "evaluator")?,
            user: account("user".into(), "user".into())?,
            authority: account("user".into(), "authority".into())?,
        })
    }
}

/// Describes the network, without the ids of CometBFT's keys.
fn describe(
    flags: &InitFiles,
    ports: &Ports,
    accounts: Accounts,
    params: &Params,
    app_state: &GenesisState,
) -> Description {
    let rpc = |port: u16| format!("http://{HOST}:{}", port + 1);
    let validators: Vec<_> = accounts
        .validators
        .into_iter()
        .zip(&ports.nodes)
        .map(|(account, port)| Validator {
            name: account.home.clone(),
            account,
            rpc: rpc(*port),
            p2p: format!("{HOST}:{port}"),
            grpc: format!("{HOST}:{}", port + 3),
            node_id: String::new(),
            consensus_address: String::new(),
        })
        .collect();
    // Workers are spread over the nodes.
    let mut nodes = ports.nodes.iter().cycle();
    let mut workers = |accounts: Vec<Account>, http: &[u16], models: Vec<String>, least: u64| {
        let workers = accounts.into_iter().zip(http).zip(&mut nodes);
        Vec::from_iter(workers.map(|((account, http), node)| Worker {
            name: account.home.clone(),
            account,
            rpc: rpc(*node),
            http: format!("{HOST}:{http}"),
            models: models.clone(),
            stake: flags.stake.unwrap_or(least.saturating_mul(2)),
        }))
    };
    let models = app_state.models.iter().map(|model| &model.id);
    let evaluator_models = app_state.evaluator_models.iter().map(|model| &model.id);
    Description {
        chain_id: flags.chain_id.clone(),
        denom: params.denom.clone(),
        keyring_backend: flags.keyring_backend,
        validators,
        inference_nodes: workers(
            accounts.inference_nodes,
            &ports.inference_nodes,
            sorted(models),
            params.min_inference_stake,
        ),
        evaluators: workers(
            accounts.evaluators,
            &ports.evaluators,
            sorted(evaluator_models),
            params.min_evaluator_stake,
        ),
        user: accounts.user,
        authority: accounts.authority,
    }
}

/// Sorted ids without duplicates, as the chain requires them.
fn sorted<'a>(ids: impl Iterator<Item = &'a String>) -> Vec<String> {
    let mut ids: Vec<_> = ids.cloned().collect();
    ids.sort_unstable();
    ids
}

/// Adds the network's accounts and operators to the template.
fn complete(
    app_state: &mut GenesisState,
    flags: &InitFiles,
    network: &Description,
    params: Params,
) {
    let validators = network.validators.iter().map(|node| &node.account);
    let workers = network.inference_nodes.iter().chain(&network.evaluators);
    let accounts = [&network.user, &network.authority]
        .into_iter()
        .chain(validators)
        .chain(workers.map(|worker| &worker.account));
    app_state
        .accounts
        .extend(accounts.map(|account| GenesisAccount {
            address: account.address.clone(),
            coins: vec![GenesisCoin {
                denom: params.denom.clone(),
                amount: flags.balance.to_string(),
            }],
        }));
    let node = |role: Role, worker: &Worker, endpoint: String| GenesisNode {
        role: role.into(),
        operator: worker.account.address.clone(),
        endpoint,
        models: worker.models.clone(),
        stake: worker.stake,
        capacity: flags.capacity,
        ..GenesisNode::default()
    };
    let inference_nodes = network.inference_nodes.iter();
    let inference_nodes = inference_nodes
        .map(|worker| node(Role::Inference, worker, format!("http://{}", worker.http)));
    let evaluators = network.evaluators.iter();
    let evaluators = evaluators.map(|worker| node(Role::Evaluator, worker, String::new()));
    app_state.nodes.extend(inference_nodes.chain(evaluators));
    app_state.params = Some(params);
}

/// Creates the nodes' homes and the user's settings, and sets the ids of CometBFT's keys.
fn write_nodes(
    root: &Path,
    flags: &InitFiles,
    binary: &Binary,
    mut network: Description,
    ports: &Ports,
    mut app_state: GenesisState,
) -> anyhow::Result<Description> {
    let least = app_state
        .params
        .as_ref()
        .map_or(0, |params| params.min_validator_stake);
    // The user's home has no genesis.
    let prefix = app_state.params.as_ref();
    let prefix = prefix.map_or_else(String::new, |params| params.bech32_prefix.clone());
    let client = |rpc: &str| ClientSettings {
        chain_id: flags.chain_id.clone(),
        node: rpc.to_owned(),
        keyring_backend: flags.keyring_backend,
        bech32_prefix: prefix.clone(),
        ..ClientSettings::default()
    };
    let mut homes: Vec<(PathBuf, CometConfig, Genesis, Vec<u8>)> = Vec::new();
    for node in &mut network.validators {
        let path = root.join(&node.account.home);
        let home = Home::new(&path);
        let settings = NodeSettings {
            moniker: &node.name,
            app: AppSettings {
                grpc_address: node.grpc.clone(),
                ..AppSettings::default()
            },
            client: client(&node.rpc),
        };
        let (config, genesis, vrf_key) = init::create(binary, &home, &settings)?;
        node.node_id = binary.node_id(&home)?;
        homes.push((path, config, genesis, vrf_key));
    }
    let mut validators = Vec::new();
    for (node, (_, _, genesis, vrf_key)) in network.validators.iter_mut().zip(&homes) {
        for mut validator in genesis.validators.iter().cloned() {
            node.consensus_address.clone_from(&validator.address);
            validator.name.clone_from(&node.name);
            app_state.validators.push(GenesisValidator {
                operator: node.account.address.clone(),
                payout: String::new(),
                public_key: validator.public_key()?,
                stake: flags.stake.unwrap_or(least.saturating_mul(2)),
                vrf_key: vrf_key.clone(),
            });
            validators.push(validator);
        }
    }
    let Some((_, _, genesis, _)) = homes.first() else {
        bail!("a network needs a validator");
    };
    let mut genesis = genesis.clone();
    genesis.found(&flags.chain_id, validators, app_state);
    genesis.check()?;
    for (index, (path, mut config, ..)) in homes.into_iter().enumerate() {
        configure(&mut config, flags, &network, index, ports.nodes[index])?;
        config.save()?;
        genesis.write(&Home::new(path).genesis())?;
    }
    let user = Home::new(root.join(&network.user.home));
    let config = user.config();
    fs::create_dir_all(&config).with_context(|| format!("cannot create {}", config.display()))?;
    let rpc = network
        .validators
        .first()
        .map_or("", |node| node.rpc.as_str());
    init::write(&user.client_toml(), &client(rpc).to_toml())?;
    Ok(network)
}

/// CometBFT's settings for nodes that share one machine and know each other from the start.
fn configure(
    config: &mut CometConfig,
    flags: &InitFiles,
    network: &Description,
    index: usize,
    port: u16,
) -> anyhow::Result<()> {
    let others = network
        .validators
        .iter()
        .enumerate()
        .filter(|(other, _)| *other != index);
    let peers: Vec<_> = others
        .map(|(_, node)| format!("{}@{}", node.node_id, node.p2p))
        .collect();
    config.set("p2p.laddr", format!("tcp://{HOST}:{port}"))?;
    config.set("rpc.laddr", format!("tcp://{HOST}:{}", port + 1))?;
    config.set("p2p.persistent_peers", peers.join(","))?;
    // Reconnect soon to a restarted node.
    config.set("p2p.persistent_peers_max_dial_period", "2s")?;
    config.set("p2p.pex", false)?;
    config.set("p2p.addr_book_strict", false)?;
    config.set("p2p.allow_duplicate_ip", true)?;
    config.set("p2p.flush_throttle_timeout", "10ms")?;
    config.set("consensus.timeout_commit", flags.timeout_commit.as_str())?;
    Ok(())
}
