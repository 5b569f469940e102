//! Workers whose node is unreachable, and workers with wrong model files.

use std::fs;
use std::time::Duration;

use poq_client::cache;
use poq_testnet::{Error, Network};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::fixture::{Fixture, PATIENCE, short};

/// Duration of the only node's outage.
const OUTAGE: Duration = Duration::from_secs(60);
const JUDGE: &str = include_str!("../../../evaluator/registry/judge-minilm-nc-2.json");

#[tokio::test]
async fn workers_outlive_an_outage_and_refuse_wrong_models() {
    let mut fixture = Fixture::start("outages", [1, 1, 1], |spec| {
        // A single evaluator model, whose folder is in the worker's settings.
        let entry: Value = serde_json::from_str(JUDGE).unwrap();
        let shares = json!([{ "id": entry["id"], "weight": 1 }]);
        spec.genesis["models"][0]["evaluator_models"] = shares;
        spec.genesis["evaluator_models"] = json!([entry]);
    })
    .await;
    wrong_models_are_refused(&mut fixture.network).await;
    the_node_is_away_for_a_minute(&mut fixture).await;
    fixture.shut_down().await;
}

/// A task is open when the node dies, and ends after its return.
async fn the_node_is_away_for_a_minute(fixture: &mut Fixture) {
    let user = fixture.user().await;
    let submitted = short("What is the capital of France?")
        .submit(&user)
        .await
        .unwrap();
    fixture.network.kill("node1").await.unwrap();
    sleep(OUTAGE).await;
    fixture.network.check().unwrap();
    fixture.network.start("node1").unwrap();
    let description = fixture.network.description();
    fixture.network.client(0).unwrap();
    let client = fixture.client();
    while client.status().await.is_err() {
        sleep(Duration::from_millis(200)).await;
    }
    let receipt = submitted
        .receipt(client, description, |_| {})
        .await
        .unwrap();
    assert_eq!(receipt.inference.name, "inference-1");
    assert!(receipt.committee[0].raw_score.is_some(), "{receipt}");
}

/// With missing, truncated or swapped files the worker reports the error and does not start.
async fn wrong_models_are_refused(network: &mut Network) {
    let cache = cache();
    let language = cache.join("models/smollm2-135m-instruct/SmolLM2-135M-Instruct.Q4_1.gguf");
    let scorer = cache.join("models/judge-minilm-nc-2");
    let folder = network.root().join("wrong");
    fs::create_dir(&folder).unwrap();

    let missing = folder.join("missing.gguf");
    let truncated = folder.join("truncated.gguf");
    fs::write(&truncated, &fs::read(&language).unwrap()[..1 << 20]).unwrap();
    let swapped = folder.join("swapped.gguf");
    fs::copy(scorer.join("model.onnx"), &swapped).unwrap();
    for (file, reason) in [
        (&missing, "missing.gguf"),
        (
            &truncated,
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
        (
            &swapped,
            "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        ),
    ] {
        let setting = format!("file = \"{}\"", file.display());
        refuse(network, "inference-1", "file = ", &setting, reason).await;
    }

    let entry: Value = serde_json::from_str(JUDGE).unwrap();
    let digest = |field: &str| entry[field].as_str().unwrap();
    for (name, break_it, reason) in [
        ("none", None, "none/tokenizer.json"),
        ("cut", Some("model.onnx"), digest("weights_sha256")),
        ("words", Some("tokenizer.json"), digest("tokenizer_sha256")),
    ] {
        let copy = folder.join(name);
        fs::create_dir(&copy).unwrap();
        if let Some(broken) = break_it {
            for file in ["model.onnx", "tokenizer.json"] {
                let mut bytes = fs::read(scorer.join(file)).unwrap();
                if file == broken {
                    bytes.truncate(1000);
                }
                fs::write(copy.join(file), bytes).unwrap();
            }
        }
        let setting = format!("folder = \"{}\"", copy.display());
        refuse(network, "evaluator-1", "# folder = ", &setting, reason).await;
    }
}

/// Restarts a worker with one setting changed, expects its end, and restores the setting.
async fn refuse(network: &mut Network, name: &str, line: &str, setting: &str, reason: &str) {
    network.stop(name).await.unwrap();
    let config = network.root().join(name).join("config.toml");
    let right = fs::read_to_string(&config).unwrap();
    let wrong: String = right
        .lines()
        .map(|old| if old.starts_with(line) { setting } else { old })
        .map(|line| line.to_owned() + "\n")
        .collect();
    assert_ne!(wrong, right);
    fs::write(&config, wrong).unwrap();
    network.start(name).unwrap();
    let error = loop {
        match network.check() {
            Ok(()) => sleep(Duration::from_millis(50)).await,
            Err(error) => break error,
        }
    };
    let Error::Crashed {
        name: ended, tail, ..
    } = &error
    else {
        panic!("{error}");
    };
    assert_eq!(ended, name);
    assert!(tail.contains(reason), "{name} with {setting}: {tail}");
    network.forget_crashed();
    fs::write(&config, right).unwrap();
    network.start(name).unwrap();
    network.wait_healthy(PATIENCE, |_, _| {}).await.unwrap();
}
