//! The OpenAI-compatible server.

mod access;
mod answer;
mod chat;
mod completions;
mod failure;
mod settings;
mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router, middleware};
use poq_worker::Health;
use poq_worker::program::http_server;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::compute::{Compute, Error as ComputeError, Reply};
use crate::generator::{Completion, Finish, Prompt};
use answer::{Answer, Kind};
use chat::ChatRequest;
use completions::CompletionRequest;
use failure::Failure;
use settings::{Defaults, Settings};
use stream::Generation;

pub(crate) use access::Guests;
pub(crate) use stream::Pauses;

/// Largest request body in bytes; more than any prompt that fits a context.
const MAX_BODY: usize = 1 << 20;
/// Chunks buffered for a slow reader before generation waits.
const DELTAS: usize = 64;

/// Settings of the server.
pub(crate) struct Service {
    /// Id of the model.
    pub model: String,
    /// Most tokens of an answer.
    pub max_tokens: usize,
    /// Who may ask.
    pub guests: Guests,
    /// Origins of web pages that may use the server; `*` means every origin.
    pub origins: Vec<String>,
    /// Timing of a stream without text.
    pub pauses: Pauses,
}

/// Shared state of the handlers.
struct Server {
    compute: Compute,
    model: String,
    max_tokens: usize,
    pauses: Pauses,
    started: u64,
    requests: AtomicU64,
}

/// The server's routes; `health` reports the node's health.
pub(crate) fn router(compute: Compute, health: &Health, service: Service) -> Router {
    let server = Arc::new(Server {
        compute,
        model: service.model,
        max_tokens: service.max_tokens,
        pauses: service.pauses,
        started: now(),
        requests: AtomicU64::new(0),
    });
    let guests = Arc::new(service.guests);
    let origins = Arc::new(service.origins);
    Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/completions", post(complete))
        .route("/v1/models", get(models))
        .route("/v1/models/{*id}", get(model))
        .route_layer(middleware::from_fn_with_state(guests, access::authorize))
        .fallback(|| async {
            Failure::new(StatusCode::NOT_FOUND, "no such path; see GET /v1/models")
        })
        .method_not_allowed_fallback(|| async {
            Failure::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method not allowed for this path",
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(server)
        .merge(health.routes())
        .layer(middleware::from_fn_with_state(origins, http_server::share))
}

async fn models(State(server): State<Arc<Server>>) -> Json<Value> {
    Json(json!({ "object": "list", "data": [server.description()] }))
}

async fn model(
    State(server): State<Arc<Server>>,
    Path(id): Path<String>,
) -> Result<Json<Value>, Failure> {
    server.check_model(&id)?;
    Ok(Json(server.description()))
}

async fn chat(
    State(server): State<Arc<Server>>,
    body: Result<Json<ChatRequest>, JsonRejection>,
) -> Result<Response, Failure> {
    let Json(body) = body?;
    server.check_model(&body.model)?;
    let (prompt, settings) = body.parts()?;
    server.answer(Kind::Chat, prompt, settings).await
}

async fn complete(
    State(server): State<Arc<Server>>,
    body: Result<Json<CompletionRequest>, JsonRejection>,
) -> Result<Response, Failure> {
    let Json(body) = body?;
    server.check_model(&body.model)?;
    let (prompt, settings) = body.parts()?;
    server.answer(Kind::Text, prompt, settings).await
}

impl Server {
    fn description(&self) -> Value {
        json!({
            "id": self.model,
            "object": "model",
            "created": self.started,
            "owned_by": "poq",
            "context_window": self.compute.context_tokens(),
        })
    }

    fn check_model(&self, id: &str) -> Result<(), Failure> {
        if id == self.model {
            return Ok(());
        }
        let message = format!("this node serves `{}`, not `{id}`", self.model);
        Err(Failure::new(StatusCode::NOT_FOUND, message)
            .param("model")
            .code("model_not_found"))
    }

    async fn answer(
        &self,
        kind: Kind,
        prompt: Prompt,
        settings: Settings,
    ) -> Result<Response, Failure> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        let answer = self.form(kind, number);
        let (is_stream, include_usage) = (settings.is_stream(), settings.include_usage());
        let request = settings.into_request(prompt, self.defaults(kind, number))?;
        if is_stream {
            let (sender, deltas) = mpsc::channel(DELTAS);
            let generation = Generation {
                answer,
                deltas,
                reply: self.compute.guest(request, Some(sender))?,
                include_usage,
                pauses: self.pauses,
            };
            return generation.open().await;
        }
        let completion = received(self.compute.guest(request, None)?.await)?;
        Ok(Json(answer.completion(&completion)).into_response())
    }

    fn form(&self, kind: Kind, number: u64) -> Answer {
        let prefix = match kind {
            Kind::Chat => "chatcmpl",
            Kind::Text => "cmpl",
        };
        Answer {
            kind,
            id: format!("{prefix}-{:x}-{number:x}", self.started),
            created: now(),
            model: self.model.clone(),
        }
    }

    fn defaults(&self, kind: Kind, number: u64) -> Defaults {
        Defaults {
            tokens: match kind {
                Kind::Chat => self.max_tokens,
                Kind::Text => completions::TOKENS,
            },
            most_tokens: self.max_tokens,
            recommended: self.compute.recommended(),
            seed: self.started.rotate_left(32) ^ number,
        }
    }
}

type Outcome = <Reply as Future>::Output;

fn received(outcome: Outcome) -> Result<Completion, Failure> {
    let completion = outcome.map_err(|_| ComputeError::ShuttingDown)??;
    if completion.finish == Finish::Cancelled && completion.text.is_empty() {
        let message = "the model produced no text in time; ask for less";
        return Err(Failure::new(StatusCode::GATEWAY_TIMEOUT, message));
    }
    Ok(completion)
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod clients_tests;
#[cfg(test)]
mod tests;
