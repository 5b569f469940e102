//! A network as `make testnet` runs it, with inference nodes that offer sessions and a gateway, asked by
//! OpenAI's unmodified clients.

use std::collections::BTreeMap;
use std::path::PathBuf;

use poq_client::{Client, Fee, any, cache};
use poq_proto::v1::{MsgCloseSessions, Role, Session, SessionStatus};
use poq_testnet::Gateway;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::{Duration, sleep, timeout};

use crate::clients::{installed, node_js, output, scripts};
use crate::fixture::{Fixture, PATIENCE, send, verify_receipt};

/// Answers at once: each node has one place and a short queue.
const STREAMS: &str = "4";
/// Distance between a quality of the reference evaluator and one of ONNX Runtime, ppm.
const TOLERANCE: u64 = 20_000;
/// Pause between two looks at the chain.
const PAUSE: Duration = Duration::from_millis(500);

#[tokio::test]
async fn a_gateway_answers_unmodified_clients_and_the_nodes_are_paid() {
    let mut fixture = Fixture::with_sessions("sessions", [1, 2, 5]).await;
    fixture.start_all().await;
    fixture.network.offer_sessions().await.unwrap();
    let key = fixture.network.create_api_key("test").await.unwrap();
    let gateway = fixture.network.description().gateway.clone().unwrap();
    let client = fixture.client();
    let is_open = |session: &Session| session.status() == SessionStatus::Open;
    wait(&client, &gateway, |sessions| sessions.iter().any(is_open)).await;

    let mut python = Command::new("python3");
    python
        .arg(scripts().join("openai/gateway.py"))
        .env("PYTHONPATH", installed("openai-python"))
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let mut javascript = node_js();
    javascript
        .arg(scripts().join("openai/gateway.js"))
        .env("NODE_PATH", installed("openai-node/node_modules"));
    for mut script in [python, javascript] {
        script
            .env("OPENAI_BASE_URL", format!("http://{}/v1", gateway.http))
            .env("OPENAI_API_KEY", key.as_ref().unwrap())
            .env("STREAMS", STREAMS);
        output(script).await;
    }

    // The gateway acknowledges what it has within seconds; then the user ends everything.
    sleep(Duration::from_secs(5)).await;
    let scored = score_first_answers(&fixture, &gateway).await;
    fixture.network.stop(&gateway.name).await.unwrap();
    close_all(&fixture, &gateway).await;
    let is_over = |session: &Session| {
        matches!(
            session.status(),
            SessionStatus::Final | SessionStatus::Refunded
        )
    };
    let sessions = wait(&client, &gateway, |sessions| sessions.iter().all(is_over)).await;
    let used: Vec<_> = sessions
        .iter()
        .filter(|session| {
            session
                .settlement
                .as_ref()
                .is_some_and(|one| one.amount > 0)
        })
        .collect();
    assert!(!used.is_empty(), "{sessions:?}");
    let mut compared = 0;
    for session in &used {
        let report = check_receipt(&fixture, &gateway, session.id).await;
        let own = report["answer"]["own_quality"].as_u64();
        if let (Some(own), Some(scored)) = (own, scored.get(&session.id)) {
            assert!(own.abs_diff(*scored) <= TOLERANCE, "{own} {scored}");
            compared += 1;
        }
    }
    assert!(compared > 0, "{scored:?}");
    for session in used {
        let settlement = session.settlement.as_ref().unwrap();
        assert_eq!(settlement.unacknowledged, 0, "{session:?}");
        assert!(settlement.open_points.is_empty(), "{session:?}");
        let operator = &session.node.as_ref().unwrap().operator;
        let node = client.node(Role::Inference, operator).await.unwrap();
        assert_eq!(node.duties_missed, 0);
        assert!(node.earned > 0);
    }
    fixture.shut_down().await;
}

/// The gateway's receipt of the first answer of a paid session verifies without the gateway.
async fn check_receipt(fixture: &Fixture, gateway: &Gateway, session: u64) -> Value {
    let file = first_receipt(fixture, gateway, session).await.unwrap();
    let report = verify_receipt(&fixture.network, &file).await;
    assert_eq!(report["answer"]["phase"], "final", "{report}");
    report
}

/// The qualities of the first answers of open sessions as anybody computes them from their receipts, ppm.
async fn score_first_answers(fixture: &Fixture, gateway: &Gateway) -> BTreeMap<u64, u64> {
    let network = &fixture.network;
    let sessions = fixture.client().sessions_of_user(&gateway.account.address);
    let mut scored = BTreeMap::new();
    for session in sessions.await.unwrap() {
        let Some(file) = first_receipt(fixture, gateway, session.id).await else {
            continue;
        };
        let mut command = Command::new(network.programs().poqd());
        command
            .args(["receipt", "score", "--output", "json"])
            .args(["--node", &network.description().validators[0].rpc])
            .arg("--evaluator-models")
            .arg(cache().join("models"))
            .arg(&file);
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        let found: Value = serde_json::from_slice(&output.stdout).unwrap();
        scored.insert(session.id, found["quality"].as_u64().unwrap());
    }
    scored
}

/// The gateway's receipt of the first answer of a session, if there is one.
async fn first_receipt(fixture: &Fixture, gateway: &Gateway, session: u64) -> Option<PathBuf> {
    let network = &fixture.network;
    let file = network.root().join("receipt.json");
    let mut command = Command::new(network.programs().poqd().with_file_name("poq-gateway"));
    command
        .args(["receipt", "get", &format!("{session}-0"), "--out"])
        .arg(&file)
        .arg("--home")
        .arg(network.root().join(&gateway.account.home));
    let output = command.output().await.unwrap();
    output.status.success().then_some(file)
}

/// Closes the gateway's open sessions in its name.
async fn close_all(fixture: &Fixture, gateway: &Gateway) {
    let account = fixture.network.sender(&gateway.account).await.unwrap();
    let sessions = fixture
        .client()
        .sessions_of_user(&gateway.account.address)
        .await
        .unwrap();
    let open = |session: &&Session| session.status() == SessionStatus::Open;
    let message = MsgCloseSessions {
        user: gateway.account.address.clone(),
        sessions: sessions
            .iter()
            .filter(open)
            .map(|session| session.id)
            .collect(),
    };
    if !message.sessions.is_empty() {
        send(&account, any(&message), Fee::Gas(1_000_000)).await;
    }
}

/// Waits until the gateway's sessions are as wanted, and returns them.
async fn wait(
    client: &Client,
    gateway: &Gateway,
    wanted: impl Fn(&[Session]) -> bool,
) -> Vec<Session> {
    let found = timeout(PATIENCE, async {
        loop {
            let sessions = client
                .sessions_of_user(&gateway.account.address)
                .await
                .unwrap();
            if wanted(&sessions) {
                return sessions;
            }
            sleep(PAUSE).await;
        }
    });
    found
        .await
        .expect("the sessions did not end as expected; see the logs")
}
