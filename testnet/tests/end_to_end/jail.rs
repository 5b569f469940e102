//! A jailed worker: the network's status shows it, and it leaves the jail by itself if its settings allow it.

use std::fs;
use std::time::Duration;

use poq_client::Client;
use poq_proto::v1::{NodeStatus, Role};
use serde_json::json;
use tokio::time::{Instant, sleep};

use crate::fixture::{Fixture, PATIENCE, short};

const NAME: &str = "inference-1";

#[tokio::test]
async fn a_jailed_worker_is_shown_and_leaves_its_jail_by_itself() {
    let mut fixture = Fixture::start("jail", [1, 1, 1], |spec| {
        let params = &mut spec.genesis["params"];
        params["answer_window"] = json!("10");
        params["max_inference_attempts"] = json!(1);
        params["jail_after_misses"] = json!(1);
        params["jail_window"] = json!("20");
    })
    .await;
    assert_eq!(jailed_until(&fixture).await, None);

    fixture.network.stop(NAME).await.unwrap();
    let user = fixture.user().await;
    short("Who is silent?").submit(&user).await.unwrap();
    wait(&fixture, NodeStatus::Jailed).await;

    fixture.start_all().await;
    let until = jailed_until(&fixture).await.unwrap();
    assert!(until > 20, "{until}");
    let stays = fixture.client().height().await.unwrap();
    fixture
        .network
        .wait_height(0, until.max(stays) + 4, PATIENCE)
        .await
        .unwrap();
    assert_eq!(jailed_until(&fixture).await, Some(until));

    fixture.network.stop(NAME).await.unwrap();
    let path = fixture.network.root().join(NAME).join("config.toml");
    let config = fs::read_to_string(&path).unwrap();
    let changed = config.replace("auto_unjail = false", "auto_unjail = true");
    assert_ne!(config, changed);
    fs::write(&path, changed).unwrap();
    fixture.start_all().await;
    wait(&fixture, NodeStatus::Active).await;
    assert_eq!(jailed_until(&fixture).await, None);
    // The worker sees the block a moment after the chain has it.
    let log = fixture.network.logs().join(format!("{NAME}.log"));
    let told = || fs::read_to_string(&log).unwrap();
    let started = Instant::now();
    while !told().contains("AUTO-UNJAIL: the node is out of jail") {
        assert!(started.elapsed() < PATIENCE, "{}", told());
        sleep(Duration::from_millis(200)).await;
    }
    assert!(told().contains("JAILED"), "{}", told());
    fixture.shut_down().await;
}

/// The height that `poq-testnet status` shows.
async fn jailed_until(fixture: &Fixture) -> Option<u64> {
    let all = fixture.network.status().await.unwrap();
    let mut all = all.into_iter();
    all.find(|status| status.name == NAME).unwrap().jailed_until
}

/// Waits until the worker has this status on the chain.
async fn wait(fixture: &Fixture, expected: NodeStatus) {
    let operator = &fixture.network.description().inference_nodes[0]
        .account
        .address;
    let client: Client = fixture.client();
    let started = Instant::now();
    loop {
        let node = client.node(Role::Inference, operator).await.unwrap();
        if node.status() == expected {
            return;
        }
        assert!(started.elapsed() < PATIENCE, "{node:?}");
        sleep(Duration::from_millis(200)).await;
    }
}
