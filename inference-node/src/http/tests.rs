use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use tower::ServiceExt;

use super::*;
use crate::compute::GuestLimits;
use crate::generator::testing::{Parrot, question as asked};

/// Long enough never to pass in a test.
pub(super) const NEVER: Duration = Duration::from_secs(3600);
/// Short enough to wait for.
const SOON: Duration = Duration::from_millis(20);

pub(super) fn compute(parrot: Arc<Parrot>, deadline: Duration) -> Compute {
    Compute::new(parrot, GuestLimits { queue: 1, deadline })
}

pub(super) fn service() -> Service {
    Service {
        model: "m".into(),
        max_tokens: 100,
        guests: Guests::Everybody,
        origins: Vec::new(),
        pauses: Pauses::default(),
    }
}

pub(super) fn serving(compute: Compute) -> Router {
    router(compute, &Health::default(), service())
}

pub(super) fn app(permits: usize) -> Router {
    serving(compute(Parrot::new(permits), NEVER))
}

pub(super) async fn send(
    app: &Router,
    method: &str,
    path: &str,
    body: String,
) -> (StatusCode, String) {
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

pub(super) async fn chat(app: &Router, body: Value) -> (StatusCode, String) {
    send(app, "POST", "/v1/chat/completions", body.to_string()).await
}

pub(super) fn question(text: &str) -> Value {
    json!({ "model": "m", "messages": [{ "role": "user", "content": text }] })
}

/// The events of a complete stream.
pub(super) fn chunks(body: &str) -> Vec<Value> {
    let mut events: Vec<&str> = body
        .split("\n\n")
        .filter_map(|event| event.strip_prefix("data: "))
        .collect();
    assert_eq!(events.pop(), Some("[DONE]"));
    let parsed = events.into_iter().map(serde_json::from_str);
    parsed.collect::<Result<_, _>>().unwrap()
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
    let chunks = chunks(&body);
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
    let compute = compute(parrot.clone(), NEVER);
    let app = serving(compute.clone());
    let _running = compute.guest(asked("a"), None).unwrap();
    parrot.has_begun(&["a"]).await;
    let _waiting = compute.guest(asked("b"), None).unwrap();
    let request = Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .body(Body::from(question("c").to_string()))
        .unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
    assert_eq!(response.headers()["retry-after"], "5");
    let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["error"]["code"], "rate_limit_exceeded");
}

#[tokio::test]
async fn names_its_model() {
    let app = app(0);
    let get = async |path: &str| {
        let (status, body) = send(&app, "GET", path, String::new()).await;
        let body: Value = serde_json::from_str(&body).unwrap();
        (status, body)
    };
    assert_eq!(get("/v1/models").await.1["data"][0]["id"], "m");
    assert_eq!(get("/v1/models/m").await.1["id"], "m");
    for other in [
        "/v1/models/gpt-4",
        "/v1/models/openai%2Fgpt-4",
        "/v1/models/a/b",
    ] {
        let (status, body) = get(other).await;
        assert_eq!(status, StatusCode::NOT_FOUND);
        assert_eq!(body["error"]["code"], "model_not_found");
        assert_eq!(body["error"]["param"], "model");
    }
}

#[tokio::test]
async fn tells_whether_it_lives_and_whether_it_can_do_duties() {
    let health = Health::default();
    let app = router(compute(Parrot::new(0), NEVER), &health, service());
    let get = async |path| send(&app, "GET", path, String::new()).await;
    let (status, body) = get("/health").await;
    assert_eq!((status, body.contains("\"ok\"")), (StatusCode::OK, true));
    let (status, body) = get("/ready").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(body.contains("not started"), "{body}");
    health.started();
    assert_eq!(get("/ready").await.0, StatusCode::OK);
    health.lose("the language model is lost");
    for path in ["/health", "/ready"] {
        let (status, body) = get(path).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        let body: Value = serde_json::from_str(&body).unwrap();
        let reason = body["reason"].as_str().unwrap();
        assert!(reason.contains("the language model is lost"), "{reason}");
    }
}

#[tokio::test]
async fn an_answer_that_takes_too_long_is_cut() {
    let parrot = Parrot::new(1);
    let app = serving(compute(parrot.clone(), SOON));
    let (status, body) = chat(&app, question("one two")).await;
    assert_eq!(status, StatusCode::OK);
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!(body["choices"][0]["message"]["content"], "one ");
    assert_eq!(body["choices"][0]["finish_reason"], "length");

    for is_stream in [false, true] {
        let mut body = question("silence");
        body["stream"] = json!(is_stream);
        let (status, text) = chat(&app, body).await;
        assert_eq!(status, StatusCode::GATEWAY_TIMEOUT, "{text}");
        assert!(text.contains("no text in time"), "{text}");
    }
}

#[tokio::test]
async fn a_request_whose_time_is_up_in_the_queue_is_told_to_come_back() {
    let parrot = Parrot::new(0);
    let compute = compute(parrot.clone(), SOON);
    let stop = tokio_util::sync::CancellationToken::new();
    let duty = tokio::spawn({
        let (compute, stop) = (compute.clone(), stop.clone());
        let asker = poq_worker::Asker::Duty(poq_worker::Step::Answer, 9);
        async move { compute.duty(asker, asked("duty"), stop).await }
    });
    parrot.has_begun(&["duty"]).await;
    let (status, text) = chat(&serving(compute), question("late")).await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{text}");
    stop.cancel();
    duty.await.unwrap().unwrap();
    parrot.has_begun(&["duty"]).await;
}

#[tokio::test]
async fn a_client_that_leaves_ends_its_answer_only() {
    for is_stream in [false, true] {
        let parrot = Parrot::with_concurrency(0, 3);
        let app = serving(compute(parrot.clone(), NEVER));
        let mut body = question("leaving soon");
        body["stream"] = json!(is_stream);
        let leaving = tokio::spawn({
            let app = app.clone();
            async move { chat(&app, body).await }
        });
        parrot.has_begun(&["leaving soon"]).await;
        let staying = tokio::spawn({
            let app = app.clone();
            async move { chat(&app, question("staying")).await }
        });
        parrot.has_begun(&["leaving soon", "staying"]).await;
        leaving.abort();
        // Its slot is free once its answer has ended.
        let next = tokio::spawn(async move { chat(&app, question("next")).await });
        parrot.has_begun(&["leaving soon", "staying", "next"]).await;
        parrot.permits.add_permits(2);
        for (task, word) in [(staying, "staying"), (next, "next")] {
            let (status, text) = task.await.unwrap();
            assert_eq!((status, text.contains(word)), (StatusCode::OK, true));
        }
    }
}
