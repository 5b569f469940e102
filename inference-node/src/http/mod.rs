//! The OpenAI-compatible server.

mod failure;
mod openai;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::stream::{self, Stream, StreamExt};
use poq_client::worker::Health;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::compute::{Compute, Error as ComputeError, Reply};
use crate::generator::{Completion, Finish};
use failure::Failure;

/// Largest request body, bytes; more than any prompt that fits a context.
const MAX_BODY: usize = 1 << 20;
/// Parts of an answer that wait for a slow reader before generation waits for it too.
const DELTAS: usize = 64;

/// What the handlers share.
struct Server {
    compute: Compute,
    model: String,
    max_tokens: usize,
    started: u64,
    requests: AtomicU64,
}

/// The server's routes. Answers have at most `max_tokens` tokens; `health` tells how the node does.
pub fn router(compute: Compute, health: &Health, model: &str, max_tokens: usize) -> Router {
    let server = Arc::new(Server {
        compute,
        model: model.to_owned(),
        max_tokens,
        started: now(),
        requests: AtomicU64::new(0),
    });
    Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/models", get(models))
        .fallback(|| async {
            Failure::new(StatusCode::NOT_FOUND, "no such path; see GET /v1/models")
        })
        .method_not_allowed_fallback(|| async {
            Failure::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "the path does not have this method",
            )
        })
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .with_state(server)
        .merge(health.routes())
}

async fn models(State(server): State<Arc<Server>>) -> Json<Value> {
    Json(json!({
        "object": "list",
        "data": [{
            "id": server.model,
            "object": "model",
            "created": server.started,
            "owned_by": "poq",
            "context_window": server.compute.context_tokens(),
        }],
    }))
}

async fn chat(
    State(server): State<Arc<Server>>,
    body: Result<Json<openai::ChatRequest>, JsonRejection>,
) -> Result<Response, Failure> {
    let Json(body) = body?;
    if body.model() != server.model {
        let message = format!(
            "this node serves `{}`, not `{}`",
            server.model,
            body.model()
        );
        return Err(Failure::new(StatusCode::NOT_FOUND, message)
            .param("model")
            .code("model_not_found"));
    }
    let number = server.requests.fetch_add(1, Ordering::Relaxed);
    let answer = openai::Answer {
        id: format!("chatcmpl-{:x}-{number:x}", server.started),
        created: now(),
        model: server.model.clone(),
    };
    let (is_stream, include_usage) = (body.stream, body.include_usage());
    let seed = server.started.rotate_left(32) ^ number;
    let recommended = server.compute.recommended();
    let request = body.into_request(server.max_tokens, recommended, seed)?;
    if is_stream {
        let (sender, deltas) = mpsc::channel(DELTAS);
        let reply = server.compute.guest(request, Some(sender))?;
        return open_stream(answer, deltas, reply, include_usage).await;
    }
    let completion = received(server.compute.guest(request, None)?.await)?;
    Ok(Json(answer.completion(&completion)).into_response())
}

type Outcome = Result<Result<Completion, ComputeError>, tokio::sync::oneshot::error::RecvError>;

fn received(outcome: Outcome) -> Result<Completion, Failure> {
    let completion = outcome.map_err(|_| ComputeError::ShuttingDown)??;
    if completion.finish == Finish::Cancelled && completion.text.is_empty() {
        let message = "the model had not said a word when the time was up; ask for less";
        return Err(Failure::new(StatusCode::GATEWAY_TIMEOUT, message));
    }
    Ok(completion)
}

/// Starts the stream once the first text is there, so that a refused prompt is an error with a
/// status and not a broken stream.
async fn open_stream(
    answer: openai::Answer,
    mut deltas: mpsc::Receiver<String>,
    reply: Reply,
    include_usage: bool,
) -> Result<Response, Failure> {
    let first = deltas.recv().await;
    // No text at all: the reply says why before anything is sent.
    let (first, reply) = match first {
        Some(text) => (Some(text), Err(reply)),
        None => (None, Ok(received(reply.await)?)),
    };
    let opening = stream::once(std::future::ready(answer.opening()));
    let parts = opening
        .chain(texts(answer.clone(), first, deltas))
        .chain(stream::once(end(answer, reply, include_usage)).flat_map(stream::iter))
        .map(|value| Ok::<_, Infallible>(Event::default().data(value.to_string())))
        .chain(stream::once(std::future::ready(Ok(
            Event::default().data("[DONE]")
        ))));
    Ok(Sse::new(parts).into_response())
}

fn texts(
    answer: openai::Answer,
    first: Option<String>,
    deltas: mpsc::Receiver<String>,
) -> impl Stream<Item = Value> {
    let later = stream::unfold(deltas, async |mut deltas| {
        Some((deltas.recv().await?, deltas))
    });
    stream::iter(first)
        .chain(later)
        .map(move |text| answer.delta(&text))
}

async fn end(
    answer: openai::Answer,
    reply: Result<Completion, Reply>,
    include_usage: bool,
) -> Vec<Value> {
    let outcome = match reply {
        Ok(completion) => Ok(completion),
        Err(reply) => received(reply.await),
    };
    match outcome {
        Ok(completion) => {
            let usage = include_usage.then(|| answer.usage(&completion));
            [Some(answer.ending(completion.finish)), usage]
                .into_iter()
                .flatten()
                .collect()
        }
        Err(failure) => vec![failure.body()],
    }
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |time| time.as_secs())
}

#[cfg(test)]
mod tests;
