//! The OpenAI-compatible server.

mod openai;

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::extract::rejection::JsonRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{StatusCode, header};
use axum::response::sse::{Event, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::stream::{self, Stream, StreamExt};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::compute::{Compute, Error as ComputeError, Reply};
use crate::generator::{Completion, Error as GeneratorError};

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

/// The server's routes. Answers have at most `max_tokens` tokens.
pub fn router(compute: Compute, model: &str, max_tokens: usize) -> Router {
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
        .route("/health", get(health))
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
}

async fn health(State(server): State<Arc<Server>>) -> Json<Value> {
    Json(json!({ "status": "ok", "model": server.model }))
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
    let request = body.into_request(server.max_tokens, seed)?;
    if is_stream {
        let (sender, deltas) = mpsc::channel(DELTAS);
        let reply = server.compute.guest(request, Some(sender))?;
        return open_stream(answer, deltas, reply, include_usage).await;
    }
    let completion = received(server.compute.guest(request, None)?.await)?;
    Ok(Json(answer.completion(&completion)).into_response())
}

type Outcome = Result<Result<Completion, GeneratorError>, tokio::sync::oneshot::error::RecvError>;

fn received(outcome: Outcome) -> Result<Completion, Failure> {
    Ok(outcome
        .map_err(|_| ComputeError::ShuttingDown)?
        .map_err(ComputeError::Generator)?)
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

/// An error in OpenAI's form.
#[derive(Debug)]
struct Failure {
    status: StatusCode,
    message: String,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

impl Failure {
    fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            param: None,
            code: None,
        }
    }

    fn param(self, param: &'static str) -> Self {
        Self {
            param: Some(param),
            ..self
        }
    }

    fn code(self, code: &'static str) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }

    fn body(&self) -> Value {
        let kind = match self.status.is_client_error() {
            true => "invalid_request_error",
            false => "server_error",
        };
        json!({ "error": {
            "message": self.message, "type": kind, "param": self.param, "code": self.code,
        } })
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        if self.status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = header::HeaderValue::from_static("5");
            response.headers_mut().insert(header::RETRY_AFTER, seconds);
        }
        response
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        // What is no chat request is the client's fault in one way only: 400, as OpenAI has it.
        let status = match rejection.status() {
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            status => status,
        };
        Self::new(status, rejection.body_text())
    }
}

impl From<openai::Invalid> for Failure {
    fn from(invalid: openai::Invalid) -> Self {
        let message = format!("{}: {}", invalid.param, invalid.message);
        Self::new(StatusCode::BAD_REQUEST, message).param(invalid.param)
    }
}

impl From<ComputeError> for Failure {
    fn from(error: ComputeError) -> Self {
        let message = error.to_string();
        match error {
            ComputeError::Busy | ComputeError::ShuttingDown => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
            }
            ComputeError::Generator(GeneratorError::PromptTooLong { .. }) => {
                Self::new(StatusCode::BAD_REQUEST, message)
                    .param("messages")
                    .code("context_length_exceeded")
            }
            ComputeError::Generator(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, message),
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt;

    use super::*;
    use crate::compute::tests::Parrot;

    fn app(permits: usize) -> Router {
        let (compute, _) = Compute::start(Parrot::new(permits), 1);
        router(compute, "m", 100)
    }

    async fn send(app: &Router, method: &str, path: &str, body: String) -> (StatusCode, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("content-type", "application/json")
            .body(Body::from(body))
            .unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    async fn chat(app: &Router, body: Value) -> (StatusCode, String) {
        send(app, "POST", "/v1/chat/completions", body.to_string()).await
    }

    fn question(text: &str) -> Value {
        json!({ "model": "m", "messages": [{ "role": "user", "content": text }] })
    }

    #[tokio::test]
    async fn answers_as_a_whole() {
        let (status, body) = chat(&app(9), question("one two")).await;
        assert_eq!(status, StatusCode::OK);
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["object"], "chat.completion");
        assert_eq!(body["choices"][0]["message"]["content"], "one two");
        assert_eq!(body["choices"][0]["finish_reason"], "stop");
        assert_eq!(body["usage"]["total_tokens"], 4);
    }

    #[tokio::test]
    async fn answers_as_a_stream() {
        let mut body = question("one two three");
        body["stream"] = json!(true);
        body["max_tokens"] = json!(2);
        body["stream_options"] = json!({ "include_usage": true });
        let (status, body) = chat(&app(9), body).await;
        assert_eq!(status, StatusCode::OK);
        let events: Vec<&str> = body
            .split("\n\n")
            .filter_map(|event| event.strip_prefix("data: "))
            .collect();
        assert_eq!(events.last(), Some(&"[DONE]"));
        let chunks: Vec<Value> = events[..events.len() - 1]
            .iter()
            .map(|event| serde_json::from_str(event).unwrap())
            .collect();
        assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
        let text: String = chunks
            .iter()
            .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
            .collect();
        assert_eq!(text, "one two ");
        assert_eq!(
            chunks[chunks.len() - 2]["choices"][0]["finish_reason"],
            "length"
        );
        assert_eq!(chunks[chunks.len() - 1]["usage"]["completion_tokens"], 2);
    }

    #[tokio::test]
    async fn bad_input_is_a_clear_error() {
        let app = app(9);
        let mut too_hot = question("Hi");
        too_hot["temperature"] = json!(3);
        let mut other_model = question("Hi");
        other_model["model"] = json!("gpt-4");
        let long = "word ".repeat(200);
        let mut long_stream = question(&long);
        long_stream["stream"] = json!(true);
        for (body, status, word) in [
            (json!({}), 400, "missing field `model`"),
            (json!({ "model": "m", "messages": "Hi" }), 400, "messages"),
            (too_hot, 400, "temperature"),
            (other_model, 404, "model_not_found"),
            (question(&long), 400, "context_length_exceeded"),
            (long_stream, 400, "context_length_exceeded"),
        ] {
            let (got, text) = chat(&app, body).await;
            assert_eq!(got.as_u16(), status, "{text}");
            assert!(text.contains(word), "{text}");
            assert!(serde_json::from_str::<Value>(&text).unwrap()["error"].is_object());
        }
        let bytes = "x".repeat(MAX_BODY + 1);
        for (method, path, body, status) in [
            ("POST", "/v1/chat/completions", "{".to_owned(), 400),
            ("POST", "/v1/chat/completions", bytes, 413),
            ("GET", "/v1/chat/completions", String::new(), 405),
            ("GET", "/v1/nothing", String::new(), 404),
        ] {
            let (got, text) = send(&app, method, path, body).await;
            assert_eq!(got.as_u16(), status, "{text}");
            assert!(serde_json::from_str::<Value>(&text).unwrap()["error"].is_object());
        }
    }

    #[tokio::test]
    async fn a_full_queue_says_when_to_come_back() {
        let parrot = Parrot::new(0);
        let (compute, _) = Compute::start(parrot.clone(), 1);
        let app = router(compute.clone(), "m", 100);
        let _running = compute
            .guest(crate::compute::tests::request("a"), None)
            .unwrap();
        while parrot.seen.lock().unwrap().is_empty() {
            tokio::task::yield_now().await;
        }
        let _waiting = compute
            .guest(crate::compute::tests::request("b"), None)
            .unwrap();
        let request = Request::post("/v1/chat/completions")
            .header("content-type", "application/json")
            .body(Body::from(question("c").to_string()))
            .unwrap();
        let response = app.oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
        assert_eq!(response.headers()["retry-after"], "5");
    }

    #[tokio::test]
    async fn names_its_model() {
        let app = app(0);
        let (_, body) = send(&app, "GET", "/v1/models", String::new()).await;
        assert_eq!(
            serde_json::from_str::<Value>(&body).unwrap()["data"][0]["id"],
            "m"
        );
        let (status, body) = send(&app, "GET", "/health", String::new()).await;
        assert_eq!((status, body.contains("\"ok\"")), (StatusCode::OK, true));
    }
}
