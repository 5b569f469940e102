//! A gateway with its chain and its nodes.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::http::{HeaderMap, Request, StatusCode};
use axum::response::Response;
use poq_client::Key;
use poq_worker::Health;
use poq_worker::program::http_server::{self, Limits};
use poq_worker::program::{logging, metrics};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::runtime::{Builder, Runtime};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

use super::crashes::Life;
use super::quality::estimates;
use crate::api::{self, Api, Door};
use crate::chain::Chain;
use crate::deposits::Deposits;
use crate::keys::{Account, Credits, Secret};
use crate::played::{PlayedChain, PlayedNode};
use crate::pool::{Catalog, Keeper, Roster, Settings, Snapshot};
use crate::relay::{Relay, Timing};
use crate::store::{Store, groups, keys, orders};
use crate::telemetry;

/// The chain's model.
pub(super) const MODEL: &str = "played-model";
/// How long anything may take.
pub(super) const SOON: Duration = Duration::from_secs(60);

/// A running gateway.
pub(super) struct World {
    pub(super) chain: PlayedChain,
    pub(super) nodes: Vec<PlayedNode>,
    pub(super) store: Arc<Store>,
    pub(super) roster: Arc<Roster>,
    pub(super) catalog: Arc<Catalog>,
    pub(super) credits: Arc<Credits>,
    pub(super) key: String,
    /// How long the gateway's process lives.
    pub(super) life: Life,
    router: Router,
    folder: tempfile::TempDir,
    process: Process,
}

/// The gateway's tasks, which end with it wherever they are, as in a kill.
struct Process(Option<Runtime>);

impl Drop for Process {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

impl Process {
    fn runtime(&self) -> &Runtime {
        self.0.as_ref().unwrap()
    }
}

/// A response that was read to its end.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) text: String,
}

impl Answered {
    pub(super) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap()
    }

    /// The data of a stream's events, without the last `[DONE]`, which must be there.
    pub(super) fn chunks(&self) -> Vec<Value> {
        assert_eq!(self.status, StatusCode::OK, "{}", self.text);
        assert!(!self.text.lines().any(|line| line.starts_with("id:")));
        let data: Vec<_> = self
            .text
            .lines()
            .filter_map(|line| line.strip_prefix("data: "))
            .collect();
        let (last, chunks) = data.split_last().unwrap();
        assert_eq!(*last, "[DONE]");
        chunks
            .iter()
            .map(|chunk| serde_json::from_str(chunk).unwrap())
            .collect()
    }

    /// The text of a stream.
    pub(super) fn streamed(&self) -> String {
        let chunks = self.chunks();
        let parts = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str());
        parts.collect()
    }

    pub(super) fn code(&self) -> Value {
        self.json()["error"]["code"].clone()
    }
}

/// The database in a gateway's home.
pub(super) fn database(home: &Path) -> PathBuf {
    let data = home.join("data");
    std::fs::create_dir_all(&data).unwrap();
    data.join("gateway.db")
}

/// The route to the metrics of all gateways in this process.
fn measured(runtime: &Runtime) -> Router {
    static ROUTES: OnceLock<Router> = OnceLock::new();
    let routes = ROUTES.get_or_init(|| {
        let _guard = runtime.enter();
        let routes = metrics::routes(CancellationToken::new()).unwrap();
        telemetry::describe();
        routes
    });
    routes.clone()
}

/// The body of a chat with one question.
pub(super) fn question(text: &str) -> Value {
    json!({ "model": MODEL, "messages": [{ "role": "user", "content": text }], "seed": 1 })
}

/// The same, streamed.
pub(super) fn streamed(text: &str) -> Value {
    let mut body = question(text);
    body["stream"] = true.into();
    body
}

impl World {
    /// A gateway with as many nodes, and a set of two sessions opened.
    pub(super) async fn with_nodes(count: usize) -> Self {
        Self::with_timing(count, Timing::default()).await
    }

    /// The same, with other patience for nodes.
    pub(super) async fn with_timing(count: usize, timing: Timing) -> Self {
        let chain = PlayedChain::default();
        let mut nodes = Vec::new();
        for number in 0..count {
            nodes.push(PlayedNode::start(&format!("node{number}"), &chain).await);
        }
        let folder = tempfile::tempdir().unwrap();
        let mut world = Self::start(chain, nodes, folder, String::new(), timing).await;
        world.use_key(keys::Key::default()).await;
        let open = count.min(2);
        world.until(|world| world.roster.all().len() >= open).await;
        world
    }

    /// Goes on with a new key like this one.
    pub(super) async fn use_key(&mut self, key: keys::Key) {
        let secret = Secret::random();
        let key = keys::Key {
            name: "test".into(),
            prefix: secret.prefix.clone(),
            ..key
        };
        let digest = secret.digest;
        let add = move |db: &rusqlite::Connection| keys::add(db, digest, &key);
        self.store.write(add).await.unwrap();
        self.key = secret.text;
    }

    /// Goes on with a key of a new group; returns the group's row.
    pub(super) async fn use_group(&mut self, name: &'static str, credit: u64) -> i64 {
        let add = move |db: &rusqlite::Connection| {
            let group = groups::add(db, name)?.unwrap();
            groups::top_up(db, group, credit)?;
            Ok(group)
        };
        let group = self.store.write(add).await.unwrap();
        self.use_key(keys::Key {
            group: Some(group),
            ..keys::Key::default()
        })
        .await;
        group
    }

    /// What a group has, base units.
    pub(super) fn credit(&self, group: i64) -> u64 {
        self.store.read(|db| groups::get(db, group)).unwrap().credit
    }

    async fn start(
        chain: PlayedChain,
        nodes: Vec<PlayedNode>,
        folder: tempfile::TempDir,
        key: String,
        timing: Timing,
    ) -> Self {
        if std::env::var_os("RUST_LOG").is_some() {
            logging::init(logging::Format::Text);
        }
        let life = Life::default();
        let path = database(folder.path());
        let store = Arc::new(Store::open_while(&path, life.lives()).unwrap());
        let models = chain.models().await.unwrap().into_iter();
        let catalog = Arc::new(Catalog::new(Snapshot {
            models: models.map(|model| (model.id.clone(), model)).collect(),
            params: chain.params().await.unwrap(),
            height: chain.height().await.unwrap(),
            seen: Instant::now(),
            is_poor: false,
        }));
        let roster = Arc::new(Roster::default());
        let settings = Settings {
            models: vec![MODEL.into()],
            nodes: 2,
            escrow: 20_000_000,
            blocks: 3_000,
            allow_private: true,
        };
        let shared: Arc<dyn Chain> = Arc::new(chain.clone());
        let account = Key::from_bytes(&[5; 32]).unwrap();
        let health = Health::default();
        let keeper = Keeper::new(
            shared.clone(),
            account,
            store.clone(),
            (roster.clone(), catalog.clone()),
            settings,
            health.clone(),
        );
        let runtime = Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        runtime.spawn(keeper.run(CancellationToken::new()));
        health.started();
        let denom = chain.params().await.unwrap().denom;
        let deposits = Deposits {
            chain: shared.clone(),
            store: store.clone(),
            denom: denom.clone(),
            health: health.clone(),
        };
        runtime.spawn(deposits.run(CancellationToken::new()));
        let account = Account {
            address: chain.address().await.unwrap(),
            denom,
        };
        let credits = Arc::new(Credits::new(store.clone(), account));
        let mut relay = Relay::new(
            store.clone(),
            roster.clone(),
            catalog.clone(),
            credits.clone(),
        );
        relay.timing = timing;
        relay.estimates = estimates(&runtime, (store.clone(), roster.clone()));
        let relay = Arc::new(relay);
        let api = Arc::new(Api {
            relay,
            chain: shared,
            usage: Arc::default(),
            door: Door::new(false),
        });
        Self {
            router: api::router(api, health.routes().merge(measured(&runtime))),
            chain,
            nodes,
            store,
            roster,
            catalog,
            credits,
            key,
            life,
            folder,
            process: Process(Some(runtime)),
        }
    }

    /// Kills the gateway and starts it again from what it stored.
    pub(super) async fn restart(self) -> Self {
        drop((self.process, self.router, self.roster, self.credits));
        while Arc::strong_count(&self.store) > 1 {
            sleep(Duration::from_millis(5)).await;
        }
        drop(self.store);
        let timing = Timing::default();
        Self::start(self.chain, self.nodes, self.folder, self.key, timing).await
    }

    /// The gateway's home.
    pub(super) fn home(&self) -> &Path {
        self.folder.path()
    }

    /// Sends a request and returns the beginning of its response.
    pub(super) async fn begin(&self, request: Request<Body>) -> Response {
        let sent = self
            .process
            .runtime()
            .spawn(self.router.clone().oneshot(request));
        timeout(SOON, sent).await.unwrap().unwrap().unwrap()
    }

    /// Sends a request and reads its response to the end.
    pub(super) async fn send(&self, request: Request<Body>) -> Answered {
        let response = self.begin(request).await;
        let (parts, body) = response.into_parts();
        let body = timeout(SOON, to_bytes(body, usize::MAX))
            .await
            .unwrap()
            .unwrap();
        Answered {
            status: parts.status,
            headers: parts.headers,
            text: String::from_utf8(body.to_vec()).unwrap(),
        }
    }

    /// Serves the interface on a free port; returns its address for OpenAI's clients.
    pub(super) async fn serve(&self) -> String {
        format!("http://{}/v1", self.serve_at().await)
    }

    /// Serves the interface on a free port.
    pub(super) async fn serve_at(&self) -> SocketAddr {
        let limits = Limits {
            request: SOON * 6,
            ..Limits::default()
        };
        self.serve_with(limits).await
    }

    /// Serves the interface on a free port with other limits.
    pub(super) async fn serve_with(&self, limits: Limits) -> SocketAddr {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let router = self.router.clone();
        let serving = http_server::serve(listener, router, limits, CancellationToken::new());
        self.process.runtime().spawn(serving);
        address
    }

    /// A chat request with this body.
    pub(super) fn request(&self, body: &Value) -> Request<Body> {
        self.post("/v1/chat/completions", body)
    }

    /// A request to another path.
    pub(super) fn post(&self, path: &str, body: &Value) -> Request<Body> {
        Request::post(path)
            .header("authorization", format!("Bearer {}", self.key))
            .body(Body::from(body.to_string()))
            .unwrap()
    }

    pub(super) async fn ask(&self, body: &Value) -> Answered {
        self.send(self.request(body)).await
    }

    /// Asks again while all nodes are busy.
    pub(super) async fn ask_patiently(&self, body: &Value) -> Answered {
        loop {
            let answered = self.ask(body).await;
            if answered.status != StatusCode::TOO_MANY_REQUESTS {
                return answered;
            }
        }
    }

    /// Asks again while sessions are being opened.
    pub(super) async fn ask_until_open(&self, body: &Value) -> Answered {
        loop {
            let answered = self.ask(body).await;
            if answered.status != StatusCode::SERVICE_UNAVAILABLE {
                return answered;
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    pub(super) async fn get(&self, path: &str) -> Answered {
        let request = Request::get(path)
            .header("x-api-key", &self.key)
            .body(Body::empty())
            .unwrap();
        self.send(request).await
    }

    /// Waits until something is so.
    pub(super) async fn until(&self, is_so: impl Fn(&Self) -> bool) {
        let waiting = async {
            while !is_so(self) {
                sleep(Duration::from_millis(20)).await;
            }
        };
        timeout(SOON, waiting).await.unwrap();
    }

    /// Waits until all answers are acknowledged, and checks that exactly these were charged.
    pub(super) async fn settle(&self, given_away: u64) {
        self.until(|world| {
            let accounts = world.nodes.iter().map(PlayedNode::account);
            let is_clear = world
                .roster
                .all()
                .iter()
                .all(|live| !live.inner().is_unclear());
            is_clear
                && accounts
                    .into_iter()
                    .all(|(written, acknowledged, _)| written == acknowledged)
        })
        .await;
        let amount: u64 = self.nodes.iter().map(|node| node.account().2).sum();
        assert_eq!(self.charged() + given_away, amount);
        for node in &self.nodes {
            assert!(node.exposure() <= 4 * 500_000, "at most a window of orders");
        }
    }

    /// What API keys paid.
    pub(super) fn charged(&self) -> u64 {
        let sessions = self.chain.records();
        let charged = sessions.iter().map(|session| {
            self.store
                .read(|db| orders::charged(db, session.id))
                .unwrap()
        });
        charged.sum()
    }
}
