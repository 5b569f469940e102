//! The rest of an answer from a byte on.

use axum::http::StatusCode;
use serde_json::{Value, json};

use super::world::{Answered, World, question, streamed};
use crate::keys::Secret;
use crate::played::Behaviour;
use crate::store::keys;

/// The data and cursors of a stream's events, without the last `[DONE]`.
fn events(answered: &Answered) -> Vec<(Value, Option<usize>)> {
    assert_eq!(answered.status, StatusCode::OK, "{}", answered.text);
    let mut events: Vec<_> = answered
        .text
        .split("\n\n")
        .filter(|event| !event.is_empty())
        .collect();
    assert_eq!(events.pop(), Some("data: [DONE]"));
    let field = |event: &str, name: &str| -> Option<String> {
        let mut lines = event.lines();
        lines.find_map(|line| Some(line.strip_prefix(name)?.trim().to_owned()))
    };
    events
        .iter()
        .map(|event| {
            let data = serde_json::from_str(&field(event, "data:").unwrap()).unwrap();
            (data, field(event, "id:").map(|id| id.parse().unwrap()))
        })
        .collect()
}

fn text(events: &[(Value, Option<usize>)]) -> String {
    events
        .iter()
        .filter_map(|(data, _)| data["delta"].as_str())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_ended_is_read_from_any_character() {
    let mut world = World::with_nodes(1).await;
    let body = world.ask(&question("Où?")).await.json();
    let whole = body["choices"][0]["message"]["content"]
        .as_str()
        .unwrap()
        .to_owned();
    let receipt = body["poq"]["receipt"].as_str().unwrap().to_owned();
    let charged = world.charged();
    for from in (0..=whole.len()).filter(|from| whole.is_char_boundary(*from)) {
        let answered = world
            .get(&format!("/v1/stream/{receipt}?from={from}"))
            .await;
        let events = events(&answered);
        assert_eq!(text(&events), whole[from..]);
        let mut cursor = from;
        for (data, id) in &events {
            if let Some(delta) = data["delta"].as_str() {
                assert_eq!(data["offset"], cursor);
                cursor += delta.len();
                assert_eq!(*id, Some(cursor));
            }
        }
        let (last, _) = events.last().unwrap();
        assert_eq!(
            (&last["finish_reason"], &last["poq"]),
            (&json!("stop"), &body["poq"])
        );
        assert_eq!(answered.headers["x-poq-receipt"], *receipt);
    }
    let start = world.get(&format!("/v1/stream/chatcmpl-{receipt}")).await;
    assert_eq!(text(&events(&start)), whole);
    let within = whole.find('ù').unwrap() + 1;
    for from in [
        within.to_string(),
        (whole.len() + 1).to_string(),
        "-1".into(),
        "x".into(),
    ] {
        let refused = world
            .get(&format!("/v1/stream/{receipt}?from={from}"))
            .await;
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{from}");
        assert_eq!(refused.json()["error"]["param"], "from");
    }
    assert_eq!(world.charged(), charged, "reading again costs nothing");

    let unknown = ["0-0", "x", "..%2F..%2Fetc", "1-99", "+1-0"].map(str::to_owned);
    let other = Secret::random();
    let digest = other.digest;
    let key = keys::Key::default();
    world
        .store
        .write(move |db| keys::add(db, digest, &key))
        .await
        .unwrap();
    for id in &unknown {
        let missing = world.get(&format!("/v1/stream/{id}")).await;
        assert_eq!(
            (missing.status.as_u16(), missing.code()),
            (404, "receipt_not_found".into()),
            "{id}"
        );
    }
    world.key = other.text;
    let missing = world.get(&format!("/v1/stream/{receipt}")).await;
    assert_eq!(
        (missing.status.as_u16(), missing.code()),
        (404, "receipt_not_found".into()),
        "it is another key's"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_in_progress_goes_on_for_whoever_comes_back() {
    let mut world = World::with_nodes(1).await;
    world.nodes[0].script(&[Behaviour::Endless]);
    let mut body = streamed("Go on");
    body["max_tokens"] = json!(20);
    let first = world.begin(world.request(&body)).await;
    let receipt = first.headers()["x-poq-receipt"]
        .to_str()
        .unwrap()
        .to_owned();
    drop(first);
    let answered = world.get(&format!("/v1/stream/{receipt}?from=0")).await;
    let events = events(&answered);
    assert!(text(&events).len() > 1_000);
    let (last, _) = events.last().unwrap();
    assert_eq!(
        (&last["finish_reason"], &last["poq"]["receipt"]),
        (&json!("length"), &json!(receipt))
    );

    world.nodes[0].script(&[Behaviour::Endless]);
    let running = world.begin(world.request(&body)).await;
    let receipt = running.headers()["x-poq-receipt"]
        .to_str()
        .unwrap()
        .to_owned();
    let own = std::mem::replace(&mut world.key, {
        let other = Secret::random();
        let digest = other.digest;
        let key = keys::Key::default();
        world
            .store
            .write(move |db| keys::add(db, digest, &key))
            .await
            .unwrap();
        other.text
    });
    let foreign = world.get(&format!("/v1/stream/{receipt}")).await;
    assert_eq!(foreign.status, StatusCode::NOT_FOUND);
    world.key = own;
    let beyond = world
        .get(&format!("/v1/stream/{receipt}?from=999999"))
        .await;
    assert_eq!(beyond.status, StatusCode::BAD_REQUEST);
    drop(running);
    world.settle(0).await;
}
