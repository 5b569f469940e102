//! Groups with prepaid credit, from the request to the session's end, and limits of keys.

use axum::http::StatusCode;
use poq_worker::program::http_server::Peer;
use serde_json::{Value, json};

use super::world::{World, question, streamed};
use crate::played::Behaviour;
use crate::store::{groups, keys};

/// More than one request of these tests may cost.
const ENOUGH: u64 = 1_000_000;

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_charged_to_the_group_and_its_share_of_the_refund_comes_back() {
    let mut world = World::with_nodes(1).await;
    let group = world.use_group("team", ENOUGH).await;
    let body = world.ask(&question("Why?")).await.json();
    let price = body["poq"]["price"].as_u64().unwrap();
    assert_eq!(world.credit(group), ENOUGH - price);
    assert_eq!(world.credits.held(group), 0);
    world.settle(0).await;

    let live = world.roster.all()[0].clone();
    let settlement = world.nodes[0].settlement(live.id);
    world.chain.settle(live.id, settlement, price / 4);
    world
        .until(|world| world.credit(group) > ENOUGH - price)
        .await;
    assert_eq!(world.credit(group), ENOUGH - price + price / 4);
    let receipt = body["poq"]["receipt"].as_str().unwrap();
    let receipt = world.get(&format!("/v1/receipts/{receipt}")).await.json();
    assert_eq!(receipt["final_price"], price - price / 4);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_that_is_never_settled_costs_nothing() {
    let mut world = World::with_nodes(1).await;
    let group = world.use_group("team", ENOUGH).await;
    for number in 0..3 {
        let answered = world.ask(&question(&number.to_string())).await;
        assert_eq!(answered.status, StatusCode::OK);
    }
    assert!(world.credit(group) < ENOUGH);
    world.settle(0).await;
    for live in world.roster.all() {
        world.chain.refund(live.id);
    }
    world.until(|world| world.credit(group) == ENOUGH).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_credit_a_request_is_refused_and_the_message_helps() {
    let mut world = World::with_nodes(1).await;
    let group = world.use_group("poor", 10_000).await;
    let answered = world.ask(&question("Why?")).await;
    assert_eq!(
        (answered.status.as_u16(), answered.code()),
        (402, "insufficient_quota".into())
    );
    let message = answered.json()["error"]["message"].to_string();
    for part in [
        "a credit of 10000upoq",
        "0upoq are held",
        "poq1gateway",
        "poq-gateway:poor",
    ] {
        assert!(message.contains(part), "{message}");
    }
    assert_eq!(world.nodes[0].orders(), 0);

    // A smaller answer fits, and the credit ends with it.
    let mut small = question("Why?");
    small["max_tokens"] = 1.into();
    assert_eq!(world.ask(&small).await.status, StatusCode::OK);
    assert!(world.credit(group) < 10_000);
    assert_eq!(world.credits.held(group), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn answers_in_progress_hold_credit_until_they_end() {
    let mut world = World::with_nodes(2).await;
    let mut endless = streamed("Go on");
    endless["max_tokens"] = 10.into();
    let ceiling = 1_000 + 10 * 5 + 100 * 640;
    let group = world.use_group("team", ceiling * 3 / 2).await;
    for node in &world.nodes {
        node.script(&[Behaviour::Endless]);
    }
    let response = world.begin(world.request(&endless)).await;
    assert_eq!(response.status(), StatusCode::OK);
    assert_eq!(world.credits.held(group), ceiling);
    let mut other = question("And on");
    other["max_tokens"] = 10.into();
    let answered = world.ask(&other).await;
    assert_eq!(answered.status, StatusCode::PAYMENT_REQUIRED);
    let message = answered.json()["error"]["message"].to_string();
    assert!(
        message.contains(&format!("{ceiling}upoq are held")),
        "{message}"
    );
    // The client leaves: what there is of the answer is charged, and no more is held.
    drop(response);
    world.until(|world| world.credits.held(group) == 0).await;
    let charged = world.charged();
    assert!(charged > 0 && charged <= ceiling);
    assert_eq!(world.credit(group), ceiling * 3 / 2 - charged);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_restart_interrupts_costs_the_group_nothing() {
    let mut world = World::with_nodes(1).await;
    let group = world.use_group("team", ENOUGH).await;
    world.nodes[0].script(&[Behaviour::Endless]);
    let response = world.begin(world.request(&streamed("Go on"))).await;
    assert_eq!(response.status(), StatusCode::OK);
    let world = world.restart().await;
    drop(response);
    assert_eq!(world.credits.held(group), 0);
    world.until(|world| world.nodes[0].account().1 == 1).await;
    assert_eq!(world.ask(&question("Why?")).await.status, StatusCode::OK);
    let charged = world.store.read(|db| groups::sum(db, group, "charge"));
    assert_eq!(charged.unwrap(), world.charged());
    assert_eq!(world.credit(group), ENOUGH - world.charged());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repetition_holds_and_costs_nothing_more() {
    let mut world = World::with_nodes(1).await;
    let mut body = question("Why?");
    body["max_tokens"] = 1.into();
    let ceiling = 1_000 + 10 * 4 + 100 * 64;
    let group = world.use_group("team", ceiling).await;
    let first = world.ask(&body).await;
    assert_eq!(first.status, StatusCode::OK, "{}", first.text);
    let credit = world.credit(group);
    assert!(credit < ceiling);
    let mut again = world.request(&body);
    let headers = again.headers_mut();
    headers.insert("x-stainless-retry-count", 1.into());
    assert_eq!(world.send(again).await.json(), first.json());
    assert_eq!(world.credit(group), credit);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_balance_says_what_may_still_be_spent() {
    let mut world = World::with_nodes(1).await;
    let balance = world.get("/v1/balance").await.json();
    assert_eq!(
        (&balance["denom"], &balance["group"]),
        (&json!("upoq"), &Value::Null)
    );
    world.use_group("team", ENOUGH).await;
    let body = world.ask(&question("Why?")).await.json();
    let price = body["poq"]["price"].as_u64().unwrap();
    world.nodes[0].script(&[Behaviour::Endless]);
    let mut endless = streamed("Go on");
    endless["max_tokens"] = 1.into();
    let response = world.begin(world.request(&endless)).await;
    let held = 1_000 + 10 * 5 + 100 * 64;
    let balance = world.get("/v1/balance").await.json();
    let expected = json!({
        "name": "team",
        "credit": ENOUGH - price,
        "held": held,
        "available": ENOUGH - price - held,
        "deposit": { "address": "poq1gateway", "memo": "poq-gateway:team" },
    });
    assert_eq!(balance["group"], expected);
    let key = &balance["key"];
    for field in ["spent_day", "spent_month"] {
        assert_eq!(key[field], price, "{field}");
    }
    assert_eq!(
        (&key["held"], &key["limits"]["budget_day"]),
        (&json!(held), &Value::Null)
    );
    drop(response);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limited_key_is_told_its_limit_with_every_answer() {
    let mut world = World::with_nodes(1).await;
    let unlimited = world.ask(&question("Why?")).await;
    assert!(!unlimited.headers.contains_key("x-ratelimit-limit-requests"));
    world
        .use_key(keys::Key {
            limits: keys::Limits {
                requests_per_minute: Some(1),
                ..keys::Limits::default()
            },
            ..keys::Key::default()
        })
        .await;
    // A minute may end between two of the requests.
    let answered = loop {
        assert_eq!(world.get("/v1/models").await.status, StatusCode::OK);
        assert_eq!(world.ask(&question("Why?")).await.status, StatusCode::OK);
        let answered = world.ask(&question("Why?")).await;
        if answered.status != StatusCode::OK {
            break answered;
        }
    };
    assert_eq!(answered.status, StatusCode::TOO_MANY_REQUESTS);
    let header = |name: &str| answered.headers[name].to_str().unwrap().to_owned();
    assert_eq!(header("x-ratelimit-limit-requests"), "1");
    assert_eq!(header("x-ratelimit-remaining-requests"), "0");
    let reset = header("x-ratelimit-reset-requests");
    let reset: u32 = reset.strip_suffix('s').unwrap().parse().unwrap();
    let retry: u32 = header("retry-after").parse().unwrap();
    assert!((1..=60).contains(&reset) && retry <= 30 && retry <= reset + 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_tries_many_keys_must_wait_and_others_need_not() {
    let mut world = World::with_nodes(1).await;
    let right = world.key.clone();
    let from = |world: &World, peer: &str| {
        let mut request = world.request(&question("Why?"));
        let peer = Peer(format!("{peer}:1").parse().unwrap());
        request.extensions_mut().insert(peer);
        // Without a proxy nobody is believed.
        let headers = request.headers_mut();
        headers.insert("x-forwarded-for", "1.1.1.1".parse().unwrap());
        request
    };
    world.key = "poq-wrong".into();
    let mut refused = 0;
    let last = loop {
        let answered = world.send(from(&world, "10.0.0.1")).await;
        match answered.status {
            StatusCode::UNAUTHORIZED => refused += 1,
            _ => break answered,
        }
    };
    assert_eq!(last.status, StatusCode::TOO_MANY_REQUESTS);
    assert!(refused >= 20);
    let wait: u32 = last.headers["retry-after"]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=30).contains(&wait));
    world.key = right;
    let answered = world.send(from(&world, "10.0.0.2")).await;
    assert_eq!(answered.status, StatusCode::OK);
}
