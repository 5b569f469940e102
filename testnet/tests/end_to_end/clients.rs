//! Unmodified clients on a real network: CosmJS and cosmpy for the chain, OpenAI's for an inference node.
//! Their scripts are also examples for users, and check most results themselves.

use std::path::{Path, PathBuf};
use std::process::Output;

use poq_client::{Key, Mnemonic};
use poq_testnet::{installed, node_js};
use serde_json::Value;
use tokio::process::Command;

use crate::fixture::{Fixture, PATIENCE};

/// Balance for the questions, sends and fees of one script, upoq.
const FUNDS: u64 = 100_000_000;

#[tokio::test]
async fn unmodified_clients_send_ask_and_find() {
    let mut fixture = Fixture::create("clients", [1, 1, 3], |_| {}).await;
    fixture.network.start("node1").unwrap();
    fixture
        .network
        .wait_healthy(PATIENCE, |_, _| {})
        .await
        .unwrap();
    let node = fixture.network.description().validators[0].clone();

    let mut cosmjs = node_js();
    cosmjs
        .arg(scripts().join("cosmjs/tour.js"))
        .env("NODE_PATH", installed("cosmjs/node_modules").unwrap())
        .env("RPC", &node.rpc);
    let found = run(&fixture, cosmjs).await;
    assert_task(&fixture, &found, &found["tasks"][0]).await;
    assert_task(&fixture, &found, &found["tasks"][1]).await;

    let mut cosmpy = Command::new("python3");
    cosmpy
        .arg(scripts().join("cosmpy/tour.py"))
        .env("PYTHONPATH", installed("cosmpy").unwrap())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("CHAIN_ID", &fixture.network.description().chain_id)
        .env("GRPC", &node.grpc);
    let found = run(&fixture, cosmpy).await;
    assert_task(&fixture, &found, &found["task"]).await;

    // OpenAI's clients connect only to the inference node.
    fixture.network.start("inference-1").unwrap();
    fixture
        .network
        .wait_healthy(PATIENCE, |_, _| {})
        .await
        .unwrap();
    let mut python = Command::new("python3");
    python
        .arg(scripts().join("openai/tour.py"))
        .env("PYTHONPATH", installed("openai-python").unwrap())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let mut javascript = node_js();
    javascript
        .arg(scripts().join("openai/tour.js"))
        .env("NODE_PATH", installed("openai-node/node_modules").unwrap());
    let http = fixture.network.description().inference_nodes[0]
        .http
        .clone();
    for mut script in [python, javascript] {
        script
            .env("OPENAI_BASE_URL", format!("http://{http}/v1"))
            .env_remove("OPENAI_API_KEY");
        output(script).await;
    }
    fixture.shut_down().await;
}

pub(crate) fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("clients")
}

/// Runs a script with its own account; its standard output is a JSON value.
async fn run(fixture: &Fixture, mut script: Command) -> Value {
    let mnemonic = Mnemonic::random();
    let address = Key::from_mnemonic(&mnemonic).unwrap();
    let address = address.address("poq").unwrap();
    fixture.pay(&address, FUNDS).await;
    script.env("MNEMONIC", mnemonic.words());
    let found = output(script).await;
    assert_eq!(found["address"], address.as_str());
    found
}

/// Runs a script successfully and returns its JSON output.
pub(crate) async fn output(mut script: Command) -> Value {
    let Output {
        status,
        stdout,
        stderr,
    } = script
        .output()
        .await
        .unwrap_or_else(|error| panic!("cannot run {script:?}: {error}"));
    let stderr = String::from_utf8_lossy(&stderr);
    assert!(status.success(), "{script:?}: {stderr}");
    serde_json::from_slice(&stdout).unwrap()
}

/// Asserts that the chain has the task that the script reports as submitted.
async fn assert_task(fixture: &Fixture, found: &Value, id: &Value) {
    let id = id
        .as_u64()
        .or_else(|| id.as_str()?.parse().ok())
        .unwrap_or_else(|| panic!("no task in {found}"));
    let task = fixture.client().task(id).await.unwrap();
    assert_eq!(found["address"], task.user.as_str());
}
