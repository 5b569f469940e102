//! Measures how much later the first token of an answer comes through the gateway than from an inference
//! node's own server.
//!
//! It starts a local network of real processes and sends the same prompts, as streams, to a node and to the
//! gateway in turn. Who is asked first changes with every pair, so that neither always finds the model warm.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]

use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context;
use clap::Parser;
use futures::future::try_join_all;
use indicatif::{ProgressBar, ProgressStyle};
use poq_bench::figures::{percentile, print_table};
use poq_testnet::{Chat, Failure, Network, Programs, Spec, free_range};
use poq_worker::program::shutdown_on_signals;
use tokio::time::{sleep, timeout};

/// Time limit for the network, and for the gateway's first sessions.
const HEALTHY: Duration = Duration::from_secs(300);
const PAUSE: Duration = Duration::from_millis(500);
/// More ports than the network needs.
const PORTS: u16 = 60;
/// Unmeasured pairs.
const WARM_UP: u32 = 5;

/// Measures the time to the first token through the gateway and from the inference node itself.
#[derive(Parser)]
struct Options {
    /// Pairs of requests
    #[arg(long, default_value_t = 200, value_parser = clap::value_parser!(u32).range(10..=10_000))]
    pairs: u32,
    /// Requests at once to each side; a node of a local network has one place and a short queue
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=4))]
    streams: u32,
    /// Tokens of an answer
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=512))]
    tokens: u32,
    /// Inference nodes
    #[arg(long, default_value_t = 2, value_parser = clap::value_parser!(u8).range(1..=8))]
    inference_nodes: u8,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Options::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: &Options) -> anyhow::Result<()> {
    let machine = poq_client::machine();
    let shutdown = shutdown_on_signals()?;
    let folder = tempfile::tempdir()?;
    let program = std::env::current_exe().context("cannot find the folder of the programs")?;
    // As few evaluators as a committee of local networks has.
    let spec = Spec::new(1, options.inference_nodes.into(), 5, free_range(PORTS)?)?;
    let mut network = Network::create(folder.path(), Programs::beside(&program)?, &spec).await?;
    let measured = tokio::select! {
        measured = measure(&mut network, options) => measured,
        () = shutdown.cancelled() => Err(anyhow::anyhow!("interrupted")),
    };
    network.shut_down().await?;
    let pairs = measured?;
    println!(
        "{machine}; 1 validator, {} inference nodes, 5 evaluators; {} pairs, {} at once, {} tokens; time to \
         the first token, ms",
        options.inference_nodes,
        pairs.len(),
        options.streams,
        options.tokens
    );
    print(&pairs);
    Ok(())
}

/// Milliseconds to the first token of one prompt.
struct Pair {
    node: f64,
    gateway: f64,
}

async fn measure(network: &mut Network, options: &Options) -> anyhow::Result<Vec<Pair>> {
    network.start_all()?;
    network.wait_healthy(HEALTHY, |_, _| {}).await?;
    network.offer_sessions().await?;
    let (node, gateway) = sides(network).await?;
    timeout(HEALTHY, wait_open(&gateway, options))
        .await
        .context("the gateway opened no session in time")??;
    let bar = ProgressBar::new(options.pairs.into()).with_style(ProgressStyle::with_template(
        "{spinner} {pos}/{len} pairs, {eta} left",
    )?);
    let mut pairs = Vec::new();
    for number in 0..WARM_UP + options.pairs.div_ceil(options.streams) {
        let (first, second) = match number % 2 {
            0 => (&node, &gateway),
            _ => (&gateway, &node),
        };
        let mut times = [first, second].map(|_| Vec::new());
        for (side, times) in [first, second].into_iter().zip(&mut times) {
            let asked = (0..options.streams).map(|lane| ask(side, number, lane, options));
            *times = try_join_all(asked).await?;
        }
        let [first, second] = times;
        let (of_node, of_gateway) = match number % 2 {
            0 => (first, second),
            _ => (second, first),
        };
        if number >= WARM_UP {
            let measured = of_node.into_iter().zip(of_gateway);
            pairs.extend(measured.map(|(node, gateway)| Pair { node, gateway }));
            bar.set_position(pairs.len() as u64);
        }
    }
    bar.finish_and_clear();
    Ok(pairs)
}

async fn sides(network: &Network) -> anyhow::Result<(Chat, Chat)> {
    let description = network.description();
    let worker = description.inference_nodes.first();
    let gateway = description.gateway.as_ref();
    let (worker, gateway) = worker.zip(gateway).context("the network has no gateway")?;
    let model = gateway.models.first().context("the gateway has no model")?;
    let key = network.create_api_key("bench").await?;
    let side = |address: &str, key| Chat {
        address: address.to_owned(),
        key,
        model: model.clone(),
    };
    Ok((side(&worker.http, None), side(&gateway.http, key)))
}

/// Milliseconds to the first token.
async fn ask(side: &Chat, number: u32, lane: u32, options: &Options) -> anyhow::Result<f64> {
    let prompt = format!("What is {number} plus {lane}? Explain it to a child.");
    let said = side.ask(&prompt, Some(options.tokens), |_| {}).await?;
    Ok(said.first_token.as_secs_f64() * 1e3)
}

async fn wait_open(gateway: &Chat, options: &Options) -> anyhow::Result<()> {
    loop {
        match gateway.ask("Hello", Some(options.tokens), |_| {}).await {
            Ok(_) => return Ok(()),
            Err(Failure::Refused { status: 503, .. }) => sleep(PAUSE).await,
            Err(failure) => return Err(failure.into()),
        }
    }
}

fn print(pairs: &[Pair]) {
    let row = |name: &str, figure: fn(&Pair) -> f64| {
        let samples: Vec<f64> = pairs.iter().map(figure).collect();
        let at = |share| format!("{:.1}", percentile(&samples, share));
        vec![name.to_owned(), at(0.5), at(0.9), at(0.99)]
    };
    print_table(
        &["", "median", "90 %", "99 %"],
        &[
            row("inference node", |pair| pair.node),
            row("gateway", |pair| pair.gateway),
            row("later through the gateway, pair by pair", |pair| {
                pair.gateway - pair.node
            }),
        ],
    );
}
