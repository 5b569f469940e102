//! `poqd faucet`: gives coins to anyone who asks, on a test network.

mod limits;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use cosmos_sdk_proto::cosmos::bank::v1beta1::MsgSend;
use metrics::counter;
use poq_client::{Fee, Sender, TxHash, any, parse_address};
use poq_worker::program::http_server::{self, Json, Limits as ServerLimits};
use poq_worker::program::{self, shutdown_on_signals};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::net::TcpListener;
use tracing::{info, warn};

use self::limits::Limits;
use super::flags::{KeyringFlags, NodeFlags};
use super::runtime;
use super::tx::account::{find, missing};
use crate::cli::coin::{Coin, Coins};
use crate::home::Home;
use crate::home::settings::ClientSettings;

/// Time limit for a gift's inclusion in a block.
const INCLUSION: Duration = Duration::from_secs(60);
/// Time limit of the rest of a request.
const OVERHEAD: Duration = Duration::from_secs(15);
/// Largest request, bytes.
const MAX_BODY: usize = 4096;

/// Flags of `faucet`.
#[derive(Debug, clap::Args)]
pub(super) struct Faucet {
    #[command(flatten)]
    node: NodeFlags,
    #[command(flatten)]
    keyring: KeyringFlags,
    /// Name or address of the key that pays.
    #[arg(long, value_name = "KEY")]
    from: String,
    /// Coins per request, separated by commas, for example 1000000upoq.
    #[arg(long, value_name = "COINS")]
    amount: Coins,
    /// Address to listen on.
    #[arg(long, default_value = "127.0.0.1:8000", value_name = "HOST:PORT")]
    listen: SocketAddr,
    /// Time between two gifts to one address, seconds.
    #[arg(long, default_value_t = 3600, value_name = "SECONDS")]
    every: u64,
    /// Largest number of gifts per minute.
    #[arg(long, default_value_t = 60, value_name = "NUMBER")]
    per_minute: usize,
    /// Allowed origins of web pages, separated by commas, for example `https://example.org`; "*" allows
    /// all.
    #[arg(long, value_name = "ORIGINS", value_delimiter = ',')]
    cors_origins: Vec<String>,
    /// Address to serve Prometheus metrics on, at /metrics; default: off.
    #[arg(long, value_name = "HOST:PORT")]
    metrics_address: Option<SocketAddr>,
}

/// State shared by the handlers.
struct Service {
    sender: Sender,
    prefix: String,
    gift: Vec<Coin>,
    limits: Mutex<Limits>,
}

/// The body of a request.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Request {
    address: String,
    /// The requested denom; absent means all coins of the gift.
    denom: Option<String>,
}

/// The body of a successful response.
#[derive(Serialize)]
struct Gift {
    address: String,
    amount: String,
    hash: TxHash,
    height: u64,
}

/// The body of a failed response.
struct Refusal {
    status: StatusCode,
    reason: String,
    retry_after: Option<Duration>,
}

impl Faucet {
    /// Serves until a signal arrives.
    ///
    /// # Errors
    /// If the key, the node or the address cannot be used.
    pub(super) fn run(self, home: &Home) -> anyhow::Result<()> {
        let settings = ClientSettings::load(home)?;
        runtime()?.block_on(async {
            let shutdown = shutdown_on_signals()?;
            let listener = TcpListener::bind(self.listen)
                .await
                .with_context(|| format!("cannot listen on {}; choose --listen", self.listen))?;
            if let Some(address) = self.metrics_address {
                program::metrics::serve(address, shutdown.clone()).await?;
            }
            let origins = Arc::new(self.cors_origins.clone());
            let service = self.service(home, &settings).await?;
            info!(
                from = service.sender.address(),
                gift = gift_text(&service.gift),
                "serving http://{}",
                listener.local_addr()?
            );
            let limits = ServerLimits {
                request: INCLUSION + OVERHEAD,
                ..ServerLimits::default()
            };
            http_server::serve(listener, router(service, origins), limits, shutdown)
                .await
                .context("the server failed")
        })
    }

    async fn service(self, home: &Home, settings: &ClientSettings) -> anyhow::Result<Service> {
        let (client, _) = self.node.open(settings)?;
        let keyring = self.keyring.open(home, settings)?;
        let key = find(&keyring, &self.from)?.ok_or_else(|| missing(&keyring, &self.from))?;
        let key = keyring.key(&key.name)?;
        let prefix = client.params().await?.bech32_prefix;
        ensure!(
            self.amount.0.iter().all(|coin| coin.amount > 0),
            "the gift must not be 0; choose another --amount"
        );
        let chain_id = Some(settings.chain_id.as_str()).filter(|id| !id.is_empty());
        Ok(Service {
            sender: Sender::new(client, key, chain_id).await?,
            prefix,
            gift: self.amount.0,
            limits: Mutex::new(Limits::new(
                Duration::from_secs(self.every),
                self.per_minute,
            )),
        })
    }
}

fn router(service: Service, origins: Arc<Vec<String>>) -> Router {
    Router::new()
        .route("/", post(give))
        .route("/health", get(health))
        .fallback(|| async { Refusal::new(StatusCode::NOT_FOUND, "POST to / to get coins") })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .layer(from_fn_with_state(origins, http_server::share))
        .with_state(Arc::new(service))
}

async fn give(State(service): State<Arc<Service>>, body: Bytes) -> Result<Json<Gift>, Refusal> {
    // The content type is ignored, because `curl -d` declares a form.
    let given = match serde_json::from_slice(&body) {
        Ok(request) => service.give(request).await,
        Err(error) => Err(Refusal::new(
            StatusCode::BAD_REQUEST,
            format!("expected {{\"address\": \"…\"}}: {error}"),
        )),
    };
    let status = given
        .as_ref()
        .map_or_else(|refusal| refusal.status, |_| StatusCode::OK);
    counter!("poqd_faucet_requests_total", "status" => status.as_u16().to_string()).increment(1);
    given.map(Json)
}

async fn health(State(service): State<Arc<Service>>) -> Response {
    let client = service.sender.client();
    let address = service.sender.address();
    let balance = client.balance(address, service.sender.denom()).await;
    match balance {
        Ok(balance) => Json(json!({
            "chain_id": service.sender.chain_id(),
            "address": address,
            "balance": balance.to_string(),
            "denom": service.sender.denom(),
            "gift": gift_text(&service.gift),
        }))
        .into_response(),
        Err(error) => {
            Refusal::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_response()
        }
    }
}

impl Service {
    async fn give(&self, request: Request) -> Result<Gift, Refusal> {
        let bad = |reason: String| Refusal::new(StatusCode::BAD_REQUEST, reason);
        parse_address(&request.address, &self.prefix).map_err(|error| bad(error.to_string()))?;
        let coins = self.coins(request.denom.as_deref()).map_err(bad)?;
        let taken = self.limits().take(&request.address, Instant::now());
        taken.map_err(Refusal::too_early)?;
        let given = self.send(&request.address, coins).await;
        if given.is_err() {
            self.limits().give_back(&request.address);
        }
        given
    }

    async fn send(&self, address: &str, coins: Vec<Coin>) -> Result<Gift, Refusal> {
        let amount = gift_text(&coins);
        let message = MsgSend {
            from_address: self.sender.address().to_owned(),
            to_address: address.to_owned(),
            amount: coins.into_iter().map(Into::into).collect(),
        };
        let sent = self
            .sender
            .send_and_wait(vec![any(&message)], Fee::Auto, INCLUSION)
            .await;
        match sent {
            Ok(outcome) => {
                info!(address, amount, hash = %outcome.hash, "given");
                Ok(Gift {
                    address: address.to_owned(),
                    amount,
                    hash: outcome.hash,
                    height: outcome.height,
                })
            }
            Err(error) => {
                warn!(address, %error, "cannot send the gift");
                Err(Refusal::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    error.to_string(),
                ))
            }
        }
    }

    /// The coins of a request.
    fn coins(&self, denom: Option<&str>) -> Result<Vec<Coin>, String> {
        let Some(denom) = denom else {
            return Ok(self.gift.clone());
        };
        let coins: Vec<Coin> = self
            .gift
            .iter()
            .filter(|coin| coin.denom == denom)
            .cloned()
            .collect();
        match coins.is_empty() {
            true => Err(format!(
                "this faucet does not give `{denom}`, only {}",
                gift_text(&self.gift)
            )),
            false => Ok(coins),
        }
    }

    fn limits(&self) -> std::sync::MutexGuard<'_, Limits> {
        self.limits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn gift_text(coins: &[Coin]) -> String {
    let texts = coins
        .iter()
        .map(|coin| format!("{}{}", coin.amount, coin.denom));
    texts.collect::<Vec<_>>().join(",")
}

impl Refusal {
    fn new(status: StatusCode, reason: impl Into<String>) -> Self {
        Self {
            status,
            reason: reason.into(),
            retry_after: None,
        }
    }

    fn too_early(wait: Duration) -> Self {
        let seconds = wait.as_secs() + 1;
        Self {
            status: StatusCode::TOO_MANY_REQUESTS,
            reason: format!("too many requests; try again in {seconds} s"),
            retry_after: Some(Duration::from_secs(seconds)),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let body = Json(json!({"error": self.reason}));
        match self.retry_after {
            Some(wait) => {
                let wait = wait.as_secs().to_string();
                (self.status, [(header::RETRY_AFTER, wait)], body).into_response()
            }
            None => (self.status, body).into_response(),
        }
    }
}
