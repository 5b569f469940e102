//! Runs all loads on both networks, one after the other.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context, bail, ensure};
use indicatif::{ProgressBar, ProgressStyle};
use poq_app::genesis::default_genesis;
use poq_client::{Client, any};
use poq_proto::v1::Role;
use poq_testnet::{Network, Programs, Question, Spec};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::accounts::{Accounts, transfer};
use crate::cpu::Processes;
use crate::kvstore::{self, Kvstore};
use crate::ledger::Ledger;
use crate::load::{Lanes, Load};
use crate::options::Options;
use crate::patience::insist;
use crate::step::{Figures, Kind, Site};
use crate::workers::Worker;

/// Time limit for the nodes' first blocks.
const HEALTHY: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);
/// Height from which all validators have seen each other's votes.
const HEALTHY_HEIGHT: u64 = 2;
/// Address prefix of the network.
const PREFIX: &str = "poq";
const PROMPT: &str = "What is the capital of France?";
const MAX_ANSWER_BYTES: u32 = 1_000;

/// The figures of all loads.
#[derive(Default)]
pub(crate) struct Compared {
    /// Size of each transfer, and of each transaction of kvstore.
    pub tx_bytes: usize,
    /// The loads in the order of measurement.
    pub loads: Vec<Figures>,
}

/// Measures everything, and stops all processes in every case.
///
/// # Errors
/// The failure or the interruption.
pub(crate) async fn run(
    options: &Options,
    shutdown: &CancellationToken,
) -> anyhow::Result<Compared> {
    let temporary = tempfile::tempdir()?;
    let root = options.root.as_deref().unwrap_or(temporary.path());
    // Creating a network removes these folders, like all files of an earlier network.
    let homes = root.join("kvstore");
    let accounts = Accounts::new(options.accounts, PREFIX)?;
    let mut network = create(options, &accounts, root).await?;
    let mut comparison = Comparison {
        options,
        accounts,
        bar: bar(options)?,
        compared: Compared::default(),
    };
    let outcome = tokio::select! {
        outcome = comparison.run(&mut network, &homes) => outcome,
        () = shutdown.cancelled() => Err(anyhow::anyhow!("interrupted")),
    };
    comparison.bar.finish_and_clear();
    network.shut_down().await?;
    outcome.map(|()| comparison.compared)
}

/// Creates the homes of a network in which the accounts have balances.
async fn create(options: &Options, accounts: &Accounts, root: &Path) -> anyhow::Result<Network> {
    let program = std::env::current_exe().context("cannot find the folder of the programs")?;
    let mut spec = Spec::new(
        options.validators.into(),
        options.inference_nodes.into(),
        options.evaluators.into(),
        options.first_port()?,
    )?;
    // Workers without models have no limit but the machine.
    spec.capacity = 100_000;
    let denom = spec.genesis["params"]["denom"].as_str();
    let denom = denom.context("the genesis has no denom")?.to_owned();
    // The low limit of local networks would otherwise decide the result.
    let default = default_genesis().params.unwrap_or_default();
    spec.genesis["params"]["max_transitions_per_block"] = default.max_transitions_per_block.into();
    // The simulated evaluators reveal made-up scores, so audits must accept every score.
    let models = spec.genesis["evaluator_models"].as_array_mut();
    for model in models.context("the genesis has no evaluator models")? {
        model["audit_tolerance"] = u32::MAX.into();
    }
    spec.genesis["accounts"] = accounts.genesis(&denom)?.into();
    Ok(Network::create(root, Programs::beside(&program)?, &spec).await?)
}

fn bar(options: &Options) -> anyhow::Result<ProgressBar> {
    let networks = if options.no_kvstore { 1 } else { 2 };
    let loads = options.transfers().len() * networks + options.tasks().len();
    let bar = ProgressBar::new(loads as u64);
    let style = "{spinner} {pos}/{len} loads, {elapsed_precise}, {wide_msg}";
    bar.set_style(ProgressStyle::with_template(style)?);
    bar.enable_steady_tick(PAUSE);
    Ok(bar)
}

struct Comparison<'a> {
    options: &'a Options,
    accounts: Accounts,
    bar: ProgressBar,
    compared: Compared,
}

impl Comparison<'_> {
    async fn run(&mut self, network: &mut Network, homes: &Path) -> anyhow::Result<()> {
        let description = network.description().clone();
        // Before the nodes have run.
        Kvstore::copy(&description, network.root(), homes)?;
        self.poqd(network).await?;
        for node in &description.validators {
            network.stop(&node.name).await?;
        }
        if !self.options.no_kvstore && self.compared.tx_bytes > 0 {
            let mut nodes = Kvstore::start(&description, homes)?;
            let outcome = self.kvstore(&mut nodes, clients(network)?).await;
            nodes.stop().await?;
            outcome?;
        }
        Ok(())
    }

    async fn poqd(&mut self, network: &mut Network) -> anyhow::Result<()> {
        self.bar.set_message("poqd: starting");
        let nodes = network.description().validators.clone();
        for node in &nodes {
            network.start(&node.name)?;
        }
        let clients = clients(network)?;
        wait_healthy(&clients, || Ok(network.check()?)).await?;
        let pids: Result<Vec<_>, _> = nodes.iter().map(|node| network.pids(&node.name)).collect();
        let site = Site {
            name: "poqd",
            processes: Processes::new(pids?.concat()),
            ledger: Ledger::default(),
            clients,
        };
        for rate in self.options.transfers() {
            self.transfers(network, &site, rate).await?;
        }
        for rate in self.options.tasks() {
            self.tasks(network, &site, rate).await?;
        }
        Ok(())
    }

    async fn transfers(&mut self, network: &Network, site: &Site, rate: u32) -> anyhow::Result<()> {
        self.bar.set_message(format!("poqd: {rate} transfers/s"));
        let (client, denom) = (site.client()?, &network.description().denom);
        let target = &network.description().user.address;
        let make = |from: &str| transfer(from, target, denom);
        let lanes = self
            .accounts
            .sign(client, self.per_lane(rate), make)
            .await?;
        let first = lanes.first().and_then(|lane| lane.first());
        self.compared.tx_bytes = first.map_or(0, Vec::len);
        let balance = async || client.balance(target, denom).await;
        let before = insist(balance).await?;
        let observer = site.observe(false).await?;
        let figures = self.load(site, Kind::Transfers, rate, lanes).await?;
        // The observer sees a block before it is executed.
        while insist(async || client.height().await).await? < *observer.heights().borrow() {
            sleep(PAUSE).await;
        }
        let executed = insist(balance).await? - before;
        ensure!(
            executed + figures.lost as u128 >= figures.accepted.into(),
            "{} transfers were accepted, {} did not arrive, but only {executed} were executed",
            figures.accepted,
            figures.lost
        );
        self.finish(figures);
        Ok(())
    }

    async fn tasks(&mut self, network: &Network, site: &Site, rate: u32) -> anyhow::Result<()> {
        self.bar.set_message(format!("poqd: {rate} tasks/s"));
        let client = site.client()?;
        let model = insist(async || client.models("", 1).await)
            .await?
            .into_iter()
            .next();
        let model = model.context("the chain has no model")?;
        let question = Question {
            prompt: PROMPT.into(),
            max_answer_bytes: MAX_ANSWER_BYTES,
            max_tokens: 0,
        };
        let make = |user: &str| any(&question.message(user, &model));
        let lanes = self
            .accounts
            .sign(client, self.per_lane(rate), make)
            .await?;
        let observer = site.observe(true).await?;
        let mut working = JoinSet::new();
        for worker in workers(network, client).await? {
            working.spawn(worker.run(observer.heights()));
        }
        let figures = self.load(site, Kind::Tasks, rate, lanes).await?;
        self.finish(figures);
        Ok(())
    }

    async fn kvstore(&mut self, nodes: &mut Kvstore, clients: Vec<Client>) -> anyhow::Result<()> {
        self.bar.set_message("kvstore: starting");
        wait_healthy(&clients, || nodes.check()).await?;
        let site = Site {
            name: "kvstore",
            processes: Processes::new(nodes.pids()),
            ledger: Ledger::default(),
            clients,
        };
        for (run, rate) in self.options.transfers().into_iter().enumerate() {
            self.bar
                .set_message(format!("kvstore: {rate} transactions/s"));
            let (lanes, count) = (self.options.accounts as usize, self.per_lane(rate));
            let lanes = kvstore::transactions(lanes, count, self.compared.tx_bytes, run);
            let _observer = site.observe(false).await?;
            let figures = self.load(&site, Kind::Transfers, rate, lanes).await?;
            self.finish(figures);
        }
        Ok(())
    }

    /// Number of transactions of each account at this rate.
    fn per_lane(&self, rate: u32) -> usize {
        let transactions = f64::from(rate) * self.options.duration().as_secs_f64();
        (transactions / f64::from(self.options.accounts)).ceil() as usize
    }

    async fn load(
        &self,
        site: &Site,
        kind: Kind,
        rate: u32,
        lanes: Lanes,
    ) -> anyhow::Result<Figures> {
        let load = Load {
            lanes,
            rate,
            duration: self.options.duration(),
        };
        site.measure(kind, load).await
    }

    fn finish(&mut self, figures: Figures) {
        self.compared.loads.push(figures);
        self.bar.inc(1);
    }
}

fn clients(network: &Network) -> anyhow::Result<Vec<Client>> {
    let nodes = 0..network.description().validators.len();
    let clients: Result<_, _> = nodes.map(|index| network.client(index)).collect();
    Ok(clients?)
}

/// All inference nodes and evaluators.
async fn workers(network: &Network, client: &Client) -> anyhow::Result<Vec<Worker>> {
    let max_items = insist(async || client.params().await)
        .await?
        .max_batch_items;
    let description = network.description();
    let inference = description.inference_nodes.iter();
    let inference = inference.map(|worker| (Role::Inference, worker));
    let evaluators = description.evaluators.iter();
    let evaluators = evaluators.map(|worker| (Role::Evaluator, worker));
    let mut workers = Vec::new();
    for (role, worker) in inference.chain(evaluators) {
        let (node, key) = (Client::new(&worker.rpc)?, network.key(&worker.account)?);
        let join = async || Worker::new(node.clone(), key.clone(), role, max_items).await;
        workers.push(insist(join).await?);
    }
    Ok(workers)
}

async fn wait_healthy(
    clients: &[Client],
    mut check: impl FnMut() -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let started = Instant::now();
    for client in clients {
        while !is_healthy(client).await {
            check()?;
            if started.elapsed() > HEALTHY {
                bail!(
                    "the node at {} has no new blocks; see its log (--root keeps it)",
                    client.url()
                );
            }
            sleep(PAUSE).await;
        }
    }
    Ok(())
}

async fn is_healthy(client: &Client) -> bool {
    let status = client.status().await;
    status.is_ok_and(|status| status.latest_height >= HEALTHY_HEIGHT)
}
