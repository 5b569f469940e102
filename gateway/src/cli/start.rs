use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::Router;
use poq_client::Key;
use poq_worker::Health;
use poq_worker::program::http_server::{self, Limits};
use poq_worker::program::{metrics, shutdown_on_signals};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Start, settings, store};
use crate::api::{self, Api, Door};
use crate::chain::{Chain, Rpc};
use crate::config::{Config, Connection};
use crate::deposits::Deposits;
use crate::keys::{Account, Credits};
use crate::pool::{Catalog, Keeper, Roster, Snapshot};
use crate::relay::Relay;
use crate::store::Store;

/// Pause between two attempts to reach the chain at the start.
const PAUSE: Duration = Duration::from_secs(2);
/// How long open responses may continue after a stop.
const DRAIN: Duration = Duration::from_secs(10);
/// Time limit of a whole answer: ordering, the answer itself, and its receipt.
const REQUEST: Duration = Duration::from_secs(360);
/// Most connections and requests at once.
const AT_ONCE: u32 = 4096;

/// Serves the API until it is stopped.
pub(super) async fn start(home: &Path, options: &Start) -> Result<()> {
    let shutdown = shutdown_on_signals()?;
    let (home, mut config) = settings(home)?;
    config.nodes.allow_private |= options.allow_private_endpoints;
    let _lock = home.lock()?;
    let key = home.key(&(&config.chain).into())?;
    let store = Arc::new(store(&home)?);
    let address = config.http.listen;
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: change http.listen in config.toml, or stop what listens there")
    })?;
    let health = Health::default();
    let measured = metrics::routes(shutdown.clone())?;
    if let Some(address) = options.metrics_address.or(config.metrics.listen) {
        serve_metrics(
            address,
            measured.clone().merge(health.routes()),
            shutdown.clone(),
        )
        .await?;
    }
    let Some(chain) = reach(&config.chain, &key, &shutdown).await? else {
        return Ok(());
    };
    let (api, keeper, deposits) = assemble(chain, key, store, &config, &health).await?;
    let keeper = tokio::spawn(keeper.run(shutdown.clone()));
    let deposits = tokio::spawn(deposits.run(shutdown.clone()));
    health.started();
    let router = api::router(api).merge(health.routes()).merge(measured);
    info!("serving http://{address}/v1/chat/completions");
    serve(listener, router, shutdown).await?;
    keeper.await?;
    deposits.await?;
    Ok(())
}

/// The chain, once it can be reached; None if the program is stopped before.
async fn reach(
    config: &Connection,
    key: &Key,
    shutdown: &CancellationToken,
) -> Result<Option<Rpc>> {
    loop {
        let error = match Rpc::connect(&config.node, key.clone(), &config.id).await {
            Ok(chain) => return Ok(Some(chain)),
            Err(error) if error.is_retryable() => error,
            Err(error) => return Err(error.into()),
        };
        warn!("waiting for the chain: {error}");
        tokio::select! {
            () = shutdown.cancelled() => return Ok(None),
            () = sleep(PAUSE) => {}
        }
    }
}

async fn assemble(
    chain: Rpc,
    key: Key,
    store: Arc<Store>,
    config: &Config,
    health: &Health,
) -> Result<(Arc<Api>, Keeper, Deposits)> {
    let chain: Arc<dyn Chain> = Arc::new(chain);
    let models = chain.models().await?.into_iter();
    let snapshot = Snapshot {
        models: models.map(|model| (model.id.clone(), model)).collect(),
        params: chain.params().await?,
        height: chain.height().await?,
        seen: Instant::now(),
        is_poor: false,
    };
    let account = Account {
        address: chain.address(),
        denom: snapshot.params.denom.clone(),
    };
    let deposits = Deposits {
        chain: chain.clone(),
        store: store.clone(),
        denom: account.denom.clone(),
        health: health.clone(),
    };
    let credits = Arc::new(Credits::new(store.clone(), account));
    let (roster, catalog) = (
        Arc::new(Roster::default()),
        Arc::new(Catalog::new(snapshot)),
    );
    let shared = (roster.clone(), catalog.clone());
    let keeper = Keeper::new(
        chain.clone(),
        key,
        store.clone(),
        shared,
        config.settings(),
        health.clone(),
    );
    let relay = Arc::new(Relay::new(store, roster, catalog, credits));
    let api = Api {
        relay,
        chain,
        usage: Arc::default(),
        door: Door::new(config.http.behind_proxy),
    };
    Ok((Arc::new(api), keeper, deposits))
}

async fn serve_metrics(
    address: std::net::SocketAddr,
    router: Router,
    shutdown: CancellationToken,
) -> Result<()> {
    let listener = TcpListener::bind(address)
        .await
        .with_context(|| format!("cannot serve metrics on {address}; choose another address"))?;
    tokio::spawn(http_server::serve(
        listener,
        router,
        Limits::default(),
        shutdown,
    ));
    Ok(())
}

async fn serve(listener: TcpListener, router: Router, shutdown: CancellationToken) -> Result<()> {
    let limits = Limits {
        connections: AT_ONCE,
        requests: AT_ONCE as usize,
        request: REQUEST,
        ..Limits::default()
    };
    let server = tokio::spawn(http_server::serve(
        listener,
        router,
        limits,
        shutdown.clone(),
    ));
    shutdown.cancelled().await;
    match timeout(DRAIN, server).await {
        Ok(result) => Ok(result??),
        // Readers of open responses have had their time; receipts are fetched at the next start.
        Err(_) => Ok(()),
    }
}
