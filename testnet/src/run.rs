//! The command `run`.

use std::time::{Duration, Instant};

use anyhow::Context;
use indicatif::{ProgressBar, ProgressStyle};
use poq_client::Sender;
use poq_testnet::{
    Chat, Control, Description, Error, Network, Ordered, Programs, Question, Receipt, Seen,
    SessionReceipt, SessionSeen, Spec, obey,
};
use poq_worker::program::shutdown_on_signals;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::cli::Run;
use crate::show;

/// Time limit for a network to become healthy; loading eleven models on two cores is slow.
const HEALTHY: Duration = Duration::from_secs(300);
/// Pause between two checks for crashed processes.
const CRASH_PAUSE: Duration = Duration::from_millis(500);
/// Name of the gateway's API key.
const API_KEY: &str = "local";

/// Runs a network until its receipt or until it is stopped.
pub(crate) async fn run(options: &Run) -> anyhow::Result<()> {
    let shutdown = shutdown_on_signals()?;
    let program = std::env::current_exe().context("cannot find the folder of the programs")?;
    let spec = Spec::new(
        options.validators,
        options.inference,
        options.evaluators,
        options.base_port,
    )?;
    let mut network =
        Network::create(&options.network.root, Programs::beside(&program)?, &spec).await?;
    let result = serve(&mut network, options, &shutdown).await;
    // The error that ended the network must not be lost to an error of its shutdown.
    if let Err(error) = &result {
        tracing::debug!("{error:#}");
    }
    eprintln!("Stopping every process …");
    network.shut_down().await?;
    match result {
        // Without --once, Ctrl-C is the normal end. With it, an interrupted run has no receipt.
        Err(error) if matches!(error.downcast_ref(), Some(Error::Interrupted)) && !options.once => {
            Ok(())
        }
        other => other,
    }
}

async fn serve(
    network: &mut Network,
    options: &Run,
    shutdown: &CancellationToken,
) -> anyhow::Result<()> {
    let (receipt, key) = tokio::select! {
        first = first_receipt(network, options) => first?,
        () = shutdown.cancelled() => return Err(Error::Interrupted.into()),
    };
    show::receipt(&receipt, options.output)?;
    if options.once {
        return Ok(());
    }
    show::addresses(network, &key);
    stay_up(network, shutdown).await
}

/// Asks the gateway, and follows the answer to its payout. Also returns the key of the gateway's API.
async fn first_receipt(
    network: &mut Network,
    options: &Run,
) -> Result<(SessionReceipt, String), Error> {
    start(network).await?;
    network.offer_sessions().await?;
    let description = network.description().clone();
    let no_gateway = || Error::NoProcess("gateway".into());
    let gateway = description.gateway.as_ref().ok_or_else(no_gateway)?;
    let key = network.create_api_key(API_KEY).await?;
    let key = key.ok_or_else(no_gateway)?;
    let account = network.sender(&gateway.account).await?;
    let chat = Chat {
        address: gateway.http.clone(),
        key: Some(key.clone()),
        model: gateway.models.first().cloned().unwrap_or_default(),
    };
    let order = order(&chat, &account, &description, &options.prompt);
    tokio::select! {
        receipt = order => Ok((receipt?, key)),
        error = crash(network) => Err(error),
    }
}

async fn order(
    chat: &Chat,
    account: &Sender,
    network: &Description,
    prompt: &str,
) -> Result<SessionReceipt, Error> {
    show::question(prompt);
    let ordered = Ordered::ask(chat, prompt, show::text).await?;
    show::ordered(&ordered);
    let show_step = |seen: &SessionSeen| show::session_step(network, seen);
    ordered.receipt(account, network, prompt, show_step).await
}

async fn start(network: &mut Network) -> Result<(), Error> {
    let started = Instant::now();
    network.start_all()?;
    let count = network.processes().count();
    eprintln!(
        "Starting {count} processes; their logs are in {}",
        network.logs().display()
    );
    let bar = ProgressBar::new(count as u64);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos}/{len} healthy {wide_msg}") {
        bar.set_style(style);
    }
    let progress = |healthy, waiting: &[String]| {
        bar.set_position(healthy as u64);
        bar.set_message(format!("waiting for {}", waiting.join(", ")));
        bar.tick();
    };
    let result = network.wait_healthy(HEALTHY, progress).await;
    bar.finish_and_clear();
    result?;
    eprintln!(
        "All processes are healthy after {:.1} s",
        started.elapsed().as_secs_f64()
    );
    Ok(())
}

/// Returns the first crash of a process.
async fn crash(network: &mut Network) -> Error {
    loop {
        if let Err(error) = network.check() {
            return error;
        }
        sleep(CRASH_PAUSE).await;
    }
}

/// Sends a question, shows its steps, and returns its receipt.
pub(crate) async fn ask(
    network: &Description,
    user: &Sender,
    question: &Question,
) -> Result<Receipt, Error> {
    show::question(&question.prompt);
    show::steps();
    let submitted = question.submit(user).await?;
    show::submitted(&submitted, &network.denom);
    let show_step = |seen: &Seen| show::step(network, seen);
    let client = user.client().clone();
    submitted.receipt(client, network, show_step).await
}

/// Serves other terminals until Ctrl-C. A crash is reported, but the rest of the network continues,
/// because a user may want to watch it.
async fn stay_up(network: &mut Network, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let control = Control::bind(network.root())?;
    loop {
        tokio::select! {
            () = shutdown.cancelled() => return Ok(()),
            error = crash(network) => {
                eprintln!("{error}");
                network.forget_crashed();
            }
            stream = control.accept() => obey(network, stream?).await,
        }
    }
}
