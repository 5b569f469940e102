//! Requests and expectations of OpenAI-compatible clients.

use std::time::Duration;

use axum::body::{Body, to_bytes};
use axum::http::Request;
use futures::StreamExt;
use tower::ServiceExt;

use super::tests::{NEVER, app, chat, chunks, compute, question, send, service};
use super::*;
use crate::generator::testing::Parrot;

#[tokio::test]
async fn an_answer_ends_before_a_stop_text() {
    let app = app(99);
    let mut body = question("one two END three");
    body["stop"] = json!(["three", "END"]);
    let (_, whole) = chat(&app, body.clone()).await;
    let whole: Value = serde_json::from_str(&whole).unwrap();
    assert_eq!(whole["choices"][0]["message"]["content"], "one two ");
    assert_eq!(whole["choices"][0]["finish_reason"], "stop");

    body["stream"] = json!(true);
    let (_, stream) = chat(&app, body).await;
    let chunks = chunks(&stream);
    let text = |chunk: &Value| {
        chunk["choices"][0]["delta"]["content"]
            .as_str()
            .map(str::to_owned)
    };
    assert_eq!(
        chunks.iter().filter_map(text).collect::<String>(),
        "one two "
    );
    assert_eq!(
        chunks.last().unwrap()["choices"][0]["finish_reason"],
        "stop"
    );

    for stop in [json!([]), json!(""), json!(null)] {
        let mut body = question("one two");
        body["stop"] = stop;
        assert!(chat(&app, body).await.1.contains("one two"));
    }
}

#[tokio::test]
async fn a_text_is_gone_on_with() {
    let app = app(99);
    let words = "word ".repeat(20);
    let mut body = json!({ "model": "m", "prompt": words });
    let (status, whole) = send(&app, "POST", "/v1/completions", body.to_string()).await;
    assert_eq!(status, StatusCode::OK, "{whole}");
    let whole: Value = serde_json::from_str(&whole).unwrap();
    assert_eq!(whole["object"], "text_completion");
    assert_eq!(whole["choices"][0]["text"], "word ".repeat(16));
    assert_eq!(whole["choices"][0]["finish_reason"], "length");
    assert_eq!(whole["usage"]["completion_tokens"], 16);

    body["stream"] = json!(true);
    body["max_tokens"] = json!(2);
    body["stream_options"] = json!({ "include_usage": true });
    let (_, stream) = send(&app, "POST", "/v1/completions", body.to_string()).await;
    let chunks = chunks(&stream);
    assert!(
        chunks
            .iter()
            .all(|chunk| chunk["object"] == "text_completion")
    );
    let text = |chunk: &Value| chunk["choices"][0]["text"].as_str().map(str::to_owned);
    assert_eq!(
        chunks.iter().filter_map(text).collect::<String>(),
        "word word "
    );
    assert_eq!(chunks.last().unwrap()["usage"]["completion_tokens"], 2);

    let empty = json!({ "model": "m", "prompt": "" }).to_string();
    let (status, text) = send(&app, "POST", "/v1/completions", empty).await;
    assert_eq!(
        (status.as_u16(), text.contains("\"prompt\"")),
        (400, true),
        "{text}"
    );
}

#[tokio::test]
async fn a_setting_that_is_not_served_is_named() {
    let app = app(99);
    for (param, value) in [
        ("n", json!(2)),
        ("tools", json!([{ "type": "function" }])),
        ("response_format", json!({ "type": "json_object" })),
        ("logprobs", json!(true)),
        ("logit_bias", json!({ "1": 1 })),
        ("presence_penalty", json!(1)),
        ("frequency_penalty", json!(1)),
        ("functions", json!([{}])),
    ] {
        let mut body = question("Hi");
        body[param] = value;
        let (status, text) = chat(&app, body).await;
        assert_eq!(status, StatusCode::BAD_REQUEST, "{text}");
        let body: Value = serde_json::from_str(&text).unwrap();
        assert_eq!(body["error"]["param"], param);
    }
}

#[tokio::test]
async fn the_key_is_asked_for() {
    let service = Service {
        guests: Guests::with(&["right".into(), "other".into()]),
        ..service()
    };
    let compute = compute(Parrot::new(99), NEVER);
    let app = router(compute, &Health::default(), service);
    let status = async |authorization: Option<&str>, path: &str| {
        let mut request = Request::get(path);
        if let Some(value) = authorization {
            request = request.header("authorization", value);
        }
        let request = request.body(Body::empty()).unwrap();
        let response = app.clone().oneshot(request).await.unwrap();
        let status = response.status().as_u16();
        let body = to_bytes(response.into_body(), usize::MAX).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    };
    for right in ["Bearer right", "bearer other"] {
        assert_eq!(status(Some(right), "/v1/models").await.0, 200);
    }
    for wrong in [
        None,
        Some("Bearer wrong"),
        Some("Bearer"),
        Some("right"),
        Some("Basic right"),
    ] {
        let (status, body) = status(wrong, "/v1/models").await;
        assert_eq!(status, 401, "{wrong:?}");
        let body: Value = serde_json::from_str(&body).unwrap();
        assert_eq!(body["error"]["code"], "invalid_api_key");
    }
    assert_eq!(status(None, "/health").await.0, 200);
    let (unasked, _) = chat(&app, question("Hi")).await;
    assert_eq!(unasked, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn without_keys_nobody_is_answered() {
    let service = Service {
        guests: Guests::with(&[]),
        ..service()
    };
    let app = router(compute(Parrot::new(99), NEVER), &Health::default(), service);
    let (status, body) = chat(&app, question("Hi")).await;
    assert_eq!(status, StatusCode::UNAUTHORIZED);
    assert!(
        body.contains("its operator has set neither an API key"),
        "{body}"
    );
}

#[tokio::test]
async fn pages_of_listed_origins_may_read_what_is_answered() {
    let headers = async |origins: &[&str], method: &str, origin: &str| {
        let service = Service {
            origins: origins.iter().map(|origin| (*origin).to_owned()).collect(),
            guests: Guests::with(&["key".into()]),
            ..service()
        };
        let app = router(compute(Parrot::new(99), NEVER), &Health::default(), service);
        let request = Request::builder()
            .method(method)
            .uri("/v1/chat/completions")
            .header("origin", origin)
            .header("access-control-request-method", "POST")
            .header(
                "access-control-request-headers",
                "authorization,x-stainless-os",
            )
            .body(Body::empty())
            .unwrap();
        let response = app.oneshot(request).await.unwrap();
        (response.status().as_u16(), response.headers().clone())
    };
    let origin = "https://a.example";
    let (status, preflight) = headers(&[origin], "OPTIONS", origin).await;
    assert_eq!(status, 204);
    assert_eq!(preflight["access-control-allow-origin"], origin);
    assert_eq!(
        preflight["access-control-allow-headers"],
        "authorization,x-stainless-os"
    );
    assert!(
        preflight["access-control-allow-methods"]
            .to_str()
            .unwrap()
            .contains("POST")
    );
    // Errors must be readable too.
    let (status, answer) = headers(&[origin], "POST", origin).await;
    assert_eq!(status, 401);
    assert_eq!(answer["access-control-allow-origin"], origin);
    assert_eq!(answer["vary"], "origin");
    let (_, any) = headers(&["*"], "POST", origin).await;
    assert_eq!(any["access-control-allow-origin"], "*");
    for (origins, asking) in [(&[][..], origin), (&[origin], "https://b.example")] {
        let (status, refused) = headers(origins, "OPTIONS", asking).await;
        assert_eq!(status, 204);
        assert!(!refused.contains_key("access-control-allow-origin"));
    }
}

/// A server whose streams send headers after 20 ms and comments every 50 ms.
fn impatient(compute: Compute) -> Router {
    let pauses = Pauses {
        headers: Duration::from_millis(20),
        comments: Duration::from_millis(50),
    };
    let service = Service {
        pauses,
        ..service()
    };
    router(compute, &Health::default(), service)
}

#[tokio::test]
async fn who_waits_for_a_stream_hears_that_the_server_lives() {
    let parrot = Parrot::new(0);
    let app = impatient(compute(parrot.clone(), NEVER));
    let mut body = question("one");
    body["stream"] = json!(true);
    let request = Request::post("/v1/chat/completions")
        .header("content-type", "application/json")
        .body(Body::from(body.to_string()))
        .unwrap();
    let response = app.oneshot(request).await.unwrap();
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    let mut parts = response.into_body().into_data_stream();
    let mut next = async || {
        let part = parts.next().await.unwrap().unwrap();
        String::from_utf8(part.to_vec()).unwrap()
    };
    assert!(next().await.contains("assistant"));
    assert_eq!(next().await, ": waiting\n\n");
    assert_eq!(next().await, ": waiting\n\n");
    parrot.permits.add_permits(1);
    assert!(next().await.contains("one"));
    assert!(next().await.contains("stop"));
    assert!(next().await.contains("[DONE]"));
}

#[tokio::test]
async fn what_fails_after_the_headers_is_an_event() {
    let app = impatient(compute(Parrot::new(0), Duration::from_millis(200)));
    let mut body = question("silence");
    body["stream"] = json!(true);
    let (status, text) = chat(&app, body).await;
    assert_eq!(status, StatusCode::OK);
    let chunks = chunks(&text);
    assert!(
        chunks.last().unwrap()["error"]["message"]
            .as_str()
            .unwrap()
            .contains("no text in time")
    );
}
