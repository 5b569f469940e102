//! Kills the gateway before and after its commits, while nodes fail too. A killed gateway is what is in its
//! database; its clients ask again.

use std::collections::BTreeSet;
use std::mem::take;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures::future::join_all;
use poq_proto::v1;
use prost::Message;
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use super::world::{Answered, World, question, streamed};
use crate::played::{Behaviour, PlayedNode};

/// Kills, or as many as `POQ_CRASH_RUNS` says.
const KILLS: usize = 300;
/// Gateways that live and die at the same time.
const WORLDS: usize = 6;
/// How often a client asks again.
const TRIES: usize = 4;

/// How many moments before and after commits a gateway has left.
#[derive(Clone)]
pub(super) struct Life {
    left: Arc<AtomicU64>,
    over: CancellationToken,
}

impl Default for Life {
    fn default() -> Self {
        Self {
            left: Arc::new(AtomicU64::new(u64::MAX)),
            over: CancellationToken::new(),
        }
    }
}

impl Life {
    fn ends_after(&self, moments: u64) {
        self.left.store(moments, Ordering::SeqCst);
    }

    /// Asked at each moment.
    pub(super) fn lives(&self) -> impl FnMut() -> bool + Send + 'static {
        let life = self.clone();
        move || {
            let one_less = |left: u64| Some(left.saturating_sub(1));
            let order = Ordering::SeqCst;
            let lives = life.left.fetch_update(order, order, one_less).unwrap() > 0;
            if !lives {
                life.over.cancel();
            }
            lives
        }
    }
}

/// A request that is repeated until it is answered.
struct Asked {
    key: String,
    body: Value,
    tries: usize,
}

impl Asked {
    fn new(world: u64, number: usize, random: &mut StdRng) -> Self {
        let text = format!(
            "{world}: {number} {}",
            "why ".repeat(random.gen_range(0..20))
        );
        let body = match random.gen_bool(0.5) {
            true => question(&text),
            false => streamed(&text),
        };
        Self {
            key: format!("{world}-{number}"),
            body,
            tries: 0,
        }
    }

    fn request(&self, world: &World) -> Request<Body> {
        let mut request = world.request(&self.body);
        let headers = request.headers_mut();
        headers.insert("idempotency-key", self.key.parse().unwrap());
        let tries = self.tries.to_string().parse().unwrap();
        headers.insert("x-stainless-retry-count", tries);
        request
    }
}

/// The object `poq` of a whole answer.
fn receipt(answered: &Answered) -> Option<Value> {
    let is_whole = answered.status == StatusCode::OK && !answered.text.contains("\"error\"");
    let events = answered.text.lines();
    let objects = events.filter_map(|line| {
        let text = line.strip_prefix("data: ").unwrap_or(line);
        serde_json::from_str::<Value>(text).ok()
    });
    let mut found = objects.filter_map(|object| object.get("poq").cloned());
    found.find(|poq| is_whole && poq["receipt"].is_string())
}

struct History {
    seed: u64,
    random: StdRng,
    world: World,
    /// Requests so far.
    requests: usize,
    unanswered: Vec<Asked>,
}

impl History {
    async fn new(seed: u64) -> Self {
        Self {
            seed,
            random: StdRng::seed_from_u64(seed),
            world: World::with_nodes(2).await,
            requests: 0,
            unanswered: Vec::new(),
        }
    }

    /// Some requests, during which the gateway is killed. What clients have got is there afterwards.
    async fn live_and_die(mut self) -> Self {
        let fates = [
            Behaviour::Cut(9),
            Behaviour::SwallowAccept,
            Behaviour::SwallowOrder,
            Behaviour::Void,
            Behaviour::Plain,
            Behaviour::Plain,
        ];
        for node in &self.world.nodes {
            node.script(&[fates[self.random.gen_range(0..fates.len())]]);
        }
        let mut asked = take(&mut self.unanswered);
        for _ in 0..self.random.gen_range(1..4) {
            asked.push(Asked::new(self.seed, self.requests, &mut self.random));
            self.requests += 1;
        }
        self.world.life.ends_after(self.random.gen_range(0..20));
        let answers = asked.iter().map(|asked| self.ask(asked));
        let answers = join_all(answers).await;
        // It may not have come that far.
        self.world.life.ends_after(0);
        self.world = self.world.restart().await;
        self.world
            .until(|world| !world.roster.all().is_empty())
            .await;
        for (mut asked, answered) in asked.into_iter().zip(answers) {
            asked.tries += 1;
            match answered.as_ref().and_then(receipt) {
                Some(given) => self.check_receipt(&given).await,
                None if asked.tries < TRIES => self.unanswered.push(asked),
                None => {}
            }
        }
        self
    }

    /// Asks until the gateway is killed.
    async fn ask(&self, asked: &Asked) -> Option<Answered> {
        tokio::select! {
            biased;
            answered = self.world.send(asked.request(&self.world)) => Some(answered),
            () = self.world.life.over.cancelled() => None,
        }
    }

    async fn check_receipt(&self, given: &Value) {
        let id = given["receipt"].as_str().unwrap();
        let found = self.world.get(&format!("/v1/receipts/{id}")).await;
        assert_eq!(found.status, StatusCode::OK, "{id}: {}", found.text);
        assert_eq!(found.json()["leaf"], given["leaf"]);
        assert_eq!(found.json()["signature"], given["signature"]);
        assert_eq!(found.json()["charged"], given["charged"]);
    }

    /// Both sides agree, and no request was charged twice.
    async fn check(self) {
        let world = &self.world;
        world
            .until(|world| {
                let is_clear = world
                    .roster
                    .all()
                    .iter()
                    .all(|live| !live.inner().is_unclear());
                let mut accounts = world.nodes.iter().map(PlayedNode::account);
                is_clear && accounts.all(|(written, acknowledged, _)| written == acknowledged)
            })
            .await;
        let charged = world.store.read(|db| {
            let mut query = db.prepare(
                "SELECT leaf FROM ledger JOIN leaves USING (session, number) WHERE kind = 'charge'",
            )?;
            let leaves = query.query_map([], |row| row.get::<_, Vec<u8>>(0))?;
            leaves.collect::<Result<Vec<_>, _>>()
        });
        let mut requests = BTreeSet::new();
        for leaf in charged.unwrap() {
            let leaf = v1::Leaf::decode(leaf.as_slice()).unwrap();
            assert!(requests.insert(leaf.request), "a request is charged twice");
        }
        let amount: u64 = world.nodes.iter().map(|node| node.account().2).sum();
        assert!(world.charged() <= amount);
        world.settle(amount - world.charged()).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn no_kill_costs_a_receipt_or_a_second_charge() {
    let kills = std::env::var("POQ_CRASH_RUNS").map_or(KILLS, |kills| kills.parse().unwrap());
    let histories = (0..WORLDS as u64).map(|seed| {
        tokio::spawn(async move {
            let mut history = History::new(seed).await;
            for _ in 0..kills.div_ceil(WORLDS) {
                history = history.live_and_die().await;
            }
            history.check().await;
        })
    });
    for history in join_all(histories).await {
        history.unwrap();
    }
}
