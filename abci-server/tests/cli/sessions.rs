use serde_json::{Value, json};

use crate::support::{Network, Run, eventually, number, poqd};

/// Compressed secp256k1 keys.
const STREAM_KEY: &str = "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798";
const SESSION_KEY: &str = "02c6047f9441ed7d6d3045406e95c07cd85c778e4b8cef3ca7abac09b95c709ee5";

/// Lets the only inference node offer sessions.
pub(crate) fn offer_sessions(network: &Network) {
    let update = |flags: &str| {
        let rpc = network.get("/validators/0/rpc");
        let words = format!(
            "tx poq update-node inference --from inference-1 --keyring-backend test --yes --node \
             {rpc} {flags} --home"
        );
        let mut command = poqd(&words);
        command.arg(network.path().join("inference-1"));
        command
    };
    let error = update("--stream-url https://node.example").failure();
    assert!(error.contains("--stream-key"), "{error}");
    let offer = format!("--stream-url https://node.example --stream-key {STREAM_KEY}");
    assert_eq!(update(&offer).json()["code"], 0);
    // Another field changes, and the offer stays.
    assert_eq!(update("--capacity 5").json()["code"], 0);
    let operator = network.get("/inference_nodes/0/address");
    let node = network
        .user(&format!("query poq node inference {operator}"))
        .json();
    let node = &node["node"];
    assert_eq!(node["stream"]["url"], "https://node.example");
    assert_eq!(node["capacity"], 5);
}

fn session(network: &Network, id: u64) -> Value {
    network.user(&format!("query poq session {id}")).json()["session"].clone()
}

pub(crate) fn status(network: &Network, id: u64, expected: &str) -> Value {
    eventually(expected, || {
        let session = session(network, id);
        (session["status"] == expected).then_some(session)
    })
}

/// The user's command that opens sessions.
fn open() -> String {
    format!(
        "tx poq open-sessions --escrow 400000upoq --session-key {SESSION_KEY} --blocks 200 --from user \
         --yes"
    )
}

/// Opens one session.
pub(crate) fn open_session(network: &Network) {
    assert_eq!(network.user(&open()).json()["sessions"], json!(["1"]));
}

#[test]
fn a_session_is_opened_drawn_proven_and_closed() {
    let network = Network::new();
    let _node = network.start();
    let open = open();
    let error = network.user(&open).failure();
    assert!(error.contains("no active inference node offers"), "{error}");
    offer_sessions(&network);

    let opened = network.user(&format!("{open} --nodes 2")).json();
    let ids: Vec<u64> = opened["sessions"]
        .as_array()
        .unwrap()
        .iter()
        .map(number)
        .collect();
    assert_eq!(ids, [1, 2], "{opened}");
    let operator = network.get("/inference_nodes/0/address");
    let drawn = status(&network, 1, "SESSION_STATUS_OPEN");
    assert_eq!(drawn["node"]["operator"], operator.as_str());
    // The chain has no other node for the second one.
    let refunded = status(&network, 2, "SESSION_STATUS_REFUNDED");
    assert_eq!(refunded["refund_reason"], "SESSION_REFUND_REASON_NO_NODE");

    let draw = network.user("query poq draw --session 1 --verify").json();
    assert_eq!(draw["session_id"], "1");
    let shown = &draw["draws"][0];
    assert_eq!(
        (&shown["role"], &shown["matches"]),
        (&json!("inference"), &json!(true))
    );
    assert_eq!(shown["recorded"][0]["operator"], operator.as_str());
    assert_eq!(
        shown["pools"][0]["candidates"][0]["operator"],
        operator.as_str()
    );
    assert!(shown["proof"]["values"].as_u64() > Some(0), "{shown}");
    let error = network.user("query poq draw --session 2").failure();
    assert!(error.contains("has no node"), "{error}");

    let ids_of = |flags: &str| -> Vec<u64> {
        let found = network.user(&format!("query poq sessions {flags}")).json();
        let sessions = found["sessions"].as_array().cloned().unwrap_or_default();
        sessions
            .iter()
            .map(|session| number(&session["id"]))
            .collect()
    };
    let user = network.get("/user/address");
    assert_eq!(ids_of(&format!("--user {user}")), [1, 2]);
    assert_eq!(ids_of(&format!("--user {user} --after 1")), [2]);
    assert_eq!(ids_of(&format!("--operator {operator}")), [1]);
    assert_eq!(ids_of("--limit 1"), [1]);

    let closed = network
        .user("tx poq close-sessions 1 --from user --yes")
        .json();
    assert_eq!(closed["code"], 0);
    status(&network, 1, "SESSION_STATUS_CLOSING");
    let error = network
        .user("tx poq close-sessions 1 --from user --yes")
        .failure();
    assert!(error.contains("SESSION_STATUS_CLOSING"), "{error}");
}
