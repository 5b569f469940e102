//! Whether a worker lives and whether it can do duties, for those who watch it over HTTP.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics::gauge;
use poq_proto::v1::{Node, NodeStatus, Role};
use serde_json::json;
use tokio::time::interval;
use tracing::{error, info};

use crate::{Client, Result, found};

/// Longest time between two signs of life of a worker's loop.
const SILENCE: Duration = Duration::from_secs(120);
/// Pause between two looks at the node and at the operator's registration.
const WATCH_PAUSE: Duration = Duration::from_secs(5);
/// Looks between two reminders of a jail.
const REMINDER: u32 = 12;

/// What keeps a worker from doing its duties, by who found it. Clones share it.
#[derive(Clone)]
pub struct Health(Arc<Mutex<State>>);

struct State {
    beat: Instant,
    silence: Duration,
    dead: Option<String>,
    problems: BTreeMap<&'static str, String>,
}

impl Default for Health {
    /// A worker that lives and has not started yet.
    fn default() -> Self {
        Self::with_silence(SILENCE)
    }
}

impl Health {
    fn with_silence(silence: Duration) -> Self {
        Self(Arc::new(Mutex::new(State {
            beat: Instant::now(),
            silence,
            dead: None,
            problems: BTreeMap::from([("worker", "it has not started yet".to_owned())]),
        })))
    }

    /// The worker's loop goes round.
    pub fn beat(&self) {
        self.lock().beat = Instant::now();
    }

    /// Something that the worker cannot do without is lost; only a restart helps.
    pub fn lose(&self, reason: impl Into<String>) {
        self.lock().dead.get_or_insert(reason.into());
    }

    /// What `part` of the worker lacks, or that it lacks nothing any more.
    pub fn set(&self, part: &'static str, problem: Option<String>) {
        let mut state = self.lock();
        match problem {
            Some(problem) => state.problems.insert(part, problem),
            None => state.problems.remove(part),
        };
        gauge!("poq_worker_ready").set(f64::from(u8::from(state.problems.is_empty())));
    }

    /// The loop goes round; what else is missing says `/ready`.
    pub fn started(&self) {
        self.beat();
        self.set("worker", None);
    }

    /// Why the worker must be restarted, if it must.
    pub fn fault(&self) -> Option<String> {
        let state = self.lock();
        let silence = state.beat.elapsed();
        let is_silent = silence > state.silence && !state.problems.contains_key("worker");
        let stalled = || format!("the loop has not gone round for {} s", silence.as_secs());
        state.dead.clone().or_else(|| is_silent.then(stalled))
    }

    /// What keeps the worker from its duties, by part; empty if nothing does.
    pub fn problems(&self) -> BTreeMap<&'static str, String> {
        let fault = self.fault();
        let mut problems = self.lock().problems.clone();
        problems.extend(fault.map(|fault| ("process", fault)));
        problems
    }

    /// `GET /health`: 200 while the process lives, 503 once only a restart helps.
    /// `GET /ready`: 200 while duties can be done, else 503; both say why as JSON.
    pub fn routes(&self) -> Router {
        let (health, ready) = (self.clone(), self.clone());
        Router::new()
            .route("/health", get(move || async move { health.health() }))
            .route("/ready", get(move || async move { ready.ready() }))
    }

    fn health(&self) -> Response {
        match self.fault() {
            None => Json(json!({ "status": "ok" })).into_response(),
            Some(reason) => {
                let body = json!({ "status": "failed", "reason": reason });
                (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
            }
        }
    }

    fn ready(&self) -> Response {
        let problems = self.problems();
        if problems.is_empty() {
            return Json(json!({ "status": "ready" })).into_response();
        }
        let reason: Vec<String> = problems
            .iter()
            .map(|(part, problem)| format!("{part}: {problem}"))
            .collect();
        let body =
            json!({ "status": "not ready", "reason": reason.join("; "), "problems": problems });
        (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Looks again and again whether the node has caught up and the operator is registered, is not
/// jailed and has no model beside those that are `served`; for ever.
pub async fn watch(
    client: Client,
    role: Role,
    operator: String,
    served: Vec<String>,
    health: Health,
) {
    let mut ticks = interval(WATCH_PAUSE);
    let mut watch = Watch { jailed_looks: 0 };
    loop {
        ticks.tick().await;
        let chain = behind(&client).await;
        health.set(
            "node",
            chain.unwrap_or_else(|error| Some(error.to_string())),
        );
        // A node that does not answer says nothing new about the registration.
        if let Ok(node) = found(client.node(role, &operator).await) {
            watch.warn_of_jail(&operator, node.as_ref());
            health.set("registration", unfit(node.as_ref(), &served));
        }
    }
}

async fn behind(client: &Client) -> Result<Option<String>> {
    let status = client.status().await?;
    Ok(status.catching_up.then(|| {
        let height = status.latest_height;
        format!("it is catching up and at height {height}")
    }))
}

/// What of the registration keeps the node from all of its duties.
fn unfit(node: Option<&Node>, served: &[String]) -> Option<String> {
    let Some(node) = node else {
        return Some("the operator is not registered".into());
    };
    if node.status() == NodeStatus::Jailed {
        let until = node.jailed_until;
        return Some(format!("jailed until height {until}; then unjail it"));
    }
    let missing = super::unserved(node, served);
    (!missing.is_empty()).then(|| format!("registered for {}, not served here", missing.join(", ")))
}

struct Watch {
    jailed_looks: u32,
}

impl Watch {
    fn warn_of_jail(&mut self, operator: &str, node: Option<&Node>) {
        let jailed = node.filter(|node| node.status() == NodeStatus::Jailed);
        gauge!("poq_worker_jailed").set(f64::from(u8::from(jailed.is_some())));
        match jailed {
            Some(node) => {
                if self.jailed_looks.is_multiple_of(REMINDER) {
                    error!(
                        operator,
                        until = node.jailed_until,
                        missed = node.duties_missed,
                        slashed = node.slashed,
                        "JAILED: the node gets no duties and earns nothing; find out what it \
                         missed, then `poqd tx poq unjail` from that height on"
                    );
                }
                self.jailed_looks = self.jailed_looks.wrapping_add(1);
            }
            None if self.jailed_looks > 0 => {
                self.jailed_looks = 0;
                info!(operator, "out of jail");
            }
            None => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicI32, Ordering};

    use poq_proto::v1::QueryNodeResponse;
    use tokio::time::{sleep, timeout};

    use super::*;
    use crate::fake_node::{self, FakeNode};

    #[tokio::test]
    async fn the_node_and_the_registration_are_watched() {
        let status = Arc::new(AtomicI32::new(NodeStatus::Jailed.into()));
        let shared = status.clone();
        let node = FakeNode::start(move |method, _| {
            Ok(match method {
                "status" => fake_node::status("poq-local-1", 7),
                _ => fake_node::found(&QueryNodeResponse {
                    node: Some(Node {
                        models: vec!["m".into()],
                        status: shared.load(Ordering::Relaxed),
                        ..Node::default()
                    }),
                }),
            })
        })
        .await;
        let health = Health::default();
        health.started();
        let is = async |expected: &str| {
            let client = Client::new(&node.url).unwrap();
            let served = vec!["m".to_owned()];
            let watch = watch(
                client,
                Role::Evaluator,
                "poq1".into(),
                served,
                health.clone(),
            );
            let holds = async {
                while !format!("{:?}", health.problems()).contains(expected) {
                    sleep(Duration::from_millis(1)).await;
                }
            };
            let found = async {
                tokio::select! {
                    () = watch => {}
                    () = holds => {}
                }
            };
            timeout(Duration::from_secs(30), found).await.unwrap();
        };
        is("jailed until").await;
        assert!(!health.problems().contains_key("node"));
        status.store(NodeStatus::Active.into(), Ordering::Relaxed);
        is("{}").await;
        drop(node);
        let client = Client::new("http://127.0.0.1:1").unwrap();
        assert!(behind(&client).await.is_err());
    }

    #[test]
    fn a_worker_is_ready_when_it_runs_and_nothing_is_missing() {
        let health = Health::default();
        assert_eq!(health.ready().status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(health.health().status(), StatusCode::OK);
        health.started();
        assert_eq!(health.ready().status(), StatusCode::OK);
        health.set("journal", Some("no space".into()));
        assert_eq!(health.problems()["journal"], "no space");
        assert_eq!(health.ready().status(), StatusCode::SERVICE_UNAVAILABLE);
        health.set("journal", None);
        assert_eq!(health.ready().status(), StatusCode::OK);
    }

    #[test]
    fn a_lost_engine_or_a_silent_loop_is_a_fault() {
        let health = Health::with_silence(Duration::ZERO);
        std::thread::sleep(Duration::from_millis(2));
        assert_eq!(
            health.fault(),
            None,
            "a loop that has not begun owes no beat"
        );
        health.started();
        std::thread::sleep(Duration::from_millis(2));
        assert!(health.fault().unwrap().contains("gone round"));

        let health = Health::default();
        health.started();
        assert_eq!(health.fault(), None);
        health.lose("the engine is gone");
        assert_eq!(health.health().status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(health.problems()["process"], "the engine is gone");
    }

    #[test]
    fn a_registration_is_fit_for_duties_or_says_why_not() {
        let mut node = Node {
            models: vec!["a".into(), "b".into()],
            status: NodeStatus::Active.into(),
            ..Node::default()
        };
        let served = ["a".to_owned(), "b".to_owned()];
        assert_eq!(unfit(Some(&node), &served), None);
        assert!(unfit(Some(&node), &served[..1]).unwrap().contains("for b,"));
        assert!(unfit(None, &served).unwrap().contains("not registered"));
        node.set_status(NodeStatus::Jailed);
        node.jailed_until = 70;
        assert!(unfit(Some(&node), &served).unwrap().contains("height 70"));
    }

    #[test]
    fn a_jail_is_told_again_and_again_until_it_is_over() {
        let node = |status: NodeStatus| Node {
            status: status.into(),
            ..Node::default()
        };
        let mut watch = Watch { jailed_looks: 0 };
        for looks in 1..=3 {
            watch.warn_of_jail("poq1", Some(&node(NodeStatus::Jailed)));
            assert_eq!(watch.jailed_looks, looks);
        }
        watch.warn_of_jail("poq1", Some(&node(NodeStatus::Active)));
        assert_eq!(watch.jailed_looks, 0);
    }
}
