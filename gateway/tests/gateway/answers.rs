//! What clients get when everything works, and when they ask for what cannot be.

use axum::body::Body;
use axum::http::{Request, StatusCode};
use futures::future::join_all;
use poq_proto::v1::ChatRole;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use super::world::{MODEL, World, question, streamed};
use crate::money::verify;
use crate::played::PlayedNode;
use crate::store::keys;

#[tokio::test(flavor = "multi_thread")]
async fn a_whole_answer_has_its_receipt_and_is_charged_once() {
    let world = World::with_nodes(2).await;
    let answered = world.ask(&question("Why is the sky blue?")).await;
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
    let body = answered.json();
    let text = body["choices"][0]["message"]["content"].as_str().unwrap();
    assert!(text.ends_with("says: Why is the sky blue?"), "{text}");
    assert_eq!(body["object"], "chat.completion");
    assert_eq!(body["choices"][0]["finish_reason"], "stop");
    let usage = json!({ "prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18 });
    assert_eq!(body["usage"], usage);
    let poq = &body["poq"];
    let receipt = poq["receipt"].as_str().unwrap();
    assert_eq!(body["id"], format!("chatcmpl-{receipt}"));
    assert_eq!(answered.headers["x-poq-receipt"], receipt);
    assert_eq!(
        answered.headers["x-poq-node"],
        poq["node"].as_str().unwrap()
    );
    assert!(
        answered.headers["x-request-id"]
            .to_str()
            .unwrap()
            .starts_with("req_")
    );
    assert_eq!(poq["answer_sha256"], hex::encode(Sha256::digest(text)));
    assert_eq!(poq["price"], 1_000 + 10 * 20 + 100 * text.len());
    assert_eq!(poq["charged"], poq["price"]);
    assert_eq!(poq["phase"], "provisional");

    // The receipt proves the answer to anybody who has the session's record.
    let session: u64 = receipt.split_once('-').unwrap().0.parse().unwrap();
    let record = world.chain.record(session).unwrap();
    let leaf = serde_json::from_value(poq["leaf"].clone()).unwrap();
    let node_key = record.node.unwrap().key;
    let by = ("poq-played-1", session, node_key.as_slice());
    verify((&leaf, poq["signature"].as_str().unwrap()), text, by).unwrap();

    assert_eq!(world.charged(), poq["price"].as_u64().unwrap());
    world.settle(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_has_the_form_that_clients_read() {
    let world = World::with_nodes(1).await;
    let mut body = streamed("Say it in pieces");
    body["stream_options"] = json!({ "include_usage": true });
    let answered = world.ask(&body).await;
    let chunks = answered.chunks();
    assert_eq!(answered.headers["content-type"], "text/event-stream");
    let (usage, rest) = chunks.split_last().unwrap();
    assert_eq!(
        (&usage["choices"], &usage["usage"]["total_tokens"]),
        (&json!([]), &json!(18))
    );
    let (last, texts) = rest.split_last().unwrap();
    assert_eq!(last["choices"][0]["finish_reason"], "stop");
    assert_eq!(
        last["poq"]["receipt"],
        answered.headers["x-poq-receipt"].to_str().unwrap()
    );
    assert_eq!(
        texts[0]["choices"][0]["delta"],
        json!({ "role": "assistant", "content": "" })
    );
    // Text that arrives together may leave together.
    assert!(texts.len() > 1, "{chunks:?}");
    for chunk in &texts[1..] {
        let choice = &chunk["choices"][0];
        assert_eq!(
            (&choice["delta"]["role"], &choice["finish_reason"]),
            (&Value::Null, &Value::Null)
        );
    }
    let first = &chunks[0];
    assert!(
        chunks
            .iter()
            .all(|chunk| (&chunk["id"], &chunk["created"]) == (&first["id"], &first["created"]))
    );
    assert!(answered.streamed().ends_with("says: Say it in pieces"));
    world.settle(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_node_gets_the_chat_as_it_was_asked() {
    let world = World::with_nodes(1).await;
    let body = json!({
        "model": MODEL, "temperature": 0.5, "max_tokens": 20, "seed": 9, "stop": "END",
        "messages": [
            { "role": "developer", "content": "Be brief." },
            { "role": "user", "content": [{ "type": "text", "text": "Why?" }] },
        ],
        "poq": { "min_quality": 0.5 },
    });
    assert_eq!(world.ask(&body).await.status, StatusCode::OK);
    let chats = world.nodes[0].chats();
    let [chat] = &chats[..] else {
        panic!("one order");
    };
    let messages: Vec<_> = chat
        .messages
        .iter()
        .map(|message| (message.role(), message.text.as_str()))
        .collect();
    assert_eq!(
        messages,
        [(ChatRole::System, "Be brief."), (ChatRole::User, "Why?")]
    );
    let sampling = chat.sampling.unwrap();
    assert_eq!(
        (sampling.temperature, sampling.max_tokens),
        (Some(500_000), 20)
    );
    assert_eq!(
        (chat.seed, chat.min_quality, chat.max_answer_bytes),
        (9, 500_000, 20 * 64)
    );
    assert_eq!(chat.stop, ["END"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn many_requests_at_once_share_the_sessions() {
    let world = World::with_nodes(2).await;
    let bodies: Vec<_> = (0..40)
        .map(|number| streamed(&format!("question {number}")))
        .collect();
    let answers = join_all(bodies.iter().map(|body| world.ask_patiently(body))).await;
    for (number, answered) in answers.iter().enumerate() {
        assert!(answered.streamed().ends_with(&format!("question {number}")));
    }
    assert!(
        world.nodes.iter().all(|node| node.orders() > 0),
        "both nodes work"
    );
    world.settle(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_asked_is_refused_before_any_order() {
    let world = World::with_nodes(1).await;
    let with = |field: &str, value: Value| {
        let mut body = question("Why?");
        body[field] = value;
        body
    };
    let user = |text: String| json!([{ "role": "user", "content": text }]);
    for (status, code, param, body) in [
        (
            404,
            "model_not_found",
            "model",
            with("model", json!("other")),
        ),
        (400, "invalid_value", "model", with("model", json!(1))),
        (400, "invalid_value", "model", with("model", Value::Null)),
        (
            400,
            "unsupported_parameter",
            "tools",
            with("tools", json!([{}])),
        ),
        (
            400,
            "invalid_value",
            "messages",
            with("messages", json!([])),
        ),
        (
            400,
            "invalid_value",
            "messages",
            with("messages", user(" ".into())),
        ),
        (
            400,
            "context_length_exceeded",
            "messages",
            with("messages", user("a".repeat(4_001))),
        ),
        (
            400,
            "max_price_too_low",
            "poq.max_price",
            with("poq", json!({ "max_price": 7_000 })),
        ),
        (
            400,
            "invalid_value",
            "poq.min_quality",
            with("poq", json!({ "min_quality": 0.9 })),
        ),
    ] {
        let answered = world.ask(&body).await;
        assert_eq!(answered.status.as_u16(), status, "{}", answered.text);
        let error = &answered.json()["error"];
        assert_eq!(
            (&error["code"], &error["param"]),
            (&json!(code), &json!(param))
        );
        assert_eq!(error["type"], "invalid_request_error");
    }
    let huge = world
        .ask(&with("messages", user("a".repeat(3 << 20))))
        .await;
    assert_eq!(
        (huge.status.as_u16(), huge.code()),
        (413, "request_too_large".into())
    );
    let mut garbled = world.request(&question("Why?"));
    *garbled.body_mut() = Body::from("{");
    let garbled = world.send(garbled).await;
    assert_eq!(
        (garbled.status.as_u16(), garbled.code()),
        (400, "invalid_json".into())
    );
    assert_eq!(
        world.get("/v1/chat/completions").await.status,
        StatusCode::METHOD_NOT_ALLOWED
    );
    assert_eq!(world.get("/v1/nothing").await.status, StatusCode::NOT_FOUND);
    assert_eq!(world.nodes[0].orders(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_valid_key_may_ask_and_only_for_its_models() {
    let mut world = World::with_nodes(1).await;
    let valid = world.key.clone();
    for wrong in ["", "poq-wrong", &valid[..valid.len() - 1]] {
        world.key = wrong.into();
        for answered in [
            world.ask(&question("Why?")).await,
            world.get("/v1/models").await,
        ] {
            assert_eq!(answered.status, StatusCode::UNAUTHORIZED);
            assert_eq!(answered.code(), "invalid_api_key");
        }
    }
    world.key = valid;
    assert_eq!(world.ask(&question("Why?")).await.status, StatusCode::OK);
    let revoked = world
        .store
        .write(|db| keys::revoke(db, "test"))
        .await
        .unwrap();
    assert_eq!(revoked, 1);
    assert_eq!(
        world.ask(&question("Why?")).await.status,
        StatusCode::UNAUTHORIZED
    );

    let secret = crate::keys::Secret::random();
    let digest = secret.digest;
    let limited = keys::Key {
        models: Some(vec!["other".into()]),
        ..keys::Key::default()
    };
    world
        .store
        .write(move |db| keys::add(db, digest, &limited))
        .await
        .unwrap();
    world.key = secret.text;
    let answered = world.ask(&question("Why?")).await;
    assert_eq!(
        (answered.status.as_u16(), answered.code()),
        (403, "model_not_allowed".into())
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn limits_of_a_key_are_kept() {
    let mut world = World::with_nodes(1).await;
    let limits = |requests_per_minute, budget_day| keys::Limits {
        requests_per_minute,
        budget_day,
        ..keys::Limits::default()
    };
    for (limits, status, code, retries) in [
        (limits(Some(0), None), 429, "rate_limit_exceeded", true),
        (limits(None, Some(5_000)), 402, "insufficient_quota", false),
    ] {
        let secret = crate::keys::Secret::random();
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
        let answered = world.ask(&question("Why?")).await;
        assert_eq!(
            (answered.status.as_u16(), answered.code()),
            (status, code.into())
        );
        assert_eq!(answered.headers.contains_key("retry-after"), retries);
    }
    assert_eq!(world.nodes[0].orders(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn models_say_whether_they_are_ready() {
    let world = World::with_nodes(2).await;
    let list = world.get("/v1/models").await.json();
    assert_eq!(list["object"], "list");
    let model = &list["data"][0];
    assert_eq!(
        (&model["id"], &model["object"]),
        (&json!(MODEL), &json!("model"))
    );
    assert_eq!(model["poq"]["ready"], true);
    assert_eq!(model["poq"]["nodes"].as_array().unwrap().len(), 2);
    assert_eq!(
        world.get(&format!("/v1/models/{MODEL}")).await.json(),
        *model
    );
    let unknown = world.get("/v1/models/other").await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.code()),
        (404, "model_not_found".into())
    );
    let all = json!({ "model": MODEL, "messages": [{ "role": "user", "content": "Why?" }], "poq": { "tier": "all" } });
    let opening = world.ask(&all).await;
    assert_eq!(
        (opening.status.as_u16(), opening.code()),
        (503, "session_opening".into())
    );
    assert_eq!(opening.headers["retry-after"], "3");
    world.until(|world| world.roster.all().len() > 2).await;
    assert_eq!(world.ask(&all).await.status, StatusCode::OK);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_receipt_follows_its_session_to_the_end() {
    let mut world = World::with_nodes(1).await;
    let body = world.ask(&question("Why?")).await.json();
    let id = body["poq"]["receipt"].as_str().unwrap().to_owned();
    let path = format!("/v1/receipts/{id}");
    let receipt = world.get(&path).await.json();
    assert_eq!(receipt["phase"], "provisional");
    for field in [
        "leaf",
        "signature",
        "price",
        "charged",
        "node",
        "answer_sha256",
    ] {
        assert_eq!(receipt[field], body["poq"][field], "{field}");
    }
    world.settle(0).await;
    let session = receipt["session"].as_u64().unwrap();
    let price = receipt["price"].as_u64().unwrap();
    world
        .chain
        .settle(session, world.nodes[0].settlement(session), price / 4);
    let receipt = world.get(&path).await.json();
    assert_eq!(
        (&receipt["phase"], &receipt["path"]),
        (&json!("final"), &json!([]))
    );
    assert_eq!(receipt["final_price"], price - price / 4);
    assert_eq!(receipt["chain_id"], "poq-played-1");
    let proven = world.get(&format!("{path}?proof=true")).await;
    assert_eq!(
        (proven.status.as_u16(), proven.code()),
        (503, "chain_halted".into())
    );
    let unclear = world.get(&format!("{path}?proof=2")).await;
    assert_eq!(unclear.code(), "invalid_value");

    for unknown in ["0-0", "x", &format!("{session}-1")] {
        let answered = world.get(&format!("/v1/receipts/{unknown}")).await;
        assert_eq!(
            (answered.status.as_u16(), answered.code()),
            (404, "receipt_not_found".into())
        );
    }
    let secret = crate::keys::Secret::random();
    let digest = secret.digest;
    world
        .store
        .write(move |db| keys::add(db, digest, &keys::Key::default()))
        .await
        .unwrap();
    world.key = secret.text;
    assert_eq!(
        world.get(&path).await.status,
        StatusCode::NOT_FOUND,
        "it is another key's"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn health_needs_no_key() {
    let world = World::with_nodes(1).await;
    let request = Request::get("/health").body(Body::empty()).unwrap();
    assert_eq!(world.send(request).await.status, StatusCode::OK);
    let orders: usize = world.nodes.iter().map(PlayedNode::orders).sum();
    assert_eq!(orders, 0);
}
