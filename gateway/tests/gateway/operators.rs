//! What an operator sees and does: metrics, readiness, quarantine, commands beside the running gateway.

use std::time::{Duration, Instant};

use axum::body::Body;
use axum::http::{Request, StatusCode};
use clap::Parser;
use poq_client::session::RefusalCode;
use poq_proto::v1::SessionStatus;
use poq_worker::ChainConfig;
use serde_json::json;

use super::failures::asked_first;
use super::world::{MODEL, World, database, question, streamed};
use crate::cli::Cli;
use crate::config::Template;
use crate::keys::Secret;
use crate::played::Behaviour;
use crate::store::{Store, keys, now, quarantine};

/// Runs a command of the operator in the gateway's home.
async fn operate(world: &World, arguments: &[&str]) -> anyhow::Result<()> {
    let template = Template {
        listen: ([127, 0, 0, 1], 8090).into(),
        models: Vec::new(),
        allow_private: true,
        evaluator_models: None,
    };
    let config = template.render(&ChainConfig::default());
    std::fs::write(world.home().join("config.toml"), config).unwrap();
    let home = world.home().to_str().unwrap();
    let program = ["poq-gateway", "--home", home];
    Cli::try_parse_from(program.iter().chain(arguments))
        .unwrap()
        .run()
        .await
}

/// Operators of nodes in quarantine.
pub(super) fn quarantined(world: &World) -> Vec<String> {
    let found = world.store.read(|db| quarantine::list(db, now())).unwrap();
    found.into_iter().map(|node| node.operator).collect()
}

/// Status of the sessions that a node was drawn for.
fn drawn(world: &World, operator: &str) -> Vec<SessionStatus> {
    let records = world.chain.records().into_iter();
    let own = records.filter(|record| {
        let node = record.node.as_ref();
        node.is_some_and(|node| node.operator == operator)
    });
    own.map(|record| record.status()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_lied_is_not_used_until_it_is_released() {
    let world = World::with_nodes(2).await;
    let liar = asked_first(&world).await;
    let lying = world.nodes[liar].operator.clone();
    let honest = world.nodes[1 - liar].operator.clone();
    world.nodes[liar].script(&[Behaviour::WrongKey]);
    let failed = world.ask(&question("Why?")).await;
    assert_eq!(failed.status, StatusCode::BAD_GATEWAY, "{}", failed.text);
    world.until(|world| quarantined(world) == [&*lying]).await;

    // A session that draws the node is closed at once.
    let mut all = question("Why?");
    all["poq"] = json!({ "tier": "all" });
    assert_eq!(
        world.ask(&all).await.status,
        StatusCode::SERVICE_UNAVAILABLE
    );
    world
        .until(|world| drawn(world, &lying) == [SessionStatus::Closing; 2])
        .await;
    world
        .until(|world| drawn(world, &honest) == [SessionStatus::Open; 2])
        .await;
    let answered = world.ask_until_open(&all).await;
    assert_eq!(answered.headers["x-poq-node"], *honest);

    let world = world.restart().await;
    world.until(|world| !world.roster.all().is_empty()).await;
    assert_eq!(quarantined(&world), [&*lying]);
    for _ in 0..3 {
        let answered = world.ask_until_open(&question("Why?")).await;
        assert_eq!(answered.headers["x-poq-node"], *honest);
    }

    operate(&world, &["nodes", "list"]).await.unwrap();
    operate(&world, &["nodes", "release", &lying])
        .await
        .unwrap();
    assert!(
        operate(&world, &["nodes", "release", &lying])
            .await
            .is_err()
    );
    for live in world.roster.all() {
        live.leave(&world.store);
    }
    // A new process need not wait until it opens a set.
    let world = world.restart().await;
    world
        .until(|world| drawn(world, &lying).contains(&SessionStatus::Open))
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_node_that_is_down_is_not_in_quarantine() {
    let world = World::with_nodes(2).await;
    let first = asked_first(&world).await;
    world.nodes[first].script(&[
        Behaviour::SwallowAccept,
        Behaviour::Refuse(RefusalCode::Busy),
        Behaviour::Refuse(RefusalCode::Failed),
        Behaviour::Die(0),
    ]);
    for _ in 0..6 {
        let answered = world.ask_patiently(&streamed("Why?")).await;
        assert!(answered.streamed().ends_with("says: Why?"));
    }
    assert_eq!(quarantined(&world), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn traffic_is_measured() {
    let world = World::with_nodes(2).await;
    let first = asked_first(&world).await;
    assert_eq!(world.ask(&streamed("Why?")).await.status, StatusCode::OK);
    world.nodes[first].script(&[Behaviour::Refuse(RefusalCode::Failed)]);
    assert_eq!(world.ask(&question("Why?")).await.status, StatusCode::OK);
    world.get("/v1/models/other").await;
    world.get("/v1/nothing").await;
    let request = Request::get("/metrics").body(Body::empty()).unwrap();
    let text = world.send(request).await.text;
    for name in [
        "requests_total{path=\"/v1/chat/completions\",status=\"200\"}",
        "requests_total{path=\"/v1/models/{*id}\",status=\"404\"}",
        "requests_total{path=\"other\",status=\"404\"}",
        "first_token_seconds_bucket{le=\"0.001\"}",
        "overhead_seconds_bucket{le=\"0.001\"}",
        "commit_seconds_bucket{le=\"0.001\"}",
        "streams ",
        "node_errors_total{reason=\"failed\"}",
        "failovers_total ",
        "resumes_total ",
        "duplicates_total ",
        "sessions{status=\"open\"}",
        "sessions{status=\"closed\"}",
        "outstanding_price ",
        "charged_total ",
        "refunded_total ",
        "burnt_total ",
        "quarantined_nodes ",
    ] {
        let name = format!("poq_gateway_{name}");
        assert!(text.contains(&name), "{name} is missing in:\n{text}");
    }
    let of = |name: &str| of(&text, name);
    // Only streams have a first token; whole answers have an overhead too.
    assert!(of("poq_gateway_first_token_seconds_count") >= 1.0);
    assert!(of("poq_gateway_overhead_seconds_count") >= 2.0);
    assert!(of("poq_gateway_failovers_total") >= 1.0);
    assert!(of("poq_gateway_charged_total") > 0.0);
}

/// The value of a metric.
fn of(text: &str, name: &str) -> f64 {
    let line = text.lines().find(|line| line.starts_with(name));
    let value = line.and_then(|line| line.rsplit_once(' ')).unwrap().1;
    value.parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_ended_session_shows_what_it_gave_back_and_its_quality() {
    let world = World::with_nodes(1).await;
    let answered = world.ask(&question("Why?")).await.json();
    world.settle(0).await;
    let live = world.roster.all().remove(0);
    live.leave(&world.store);
    world
        .until(|world| world.chain.record(live.id).unwrap().status() == SessionStatus::Closing)
        .await;
    let mut settlement = world.nodes[0].settlement(live.id);
    settlement.unacknowledged = 77;
    settlement.leaves.push(poq_proto::v1::DrawnLeaf {
        quality: Some(750_000),
        ..poq_proto::v1::DrawnLeaf::default()
    });
    let price = answered["poq"]["price"].as_u64().unwrap();
    world.chain.settle(live.id, settlement, price / 4);
    let request = || Request::get("/metrics").body(Body::empty()).unwrap();
    let deadline = Instant::now() + super::world::SOON;
    loop {
        let text = world.send(request()).await.text;
        // Other tests end sessions too, but burn nothing.
        if text.contains("poq_gateway_burnt_total 77") {
            assert!(of(&text, "poq_gateway_refunded_total") >= (price / 4) as f64);
            assert!(of(&text, "poq_gateway_quality_bucket{le=\"0.8\"}") >= 1.0);
            return;
        }
        assert!(Instant::now() < deadline, "{text}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Waits until `/ready` says this about a part, or that all is well.
async fn until_ready_is(world: &World, expected: Option<(&str, &str)>) {
    let deadline = Instant::now() + super::world::SOON;
    loop {
        let request = Request::get("/ready").body(Body::empty()).unwrap();
        let answered = world.send(request).await;
        let is_so = match expected {
            None => answered.status == StatusCode::OK,
            Some((part, reason)) => {
                let problem = &answered.json()["problems"][part];
                answered.status == StatusCode::SERVICE_UNAVAILABLE
                    && problem.as_str().is_some_and(|text| text.contains(reason))
            }
        };
        if is_so {
            return;
        }
        assert!(Instant::now() < deadline, "{expected:?}: {}", answered.text);
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_is_ready_with_a_living_chain_and_a_store() {
    let world = World::with_nodes(2).await;
    until_ready_is(&world, None).await;
    // A moment without the chain does not matter.
    world.chain.go_away(true);
    tokio::time::sleep(Duration::from_millis(1_500)).await;
    until_ready_is(&world, None).await;
    world.chain.halt(true);
    let minute = Duration::from_secs(61);
    world
        .catalog
        .update(|snapshot| snapshot.seen = snapshot.seen.checked_sub(minute).unwrap());
    until_ready_is(&world, Some(("chain", "it is away"))).await;
    world.chain.go_away(false);
    until_ready_is(&world, Some(("chain", "no new block since height"))).await;
    world.chain.halt(false);
    until_ready_is(&world, None).await;

    let refuse = |db: &rusqlite::Connection| db.pragma_update(None, "query_only", true);
    world.store.write(refuse).await.unwrap();
    until_ready_is(&world, Some(("store", "readonly"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_gateway_without_money_or_sessions_is_not_ready() {
    let world = World::with_nodes(0).await;
    until_ready_is(&world, Some(("sessions", MODEL))).await;
    world.chain.impoverish(true);
    // The next set is opened when the first one has had its time.
    let world = world.restart().await;
    until_ready_is(&world, Some(("funds", "it is played"))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn commands_work_beside_the_running_gateway() {
    let mut world = World::with_nodes(1).await;
    // As `keys create`, whose key only its reader knows.
    let beside = Store::open(&database(world.home())).unwrap();
    let secret = Secret::random();
    let key = keys::Key {
        name: "late".into(),
        prefix: secret.prefix.clone(),
        ..keys::Key::default()
    };
    beside
        .write(move |db| keys::add(db, secret.digest, &key))
        .await
        .unwrap();
    world.key = secret.text;
    assert_eq!(world.ask(&question("Why?")).await.status, StatusCode::OK);
    operate(&world, &["keys", "create", "--name", "other"])
        .await
        .unwrap();
    operate(&world, &["keys", "revoke", "late"]).await.unwrap();
    assert_eq!(
        world.ask(&question("Why?")).await.status,
        StatusCode::UNAUTHORIZED
    );
}
