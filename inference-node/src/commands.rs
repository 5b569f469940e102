//! What the commands do.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, bail};
use poq_client::keyring::{self, Keyring};
use poq_client::worker::{Worker, WorkerHome, shutdown_on_signals};
use poq_client::{Client, Earnings, Fee, Mnemonic, Sender, any, durable, found, metrics};
use poq_proto::v1::{Model, MsgRegisterInferenceNode, Role};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::at_once;
use crate::cli::{
    Cli, Command, Earnings as EarningsOptions, Generate, Init, Output, Register, Start,
};
use crate::compute::{Compute, GuestLimits};
use crate::config::{self, Config, ModelConfig};
use crate::generator::{Generator, Message, MistralGenerator, Request, Sampling, Speaker, weights};
use crate::http;
use crate::journal::Journal;
use crate::worker::InferenceWorker;

/// How long `register` waits for its block.
const INCLUSION: Duration = Duration::from_secs(60);
/// How long open HTTP answers may go on after a stop.
const DRAIN: Duration = Duration::from_secs(5);

/// Runs a command.
///
/// # Errors
/// What failed and what to do, for the user.
pub async fn run(cli: Cli) -> anyhow::Result<()> {
    match cli.command {
        Command::Init(options) => init(&cli.home, options).await,
        Command::Register(options) => register(&cli.home, options).await,
        Command::Start(options) => start(&cli.home, &options).await,
        Command::Status(options) => status(&cli.home, options.output).await,
        Command::Generate(options) => generate(&cli.home, options).await,
        Command::Earnings(options) => earnings(&cli.home, &options).await,
        Command::Version(options) => {
            let version = env!("CARGO_PKG_VERSION");
            let value = json!({"name": env!("CARGO_BIN_NAME"), "version": version});
            print(options.output, &value, || version.to_owned());
            Ok(())
        }
    }
}

/// Home and settings, checked.
///
/// # Errors
/// If there is no readable config.toml, or a setting is out of its range.
pub fn settings(home: &Path) -> anyhow::Result<(WorkerHome, Config)> {
    let home = WorkerHome::open(home)?;
    let config: Config = home.config()?;
    if let Err(reason) = config.validate() {
        bail!("{}: {reason}", home.path().join("config.toml").display());
    }
    Ok((home, config))
}

/// The model that `generate` uses: options first, then config.toml, then the defaults.
///
/// # Errors
/// If there is a config.toml that cannot be used.
pub fn model_settings(home: &Path, options: &Generate) -> anyhow::Result<ModelConfig> {
    let mut model = match home.join("config.toml").exists() {
        true => settings(home)?.1.model,
        false => ModelConfig::default(),
    };
    if let Some(file) = &options.model_file {
        model.file.clone_from(file);
    }
    model.weights = options.weights.unwrap_or(model.weights);
    model.threads = options.threads.unwrap_or(model.threads);
    model.concurrency = options.concurrency;
    Ok(model)
}

fn print(output: Output, value: &Value, text: impl FnOnce() -> String) {
    match output {
        Output::Json => println!("{value}"),
        Output::Text => println!("{}", text()),
    }
}

async fn init(home: &Path, options: Init) -> anyhow::Result<()> {
    let chain_id = match options.chain_id {
        Some(chain_id) => chain_id,
        None => {
            let status = Client::new(&options.node)?.status().await;
            status
                .context("cannot ask the node for its chain; give --chain-id")?
                .chain_id
        }
    };
    std::fs::create_dir_all(home).with_context(|| format!("cannot create {}", home.display()))?;
    let path = home.join("config.toml");
    let text = config::template(&config::Template {
        chain_id,
        node: options.node,
        key: options.key.clone(),
        keyring: options.keyring_backend.to_string(),
        model: options.model,
        concurrency: config::suggested_concurrency(options.threads, &options.model_file),
        model_file: options.model_file,
        threads: options.threads,
        listen: options.listen,
    });
    if path.exists() {
        bail!(
            "{} exists already: change it, or delete it first",
            path.display()
        );
    }
    let keyring = Keyring::open(home, options.keyring_backend, keyring::ask)?;
    let (key, mnemonic) = keyring.ensure(&options.key, recovered(options.recover)?.as_ref())?;
    durable::create(&path, text.as_bytes())?;
    let value = json!({
        "config": path,
        "key": key.name,
        "address": key.address,
        "mnemonic": mnemonic.as_ref().map(|mnemonic| mnemonic.words()),
    });
    print(options.output.output, &value, || {
        let words = mnemonic.map_or(String::new(), |mnemonic| {
            format!(
                "\nmnemonic: {}\nWrite the mnemonic down: it is kept nowhere.",
                mnemonic.words()
            )
        });
        format!(
            "config:  {}\naddress: {}{words}",
            path.display(),
            key.address
        )
    });
    Ok(())
}

/// The mnemonic on the standard input, if the key is to be recovered.
fn recovered(recover: bool) -> anyhow::Result<Option<Mnemonic>> {
    if !recover {
        return Ok(None);
    }
    let words = std::io::read_to_string(std::io::stdin()).context("cannot read the mnemonic")?;
    Ok(Some(Mnemonic::parse(&words)?))
}

/// The SHA-256 of the model's file; hashing takes a moment.
async fn digest(file: PathBuf) -> anyhow::Result<String> {
    Ok(tokio::task::spawn_blocking(move || weights::digest(&file)).await??)
}

/// Refuses a file that is not the one in the chain's registry.
async fn check_registry(registered: Option<Model>, model: &ModelConfig) -> anyhow::Result<String> {
    let digest = digest(model.file.clone()).await?;
    let registered = registered.with_context(|| {
        format!(
            "the chain has no model `{}`: check model.id in config.toml",
            model.id
        )
    })?;
    weights::expect(&model.file, &digest, &registered.weights_sha256)?;
    Ok(digest)
}

async fn register(home: &Path, options: Register) -> anyhow::Result<()> {
    let (home, config) = settings(home)?;
    let client = Client::new(&config.chain.node)?;
    let registered = found(client.model(&config.model.id).await)?;
    check_registry(registered, &config.model).await?;
    let key = home.key(&config.chain)?;
    let sender = Sender::new(client, key, Some(&config.chain.id)).await?;
    let message = MsgRegisterInferenceNode {
        operator: sender.address().into(),
        payout: options.payout,
        endpoint: options.endpoint,
        models: vec![config.model.id],
        stake: options.stake,
    };
    let outcome = sender
        .send_and_wait(vec![any(&message)], Fee::Auto, INCLUSION)
        .await?;
    let value = json!({
        "operator": message.operator,
        "hash": outcome.hash.to_string(),
        "height": outcome.height,
    });
    print(options.output.output, &value, || {
        format!(
            "{} is registered since block {}",
            message.operator, outcome.height
        )
    });
    Ok(())
}

async fn load(model: &ModelConfig, digest: String) -> anyhow::Result<MistralGenerator> {
    let settings = model.clone();
    let prepared = tokio::task::spawn_blocking(move || {
        weights::prepare(
            &settings.file,
            &digest,
            &settings.converted,
            settings.weights,
        )
    })
    .await??;
    let generator = MistralGenerator::load(&prepared, model.concurrency, model.threads).await?;
    info!(
        file = %prepared.gguf.display(),
        context_tokens = generator.context_tokens(),
        "the model is loaded"
    );
    Ok(generator)
}

async fn start(home: &Path, options: &Start) -> anyhow::Result<()> {
    let shutdown = shutdown_on_signals()?;
    match serve(home, options, &shutdown).await {
        // Asked to stop before it was ready: that is a clean end.
        Err(error) if matches!(error.downcast_ref(), Some(poq_client::Error::Interrupted)) => {
            Ok(())
        }
        result => result,
    }
}

async fn serve(home: &Path, options: &Start, shutdown: &CancellationToken) -> anyhow::Result<()> {
    let (home, config) = settings(home)?;
    // Before the wait for the chain: a wrong or missing file should show at once.
    if !config.model.file.exists() {
        return Err(weights::Error::Missing(config.model.file).into());
    }
    let listener = match config.http.enabled {
        true => Some(TcpListener::bind(config.http.listen).await.with_context(|| {
            format!(
                "cannot listen on {}: change http.listen in config.toml, or stop what listens there",
                config.http.listen
            )
        })?),
        false => None,
    };
    if let Some(address) = options.metrics_address.or(config.metrics.listen) {
        metrics::serve(address, shutdown.clone()).await?;
    }
    let chain = Worker::connect(&home, &config.chain, Role::Inference, shutdown).await?;
    let registered = chain
        .insist(shutdown, async |client| {
            found(client.model(&config.model.id).await)
        })
        .await?;
    let digest = check_registry(registered, &config.model).await?;
    let operator = chain.sender.address();
    let node = chain
        .insist(shutdown, async |client| {
            client.node(Role::Inference, operator).await
        })
        .await?;
    if !node.models.contains(&config.model.id) {
        bail!(
            "the node is registered for {}, not for `{}`: change model.id in config.toml",
            node.models.join(", "),
            config.model.id
        );
    }
    let params = chain.insist(shutdown, Client::params).await?;
    let generator = Arc::new(load(&config.model, digest).await?);
    let guests = GuestLimits {
        queue: config.http.queue,
        deadline: Duration::from_secs(config.http.deadline_seconds),
    };
    let compute = Compute::new(generator, guests);
    let journal = Journal::open(home.data().join("journal"))?;
    let worker = InferenceWorker::new(
        chain,
        params,
        &config.model.id,
        &config.duties,
        compute.clone(),
        journal,
    );

    let server = tokio::spawn(serve_http(
        listener,
        compute,
        config.clone(),
        shutdown.clone(),
    ));
    worker.run(shutdown.clone()).await?;
    shutdown.cancel();
    match tokio::time::timeout(DRAIN, server).await {
        Ok(result) => result?,
        // Whoever still reads an answer has had time.
        Err(_) => Ok(()),
    }
}

async fn serve_http(
    listener: Option<TcpListener>,
    compute: Compute,
    config: Config,
    shutdown: CancellationToken,
) -> anyhow::Result<()> {
    let Some(listener) = listener else {
        return Ok(());
    };
    info!(
        "serving http://{}/v1/chat/completions",
        listener.local_addr()?
    );
    let router = http::router(compute, &config.model.id, config.http.max_tokens);
    Ok(axum::serve(listener, router)
        .with_graceful_shutdown(shutdown.cancelled_owned())
        .await?)
}

async fn status(home: &Path, output: Output) -> anyhow::Result<()> {
    let (home, config) = settings(home)?;
    let client = Client::new(&config.chain.node)?;
    let operator = home.operator(&config.chain)?;
    let chain = client.status().await?;
    let node = found(client.node(Role::Inference, &operator).await)?;
    let open = match node {
        Some(_) => client.duties(Role::Inference, &operator).await?.value.len(),
        None => 0,
    };
    let answers = Journal::open(home.data().join("journal"))?.keys()?.len();
    let value = json!({
        "operator": operator,
        "chain_id": chain.chain_id,
        "latest_height": chain.latest_height,
        "model": config.model.id,
        "node": node,
        "open_duties": open,
        "journal_answers": answers,
    });
    print(output, &value, || {
        let registered = node.map_or("not registered".to_owned(), |node| {
            format!(
                "{} since block {}, stake {}, reputation {} ppm, {} duties done, {} missed, \
                 earned {}, slashed {}",
                node.status().as_str_name(),
                node.registered_height,
                node.stake,
                node.reputation,
                node.duties_done,
                node.duties_missed,
                node.earned,
                node.slashed,
            )
        });
        format!(
            "operator: {operator}\nchain:    {} at height {}\nmodel:    {}\nnode:     {registered}\n\
             duties:   {open} open\njournal:  {answers} answers",
            chain.chain_id, chain.latest_height, config.model.id,
        )
    });
    Ok(())
}

async fn earnings(home: &Path, options: &EarningsOptions) -> anyhow::Result<()> {
    let (home, config) = settings(home)?;
    let client = Client::new(&config.chain.node)?;
    let operator = home.operator(&config.chain)?;
    let earnings = Earnings::read(&client, Role::Inference, &operator, options.recent)
        .await?
        .with_context(|| {
            format!("{operator} is not registered; use `poq-inference-node register`")
        })?;
    print(options.output.output, &json!(earnings), || {
        let lines = earnings.lines().into_iter();
        let lines = lines.map(|(name, value)| format!("{:15} {value}", format!("{name}:")));
        lines.collect::<Vec<_>>().join("\n")
    });
    Ok(())
}

async fn generate(home: &Path, options: Generate) -> anyhow::Result<()> {
    let model = model_settings(home, &options)?;
    let digest = digest(model.file.clone()).await?;
    let generator = load(&model, digest).await?;
    let message = |speaker, text: &String| Message {
        speaker,
        text: text.clone(),
    };
    let system = options
        .system
        .iter()
        .map(|text| message(Speaker::System, text));
    let request = Request {
        messages: system
            .chain([message(Speaker::User, &options.prompt)])
            .collect(),
        sampling: Sampling {
            temperature: options.temperature,
            top_p: options.top_p,
            seed: options.seed,
        },
        max_tokens: options.max_tokens,
        max_bytes: options.max_bytes,
    };
    let stop = CancellationToken::new();
    if let Some(requests) = options.at_once {
        let measured = at_once::measure(&generator, &request, requests).await?;
        print(options.output.output, &json!(measured), || {
            measured.to_string()
        });
        return Ok(());
    }
    for _ in 1..options.repeat {
        generator.generate(&request, &stop, None).await?;
    }
    let completion = generator.generate(&request, &stop, None).await?;
    let first_token_ms = completion.first_token.as_secs_f64() * 1000.0;
    let speed = completion.tokens_per_second();
    let value = json!({
        "answer": completion.text,
        "finish": completion.finish,
        "prompt_tokens": completion.prompt_tokens,
        "answer_tokens": completion.answer_tokens,
        "first_token_ms": first_token_ms,
        "tokens_per_second": speed,
        "total_ms": completion.total.as_secs_f64() * 1000.0,
    });
    print(options.output.output, &value, || {
        let speed = speed.map_or("-".to_owned(), |speed| format!("{speed:.1}"));
        format!(
            "{}\n\n{} prompt tokens, {} answer tokens, first after {first_token_ms:.0} ms, \
             then {speed} tokens/s",
            completion.text, completion.prompt_tokens, completion.answer_tokens,
        )
    });
    Ok(())
}
