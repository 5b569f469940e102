//! The stream API: answers of sessions (docs/sessions.md).

mod answer;
mod api;
mod auth;
mod chain;
mod chat;
#[cfg(test)]
mod crashes;
mod journal;
mod log;
mod measure;
mod orders;
mod pay;
mod records;
mod refusals;
mod reveal;
mod serve;
mod session;
mod settings;
mod settle;
#[cfg(test)]
mod testing;
mod window;
mod work;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use poq_client::{Follower, Key, Sender};
use poq_proto::v1::{Model, Params};
use poq_worker::Health;
use poq_worker::program::http_server::{self, Limits};
use poq_worker::program::tls::{Tls, spki_sha256};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tracing::info;

use crate::compute::Compute;
use api::Surroundings;
use chain::LiveChain;
use journal::Journal;
use orders::{Desk, Identity};
use pay::Watch;
use records::Records;

pub(crate) use settings::StreamConfig;

/// Purpose of the MAC that is the secret of accepts and receipts.
const KEY_PURPOSE: &[u8] = b"poq/stream-key/v1";
/// Time limit of a request's body and of the way to an accept.
const REQUEST: Duration = Duration::from_secs(30);

/// The parts of the stream API.
pub(crate) struct Setup<'a> {
    /// The settings.
    pub config: &'a StreamConfig,
    /// Bound to the address in the settings.
    pub listener: TcpListener,
    /// The operator's.
    pub sender: Arc<Sender>,
    /// The model.
    pub compute: Compute,
    /// Its entry in the registry.
    pub model: &'a Model,
    /// The chain's parameters.
    pub params: &'a Params,
    /// Folder of the journal.
    pub data: PathBuf,
    /// Pause between two polls for new blocks.
    pub poll_interval: Duration,
    /// Where problems are reported.
    pub health: Health,
    /// Stops all of it.
    pub shutdown: CancellationToken,
}

/// Serves sessions until the shutdown.
///
/// # Errors
/// If certificate, key or journal cannot be used. The task fails if the listener does.
pub(crate) async fn start(setup: Setup<'_>) -> Result<JoinHandle<Result<()>>> {
    let Setup {
        config,
        listener,
        sender,
        compute,
        model,
        params,
        data,
        poll_interval,
        health,
        shutdown,
    } = setup;
    measure::describe();
    let (tls, spki) = match (&config.certificate, &config.private_key) {
        (Some(certificate), Some(key)) => {
            let tls = Tls::read(certificate, key)?;
            (Some(tls), Some(hex::encode(spki_sha256(certificate)?)))
        }
        _ => (None, None),
    };
    let key = signing_key(|purpose| sender.mac(purpose))?;
    let public_key = hex::encode(key.public_key());
    let heights = watch::Sender::new(0);
    let chain = Arc::new(LiveChain {
        sender: sender.clone(),
        heights: heights.subscribe(),
    });
    let identity = Identity {
        chain_id: sender.chain_id().to_owned(),
        key,
    };
    let journal = Journal::open(&data.join("stream.db"), sender.chain_id(), &health)?;
    let limits = chat::Limits {
        model: model.id.clone(),
        max_prompt_bytes: model.longest_prompt(params),
        max_tokens: config.max_tokens,
        max_min_quality: config.max_min_quality_ppm(),
    };
    let records = Records::new(chain.clone(), sender.address());
    let watch = match &config.evaluator_models {
        Some(folder) => {
            Some(Watch::open(folder, config.min_pay_ppm(), chain.clone(), model).await?)
        }
        None => None,
    };
    let (answered, to_score) = pay::queue();
    let desk = Desk::new(
        identity,
        journal,
        records,
        compute,
        limits,
        shutdown.clone(),
        watch.is_some().then_some(answered),
    );
    let desk = desk.await?;
    if let Some(watch) = watch {
        tokio::spawn(watch.run(desk.clone(), to_score));
    }
    let follower = Follower::open(
        sender.client().clone(),
        data.join("stream-cursor.json"),
        sender.chain_id(),
        poll_interval,
    );
    let work = work::Work {
        desk: desk.clone(),
        chain,
        operator: sender.address().to_owned(),
        health,
    };
    work.begin(follower, heights, shutdown.clone());
    let surroundings = Surroundings {
        max_prompt_bytes: params.max_prompt_bytes,
        is_behind_proxy: config.behind_proxy,
    };
    let router = api::router(desk, surroundings);
    let address = listener.local_addr()?;
    info!(%address, key = public_key, tls_spki_sha256 = spki.as_deref(), "serving sessions");
    Ok(tokio::spawn(serve(listener, router, tls, shutdown)))
}

/// The key of accepts and receipts, which follows from the operator's: `mac` is [`Key::mac`] with it.
///
/// # Errors
/// With a probability of 2^-128.
pub(crate) fn signing_key(mac: impl FnOnce(&[u8]) -> [u8; 32]) -> poq_client::Result<Key> {
    Key::from_bytes(&mac(KEY_PURPOSE))
}

async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Tls>,
    shutdown: CancellationToken,
) -> Result<()> {
    let limits = Limits {
        request: REQUEST,
        ..Limits::default()
    };
    let served = match tls {
        Some(tls) => http_server::serve_over(tls, listener, router, limits, shutdown).await,
        None => http_server::serve(listener, router, limits, shutdown).await,
    };
    served.context("the stream API cannot accept connections")
}
