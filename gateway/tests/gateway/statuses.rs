//! Statuses that other tests do not provoke, and the silence of nodes.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Method, Request, StatusCode, header};
use serde_json::{Value, json};

use super::world::{Answered, MODEL, World, question, streamed};
use crate::keys::Secret;
use crate::played::Behaviour;
use crate::relay::Timing;
use crate::store::keys;

const MOMENT: Duration = Duration::from_millis(200);

/// Nodes may be silent for a moment only.
fn impatient() -> Timing {
    Timing {
        first_text: MOMENT * 5,
        more_text: MOMENT * 2,
        ..Timing::default()
    }
}

fn is(answered: &Answered, status: u16, code: &str) {
    assert_eq!(
        (answered.status.as_u16(), answered.code()),
        (status, code.into()),
        "{}",
        answered.text
    );
}

/// A key with limits, used from now on.
async fn limit(world: &mut World, limits: keys::Limits) {
    let secret = Secret::random();
    let digest = secret.digest;
    let key = keys::Key {
        limits,
        ..keys::Key::default()
    };
    world
        .store
        .write(move |db| keys::add(db, digest, &key))
        .await
        .unwrap();
    world.key = secret.text;
}

#[tokio::test(flavor = "multi_thread")]
async fn bodies_that_are_no_request_are_named() {
    let world = World::with_nodes(1).await;
    for body in ["", "null", "[]", "\"text\"", "{\"model\": ", "\u{0}"] {
        for path in ["/v1/chat/completions", "/v1/completions", "/v1/responses"] {
            let mut request = world.post(path, &Value::Null);
            *request.body_mut() = Body::from(body);
            is(&world.send(request).await, 400, "invalid_json");
        }
    }
    let mut request = world.post("/v1/responses", &Value::Null);
    *request.body_mut() = Body::from(b"{\"input\": \"\xff\"}".to_vec());
    is(&world.send(request).await, 400, "invalid_json");
    for (header, value) in [
        ("x-poq-min-quality", "2"),
        ("x-poq-max-price", "-1"),
        ("x-poq-tier", "gold"),
    ] {
        let mut request = world.request(&question("Why?"));
        request.headers_mut().insert(header, value.parse().unwrap());
        is(&world.send(request).await, 400, "invalid_value");
    }
    assert_eq!(world.nodes[0].orders(), 0);
    assert_eq!(world.charged(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_counts_whatever_its_type_is_called() {
    let world = World::with_nodes(1).await;
    for kind in [
        "text/plain",
        "application/x-www-form-urlencoded",
        "nonsense",
    ] {
        let mut request = world.request(&question("Why?"));
        request
            .headers_mut()
            .insert(header::CONTENT_TYPE, kind.parse().unwrap());
        let answered = world.send(request).await;
        assert_eq!(answered.status, StatusCode::OK, "{kind}");
        assert_eq!(answered.headers[header::CONTENT_TYPE], "application/json");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn empty_messages_are_left_out_and_none_is_too_few() {
    let world = World::with_nodes(1).await;
    let body = |messages: Value| json!({ "model": MODEL, "messages": messages });
    let with_empty = body(json!([
        { "role": "system", "content": "" },
        { "role": "user", "content": "Why?" },
        { "role": "assistant", "content": "" },
    ]));
    assert_eq!(world.ask(&with_empty).await.status, StatusCode::OK);
    assert_eq!(world.nodes[0].chats()[0].messages.len(), 1);
    for messages in [
        json!([]),
        json!([{ "role": "user", "content": "" }]),
        json!([{ "role": "user", "content": [] }]),
        json!([{ "role": "system", "content": "Be brief." }]),
        json!([{ "role": "assistant", "content": "Hello." }]),
        json!([{}]),
        json!([123]),
        json!("text"),
        json!(null),
    ] {
        let refused = world.ask(&body(messages)).await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST);
        let param = refused.json()["error"]["param"]
            .as_str()
            .unwrap()
            .to_owned();
        assert!(param.starts_with("messages"), "{param}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_methods_that_are_not_there_say_so_and_no_other_site_may_ask() {
    let world = World::with_nodes(1).await;
    for (method, path, status, code) in [
        (Method::GET, "/v1/completions", 405, "method_not_allowed"),
        (Method::GET, "/v1/responses", 405, "method_not_allowed"),
        (Method::POST, "/v1/models", 405, "method_not_allowed"),
        (Method::DELETE, "/v1/stream/1-0", 405, "method_not_allowed"),
        (Method::POST, "/v1/receipts/1-0", 405, "method_not_allowed"),
        (Method::POST, "/v1/embeddings", 404, "not_found"),
        (Method::GET, "/v1/responses/resp_1-0", 404, "not_found"),
        (
            Method::GET,
            "/v1/receipts/..%2F..%2Fgateway.db",
            404,
            "receipt_not_found",
        ),
        (
            Method::GET,
            "/v1/models/..%2F..%2Fgateway.db",
            404,
            "model_not_found",
        ),
        (
            Method::OPTIONS,
            "/v1/chat/completions",
            405,
            "method_not_allowed",
        ),
    ] {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("authorization", format!("Bearer {}", world.key))
            .header("origin", "https://elsewhere.example")
            .header("access-control-request-method", "POST")
            .body(Body::empty())
            .unwrap();
        let answered = world.send(request).await;
        is(&answered, status, code);
        assert!(answered.headers.contains_key("x-request-id"));
        let names = answered.headers.keys().map(|name| name.as_str());
        assert!(
            !names
                .into_iter()
                .any(|name| name.starts_with("access-control-")),
            "{path}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_has_as_many_answers_at_once_as_it_may() {
    let mut world = World::with_nodes(1).await;
    limit(
        &mut world,
        keys::Limits {
            streams: Some(1),
            ..keys::Limits::default()
        },
    )
    .await;
    world.nodes[0].script(&[Behaviour::Endless]);
    let mut body = streamed("Go on");
    body["max_tokens"] = json!(20);
    let running = world.begin(world.request(&body)).await;
    let refused = world.ask(&question("Why?")).await;
    is(&refused, 429, "rate_limit_exceeded");
    assert_eq!(refused.headers["retry-after"], "3");
    assert_eq!(refused.json()["error"]["type"], "requests");
    axum::body::to_bytes(running.into_body(), usize::MAX)
        .await
        .unwrap();
    assert_eq!(world.ask(&question("Why?")).await.status, StatusCode::OK);
    world.settle(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_account_without_funds_is_a_402() {
    let world = World::with_nodes(1).await;
    world.chain.impoverish(true);
    let mut body = question("Why?");
    body["poq"] = json!({ "tier": "all" });
    is(&world.ask(&body).await, 503, "session_opening");
    world.until(|world| world.catalog.get().is_poor).await;
    let refused = world.ask(&body).await;
    is(&refused, 402, "insufficient_quota");
    assert!(!refused.headers.contains_key("retry-after"));
    // What is open already is paid already.
    assert_eq!(world.ask(&question("Why?")).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_chain_that_makes_no_blocks_for_a_minute_takes_no_orders() {
    let world = World::with_nodes(1).await;
    world.chain.halt(true);
    let before = world.catalog.get().height;
    assert_eq!(world.ask(&question("Why?")).await.status, StatusCode::OK);
    let age = |seconds| {
        let seen = Instant::now()
            .checked_sub(Duration::from_secs(seconds))
            .unwrap();
        world.catalog.update(|snapshot| snapshot.seen = seen);
    };
    // The keeper may have asked for a height just before the chain stopped.
    tokio::time::sleep(MOMENT).await;
    age(55);
    assert_eq!(world.ask(&question("Why?")).await.status, StatusCode::OK);
    age(61);
    for path in ["/v1/chat/completions", "/v1/completions", "/v1/responses"] {
        let mut body = json!({ "model": MODEL });
        match path {
            "/v1/chat/completions" => body = question("Why?"),
            "/v1/completions" => body["prompt"] = "Why?".into(),
            _ => body["input"] = "Why?".into(),
        }
        let refused = world.send(world.post(path, &body)).await;
        is(&refused, 503, "chain_halted");
        assert_eq!(refused.headers["retry-after"], "30");
    }
    assert!(world.catalog.get().height <= before + 1);
    world.settle(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_is_a_500_that_is_not_repeated() {
    let world = World::with_nodes(1).await;
    let broken = "ALTER TABLE orders RENAME TO lost_orders";
    world
        .store
        .write(|db| db.execute_batch(broken))
        .await
        .unwrap();
    let failed = world.ask(&question("Why?")).await;
    is(&failed, 500, "internal");
    assert_eq!(failed.headers["x-should-retry"], "false");
    assert_eq!(failed.json()["error"]["type"], "server_error");
    assert_eq!(world.nodes[0].orders(), 0, "what is not stored is not sent");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_with_a_wrong_receipt_is_a_502() {
    let world = World::with_nodes(1).await;
    world.nodes[0].script(&[Behaviour::WrongText]);
    let failed = world.ask(&question("Why?")).await;
    is(&failed, 502, "invalid_receipt");
    assert_eq!(failed.headers["x-should-retry"], "false");
    assert_eq!(world.charged(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_without_a_word_is_a_504() {
    let timing = Timing {
        deadline: MOMENT,
        stopping: MOMENT,
        ..Timing::default()
    };
    let world = World::with_timing(1, timing).await;
    world.nodes[0].script(&[Behaviour::Mute, Behaviour::Mute]);
    let failed = world.ask(&question("Why?")).await;
    is(&failed, 504, "node_timeout");
    assert_eq!(failed.headers["x-should-retry"], "false");
    let chunks = world.ask(&streamed("Why?")).await;
    if chunks.status == StatusCode::OK {
        assert_eq!(
            chunks.chunks().last().unwrap()["error"]["code"],
            "node_timeout"
        );
    }
    assert_eq!(world.charged(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deadline_with_some_words_is_a_shorter_answer() {
    let timing = Timing {
        deadline: MOMENT,
        ..Timing::default()
    };
    let world = World::with_timing(1, timing).await;
    world.nodes[0].script(&[Behaviour::Endless]);
    let answered = world.ask(&question("Go on")).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
    assert_eq!(answered.json()["choices"][0]["finish_reason"], "length");
    world.settle(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_silent_before_its_first_word_is_replaced() {
    let world = World::with_timing(2, impatient()).await;
    let first = world.ask(&question("Why?")).await.json();
    world.settle(0).await;
    let position = |operator: &Value| {
        world
            .nodes
            .iter()
            .position(|node| node.operator == *operator)
    };
    let asked_first = position(&first["poq"]["node"]).unwrap();
    world.nodes[asked_first].script(&[Behaviour::Silent(0)]);
    let answered = world.ask(&streamed("Why?")).await;
    let other = &world.nodes[1 - asked_first].operator;
    assert_eq!(answered.streamed(), format!("{other} says: Why?"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_silent_after_its_first_word_is_read_again() {
    let world = World::with_timing(1, impatient()).await;
    world.nodes[0].script(&[Behaviour::Silent(9)]);
    let answered = world.ask(&streamed("one two three four")).await;
    assert_eq!(answered.streamed(), "poq1node0 says: one two three four");
    assert_eq!(world.nodes[0].orders(), 1, "it is the same answer");
    world.settle(0).await;
}
