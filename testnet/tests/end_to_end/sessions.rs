//! A network as `make testnet` runs it, with inference nodes that offer sessions and a gateway, asked by
//! OpenAI's unmodified clients.

use std::collections::BTreeMap;

use poq_client::cache;
use poq_proto::v1::Role;
use poq_testnet::{installed, node_js};
use serde_json::Value;
use tokio::process::Command;
use tokio::time::{Duration, sleep};

use crate::clients::{output, scripts};
use crate::fixture::{Fixture, is_open, is_over};

/// Answers at once: each node has one place and a short queue.
const STREAMS: &str = "4";
/// Distance between a quality of the reference evaluator and one of ONNX Runtime, ppm.
const TOLERANCE: u64 = 20_000;

#[tokio::test]
async fn a_gateway_answers_unmodified_clients_and_the_nodes_are_paid() {
    let mut fixture = Fixture::with_sessions("sessions", [1, 2, 5]).await;
    fixture.start_all().await;
    fixture.network.offer_sessions().await.unwrap();
    let key = fixture.network.create_api_key("test").await.unwrap();
    let (gateway, client) = (fixture.gateway(), fixture.client());
    fixture
        .sessions(|sessions| sessions.iter().any(is_open))
        .await;

    let mut python = Command::new("python3");
    python
        .arg(scripts().join("openai/gateway.py"))
        .env("PYTHONPATH", installed("openai-python").unwrap())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let mut javascript = node_js();
    javascript
        .arg(scripts().join("openai/gateway.js"))
        .env("NODE_PATH", installed("openai-node/node_modules").unwrap());
    for mut script in [python, javascript] {
        script
            .env("OPENAI_BASE_URL", format!("http://{}/v1", gateway.http))
            .env("OPENAI_API_KEY", key.as_ref().unwrap())
            .env("STREAMS", STREAMS);
        output(script).await;
    }

    // The gateway acknowledges what it has within seconds; then the user ends everything.
    sleep(Duration::from_secs(5)).await;
    let scored = score_first_answers(&fixture).await;
    fixture.network.stop(&gateway.name).await.unwrap();
    fixture.close_sessions().await;
    let sessions = fixture
        .sessions(|sessions| sessions.iter().all(is_over))
        .await;
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
        let (_, report) = fixture.gateway_receipt(&format!("{}-0", session.id)).await;
        assert_eq!(report["answer"]["phase"], "final", "{report}");
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

/// The qualities of the first answers of open sessions as anybody computes them from their receipts, ppm.
async fn score_first_answers(fixture: &Fixture) -> BTreeMap<u64, u64> {
    let network = &fixture.network;
    let mut scored = BTreeMap::new();
    for session in fixture.sessions(|_| true).await {
        let Some(file) = fixture.save_receipt(&format!("{}-0", session.id)).await else {
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
