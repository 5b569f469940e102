//! Commands for a second terminal while a network runs in the first.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, ensure};
use indicatif::ProgressBar;
use poq_client::network::Description;
use poq_client::{Client, Sender, json};
use poq_proto::v1::Role;
use poq_testnet::{Error, ProcessStatus, Question, Request, request};
use tokio::time::{sleep, timeout};

use crate::cli::{Add, Logs, Named, NewWorker, Output, Prompt, Status};
use crate::run::ask;
use crate::show;

/// Pause between two checks of a log or a process.
const PAUSE: Duration = Duration::from_millis(200);
/// Time limit for a process to become healthy.
const HEALTHY: Duration = Duration::from_secs(120);

/// `status`.
pub(crate) async fn status(options: &Status) -> anyhow::Result<()> {
    let all = request(&options.network.root, &Request::Status).await?;
    match options.output {
        Output::Text => show::statuses(&options.network.root, &all),
        Output::Json => println!("{}", json::to_string_pretty(&all)?),
    }
    Ok(())
}

/// `start`.
pub(crate) async fn start(options: &Named) -> anyhow::Result<()> {
    let name = options.name.clone();
    request(&options.network.root, &Request::Start { name }).await?;
    wait_healthy(&options.network.root, &options.name).await
}

/// `stop`.
pub(crate) async fn stop(options: &Named) -> anyhow::Result<()> {
    let name = options.name.clone();
    let stopped = request(&options.network.root, &Request::Stop { name }).await?;
    show::statuses(&options.network.root, &stopped);
    Ok(())
}

/// `add`.
pub(crate) async fn add(options: &Add) -> anyhow::Result<()> {
    let role = match options.role {
        NewWorker::InferenceNode => Role::Inference,
        NewWorker::Evaluator => Role::Evaluator,
    };
    let spinner = ProgressBar::new_spinner().with_message("funding and registering");
    spinner.enable_steady_tick(PAUSE);
    let added = request(&options.network.root, &Request::Add { role }).await;
    spinner.finish_and_clear();
    let added = added?.into_iter().next().context("nothing was added")?;
    eprintln!("{} is registered; loading its model", added.name);
    wait_healthy(&options.network.root, &added.name).await
}

async fn wait_healthy(root: &Path, name: &str) -> anyhow::Result<()> {
    let healthy = async {
        loop {
            let all = request(root, &Request::Status).await?;
            let named = |status: &ProcessStatus| status.name == name;
            let status = all.into_iter().find(named).context("the process is gone")?;
            ensure!(
                status.pid.is_some(),
                "{name} stopped again; `poq-testnet logs {name}` shows why"
            );
            if status.healthy {
                return Ok(status);
            }
            sleep(PAUSE).await;
        }
    };
    let status = timeout(HEALTHY, healthy)
        .await
        .with_context(|| format!("{name} is not healthy after {} s", HEALTHY.as_secs()))??;
    show::statuses(root, &[status]);
    Ok(())
}

/// `logs`.
pub(crate) async fn logs(options: &Logs) -> anyhow::Result<()> {
    let root = &options.network.root;
    let network = Description::read(root).map_err(|_| Error::NotRunning(root.clone()))?;
    ensure!(
        network.names().any(|name| name == options.name),
        "the network has no process `{}`; its processes are {}",
        options.name,
        network.names().collect::<Vec<_>>().join(", ")
    );
    let path = root.join("logs").join(format!("{}.log", options.name));
    let cannot_read = || format!("cannot read {}", path.display());
    let mut log = BufReader::new(File::open(&path).with_context(cannot_read)?);
    let mut last = VecDeque::new();
    let mut line = Vec::new();
    while log.read_until(b'\n', &mut line).with_context(cannot_read)? > 0 {
        last.push_back(std::mem::take(&mut line));
        if last.len() > options.lines {
            last.pop_front();
        }
    }
    let mut stdout = std::io::stdout().lock();
    for line in last {
        stdout.write_all(&line)?;
    }
    if !options.follow {
        return Ok(());
    }
    loop {
        stdout.flush()?;
        sleep(PAUSE).await;
        let mut news = Vec::new();
        log.read_to_end(&mut news).with_context(cannot_read)?;
        stdout.write_all(&news)?;
    }
}

/// `prompt`.
pub(crate) async fn prompt(options: &Prompt) -> anyhow::Result<()> {
    let root = &options.network.root;
    let network = Description::read(root).map_err(|_| Error::NotRunning(root.clone()))?;
    let client = reachable(&network)
        .await
        .ok_or_else(|| Error::NotRunning(root.clone()))?;
    let key = network.key(root, &network.user)?;
    let sender = Sender::new(client, key, Some(&network.chain_id)).await?;
    let question = Question {
        prompt: options.prompt.clone(),
        max_answer_bytes: options.max_answer_bytes,
        max_tokens: 0,
    };
    let receipt = ask(&network, &sender, &question).await?;
    show::receipt(&receipt, options.output)
}

/// A client of the first reachable validator.
async fn reachable(network: &Description) -> Option<Client> {
    for node in &network.validators {
        if let Ok(client) = Client::new(&node.rpc)
            && client.status().await.is_ok()
        {
            return Some(client);
        }
    }
    None
}
