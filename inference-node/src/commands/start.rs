use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use axum::Router;
use poq_client::{Client, found};
use poq_proto::v1::Model;
use poq_worker::commands::{self, Setup, Start};
use poq_worker::program::http_server::{self, Limits};
use poq_worker::program::shutdown_on_signals;
use poq_worker::{Chain, Health, Settings};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::model::Located;
use super::{ROLE, settings};
use crate::compute::{Compute, GuestLimits};
use crate::config::{Config, HttpConfig};
use crate::http;
use crate::stream::{self, StreamConfig};
use crate::worker::InferenceNode;

/// How long open HTTP responses may continue after a stop.
const DRAIN: Duration = Duration::from_secs(5);

/// Time limit of a request besides its answer: body, headers and queueing.
const OVERHEAD: Duration = Duration::from_secs(15);

/// Answers tasks until it is stopped.
pub(super) async fn start(home: &Path, options: &Start) -> Result<()> {
    let shutdown = shutdown_on_signals()?;
    let (home, config) = settings(home)?;
    let guests = guests(&config.http)?;
    // Before waiting for the chain, so that a wrong or missing file is reported at once.
    let located = Located::find(&config.model).await?;
    let listener = listen(&config.http).await?;
    let orders = listen_for_orders(&config.stream).await?;
    let health = Health::default();
    let setup = Setup {
        home: &home,
        chain: &config.chain,
        metrics: options.metrics_address.or(config.metrics.listen),
        allow_unserved: options.allow_unserved,
        settings: Settings {
            role: ROLE,
            models: vec![config.model.id.clone()],
            capacity: config.duties.queue,
            margin: config.duties.margin_blocks,
        },
        health: health.clone(),
        shutdown: shutdown.clone(),
    };
    let mut servers = Vec::new();
    let load = async |chain: &Chain| {
        let (model, compute) = load(&located, &config, chain, &shutdown).await?;
        if let Some(listener) = orders {
            let setup = stream::Setup {
                config: &config.stream,
                listener,
                sender: chain.sender.clone(),
                compute: compute.clone(),
                model: &model,
                params: &chain.insist(&shutdown, Client::params).await?,
                data: home.data(),
                poll_interval: Duration::from_millis(config.chain.poll_interval_ms),
                health: health.clone(),
                shutdown: shutdown.clone(),
            };
            servers.push(stream::start(setup).await?);
        }
        if let Some(listener) = listener {
            let router = router(&config, compute.clone(), &health, guests.clone());
            let time = Duration::from_secs(config.http.deadline_seconds) + OVERHEAD;
            let serving = serve(listener, router, time, guests, shutdown.clone());
            servers.push(tokio::spawn(serving));
        }
        let most = config.duties.max_tokens;
        Ok(InferenceNode::new(&chain.sender, compute, most))
    };
    commands::start(setup, load).await?;
    shutdown.cancel();
    let drained = async {
        for server in servers {
            server.await??;
        }
        Ok(())
    };
    // Readers of open responses have had their time then.
    tokio::time::timeout(DRAIN, drained).await.unwrap_or(Ok(()))
}

/// The model and its entry in the chain's registry, if they match.
async fn load(
    located: &Located,
    config: &Config,
    chain: &Chain,
    shutdown: &CancellationToken,
) -> Result<(Model, Compute)> {
    let (model, http) = (&config.model, &config.http);
    let registered = chain
        .insist(shutdown, async |client| {
            found(client.model(&model.id).await)
        })
        .await?;
    let entry = registered.clone().unwrap_or_default();
    let digest = located.expect_registered(registered, &model.id).await?;
    let generator = located.load(model, digest).await?;
    let patience = Duration::from_secs(model.stall_seconds);
    let limits = GuestLimits {
        queue: http.queue,
        deadline: Duration::from_secs(http.deadline_seconds),
    };
    let generator = Arc::new(generator.with_patience(patience));
    let compute = match config.stream.enabled {
        true => Compute::with_sessions(generator, limits, config.stream.limits()),
        false => Compute::new(generator, limits),
    };
    Ok((entry, compute))
}

async fn listen(config: &HttpConfig) -> Result<Option<TcpListener>> {
    if !config.enabled {
        return Ok(None);
    }
    Ok(Some(bind(config.listen, "http.listen").await?))
}

async fn listen_for_orders(config: &StreamConfig) -> Result<Option<TcpListener>> {
    if !config.enabled {
        return Ok(None);
    }
    Ok(Some(bind(config.listen, "stream.listen").await?))
}

async fn bind(address: SocketAddr, setting: &str) -> Result<TcpListener> {
    TcpListener::bind(address).await.with_context(|| {
        format!(
            "cannot listen on {address}: change {setting} in config.toml, or stop what listens there"
        )
    })
}

fn router(config: &Config, compute: Compute, health: &Health, guests: http::Guests) -> Router {
    let service = http::Service {
        model: config.model.id.clone(),
        max_tokens: config.http.max_tokens,
        guests,
        origins: config.http.cors_origins.clone(),
        pauses: http::Pauses::default(),
    };
    http::router(compute, health, service)
}

/// Who may use the HTTP server.
fn guests(config: &HttpConfig) -> Result<http::Guests> {
    let keys = config.keys().map_err(|reason| anyhow!(reason))?;
    Ok(match config.open {
        true => http::Guests::Everybody,
        false => http::Guests::with(&keys),
    })
}

async fn serve(
    listener: TcpListener,
    router: Router,
    time: Duration,
    guests: http::Guests,
    shutdown: CancellationToken,
) -> Result<()> {
    let address = listener.local_addr()?;
    match guests {
        http::Guests::Everybody if !address.ip().is_loopback() => {
            warn!("everyone who can reach {address} may use it: set http.api_key in config.toml");
        }
        http::Guests::WithKey(keys) if keys.is_empty() => {
            info!(
                "http://{address} refuses all requests: set http.api_key or http.open in config.toml"
            );
        }
        _ => info!("serving http://{address}/v1/chat/completions"),
    }
    let limits = Limits {
        request: time,
        ..Limits::default()
    };
    Ok(http_server::serve(listener, router, limits, shutdown).await?)
}
