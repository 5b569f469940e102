//! Liveness and readiness of a worker, served over HTTP.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use metrics::gauge;
use serde_json::json;

/// Longest time between two iterations of a worker's loop.
const SILENCE: Duration = Duration::from_secs(120);

/// What keeps a worker from doing its duties, by the part that reported it. Clones share it.
#[derive(Clone)]
pub struct Health(Arc<Mutex<State>>);

struct State {
    beat: Instant,
    silence: Duration,
    dead: Option<String>,
    problems: BTreeMap<&'static str, String>,
}

impl Default for Health {
    /// A worker that is alive but has not started yet.
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

    /// Records an iteration of the worker's loop.
    pub fn beat(&self) {
        self.lock().beat = Instant::now();
    }

    /// Records the loss of something essential; only a restart helps.
    pub fn lose(&self, reason: impl Into<String>) {
        self.lock().dead.get_or_insert(reason.into());
    }

    /// Sets or clears the problem of a part of the worker.
    pub fn set(&self, part: &'static str, problem: Option<String>) {
        let mut state = self.lock();
        match problem {
            Some(problem) => state.problems.insert(part, problem),
            None => state.problems.remove(part),
        };
        gauge!("poq_worker_ready").set(f64::from(u8::from(state.problems.is_empty())));
    }

    /// The loop has started; `/ready` reports remaining problems.
    pub fn started(&self) {
        self.beat();
        self.set("worker", None);
    }

    /// Why the worker must be restarted, if it must.
    pub fn fault(&self) -> Option<String> {
        let state = self.lock();
        let silence = state.beat.elapsed();
        let is_silent = silence > state.silence && !state.problems.contains_key("worker");
        let stalled = || format!("the loop has not run for {} s", silence.as_secs());
        state.dead.clone().or_else(|| is_silent.then(stalled))
    }

    /// The problems that keep the worker from its duties, by part; empty if none.
    pub fn problems(&self) -> BTreeMap<&'static str, String> {
        let fault = self.fault();
        let mut problems = self.lock().problems.clone();
        problems.extend(fault.map(|fault| ("process", fault)));
        problems
    }

    /// `GET /health`: 200 while the process is alive, 503 once only a restart helps. `GET /ready`:
    /// 200 while duties can be done, else 503. Both give the reason as JSON.
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

#[cfg(test)]
mod tests {
    use super::*;

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
            "a loop that has not started cannot stall"
        );
        health.started();
        std::thread::sleep(Duration::from_millis(2));
        assert!(health.fault().unwrap().contains("has not run"));

        let health = Health::default();
        health.started();
        assert_eq!(health.fault(), None);
        health.lose("the engine is gone");
        assert_eq!(health.health().status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(health.problems()["process"], "the engine is gone");
    }
}
