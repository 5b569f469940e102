use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use axum::Router;
use poq_client::Key;
use poq_judge::Judge;
use poq_worker::Health;
use poq_worker::program::http_server::{self, Limits};
use poq_worker::program::tls::Tls;
use poq_worker::program::{metrics, shutdown_on_signals};
use tokio::net::TcpListener;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::{Start, settings, store};
use crate::api::{self, Api, Door};
use crate::chain::{Chain, Several};
use crate::config::{Config, Connection};
use crate::deposits::Deposits;
use crate::keys::{Account, Credits};
use crate::pool::{Catalog, Keeper, Roster, Snapshot};
use crate::quality::{Estimates, Registered};
use crate::relay::Relay;
use crate::store::Store;
use crate::telemetry;

/// Pause between two attempts to reach the chain at the start.
const PAUSE: Duration = Duration::from_secs(2);
/// How long open responses may continue after a stop.
const DRAIN: Duration = Duration::from_secs(10);
/// Time limit of a whole answer: ordering, the answer itself, and its receipt.
const REQUEST: Duration = Duration::from_secs(360);
/// Most connections and requests at once.
const AT_ONCE: u32 = 4096;
/// Most connections at once from one address.
const PER_ADDRESS: u32 = 512;

/// Serves the API until it is stopped.
pub(super) async fn start(home: &Path, options: &Start) -> Result<()> {
    let shutdown = shutdown_on_signals()?;
    let (home, mut config) = settings(home)?;
    config.nodes.allow_private |= options.allow_private_endpoints;
    let _lock = home.lock()?;
    let key = home.key(&(&config.chain).into())?;
    let store = Arc::new(store(&home)?);
    let tls = config.tls.as_ref();
    let tls = tls
        .map(|files| Tls::read(&files.cert, &files.key))
        .transpose()?;
    let address = config.http.listen;
    let listener = TcpListener::bind(address).await.with_context(|| {
        format!("cannot listen on {address}: change http.listen in config.toml, or stop what listens there")
    })?;
    let health = Health::default();
    let measured = metrics::routes(shutdown.clone())?;
    telemetry::describe();
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
    let router = api::router(api, health.routes().merge(measured));
    let scheme = if tls.is_some() { "https" } else { "http" };
    info!("serving {scheme}://{address}/v1/chat/completions");
    let limits = limits(config.http.behind_proxy);
    serve((listener, tls), router, limits, shutdown).await?;
    keeper.await?;
    deposits.await?;
    Ok(())
}

/// The chain, once it can be reached; None if the program is stopped before.
async fn reach(
    config: &Connection,
    key: &Key,
    shutdown: &CancellationToken,
) -> Result<Option<Several>> {
    let chain = Several::new(&config.node, key, &config.id)?;
    loop {
        let error = match chain.height().await {
            Ok(_) => return Ok(Some(chain)),
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
    chain: Several,
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
        address: chain.address().await?,
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
    let mut relay = Relay::new(store.clone(), roster.clone(), catalog, credits);
    if let Some(folder) = &config.quality.evaluator_models {
        let judge = Judge::new(folder);
        for model in &config.sessions.models {
            chain.panel(model).await?.load(&judge)?;
        }
        let score = Arc::new(Registered::new(judge, chain.clone()));
        relay.estimates = Estimates::start(score, config.quality.least_ppm(), (store, roster));
    }
    let relay = Arc::new(relay);
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

fn limits(is_behind_proxy: bool) -> Limits {
    Limits {
        connections: AT_ONCE,
        // All come from the proxy.
        per_address: (!is_behind_proxy).then_some(PER_ADDRESS),
        requests: AT_ONCE as usize,
        request: REQUEST,
        ..Limits::default()
    }
}

async fn serve(
    (listener, tls): (TcpListener, Option<Tls>),
    router: Router,
    limits: Limits,
    shutdown: CancellationToken,
) -> Result<()> {
    let stop = shutdown.clone();
    let server = tokio::spawn(async move {
        match tls {
            Some(tls) => {
                tokio::spawn(tls.clone().follow_files(stop.clone()));
                http_server::serve_over(tls, listener, router, limits, stop).await
            }
            None => http_server::serve(listener, router, limits, stop).await,
        }
    });
    shutdown.cancelled().await;
    match timeout(DRAIN, server).await {
        Ok(result) => Ok(result??),
        // Readers of open responses have had their time; receipts are fetched at the next start.
        Err(_) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use poq_worker::program::tls::make_certificate;
    use rustls::pki_types::CertificateDer;
    use rustls::pki_types::ServerName;
    use rustls::pki_types::pem::PemObject;
    use rustls::{ClientConfig, RootCertStore};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;
    use tokio_rustls::TlsConnector;

    use super::*;

    const NAME: &str = "gateway";

    /// What a server that closes the connection says to this.
    async fn said(
        (address, connector): (std::net::SocketAddr, &TlsConnector),
        text: &str,
    ) -> std::io::Result<String> {
        let stream = TcpStream::connect(address).await?;
        let name = ServerName::try_from(NAME).unwrap();
        let mut stream = connector.connect(name, stream).await?;
        stream.write_all(text.as_bytes()).await?;
        let mut answer = String::new();
        // It may close without TLS's goodbye.
        let _ = stream.read_to_string(&mut answer).await;
        Ok(answer)
    }

    #[tokio::test]
    async fn the_interface_has_tls_with_limits() {
        let folder = tempfile::tempdir().unwrap();
        let [cert, key] = ["cert", "key"].map(|name| folder.path().join(name));
        make_certificate(NAME, &cert, &key).unwrap();
        let mut roots = RootCertStore::empty();
        roots
            .add(CertificateDer::from_pem_file(&cert).unwrap())
            .unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let trusting = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        let connector = TlsConnector::from(Arc::new(trusting));

        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let limits = Limits {
            headers: Duration::from_secs(2),
            per_address: Some(1),
            ..limits(false)
        };
        let router = Router::new().route("/", get(async || "here"));
        let shutdown = CancellationToken::new();
        let tls = Tls::read(&cert, &key).unwrap();
        let serving = serve((listener, Some(tls)), router, limits, shutdown.clone());
        let serving = tokio::spawn(serving);
        let at = (address, &connector);
        let whole = "GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n";
        let answer = said(at, whole).await.unwrap();
        assert!(answer.ends_with("here"), "{answer}");
        // The server forgets the first connection.
        sleep(Duration::from_secs(1)).await;
        // A client that is slow with its headers is cut, and so is another one beside it.
        let (slow, beside) = tokio::join!(said(at, "GET / HT"), said(at, "GET / HT"));
        assert!(slow.is_ok() != beside.is_ok(), "{slow:?} {beside:?}");
        for answer in [slow, beside].into_iter().flatten() {
            assert!(!answer.contains("here"), "{answer}");
        }
        shutdown.cancel();
        serving.await.unwrap().unwrap();
    }
}
