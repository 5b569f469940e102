//! A Llama 3 as a folder of safetensors and a Mixtral as a GGUF file, both tiny, on one chain.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use poq_client::{Fee, any};
use poq_proto::v1::{MsgUpdateNode, Role};
use poq_testnet::{Receipt, Spec, Worker};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::checkpoint::{Architecture, CONTEXT};
use crate::fixture::{Fixture, PATIENCE, short};

/// Time limit for the inclusion of a transaction in a block.
const INCLUSION: Duration = Duration::from_secs(60);

/// A model that one of the nodes serves.
struct Served {
    id: &'static str,
    architecture: &'static str,
    file: PathBuf,
    digest: String,
}

#[tokio::test]
async fn llama_3_and_mixtral_answer_for_money() {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("models-checkpoints");
    let served = [llama_3(&folder), mixtral(&folder)];
    let register = |spec: &mut Spec| {
        spec.genesis["models"] = served.iter().map(entry).collect();
        // Random weights give random answers, so every quality above the worst earns.
        spec.genesis["evaluator_models"][0]["calibration"] = json!([
            { "raw_score": -30_000_000, "quality": 0 },
            { "raw_score": 30_000_000, "quality": 1_000_000 },
        ]);
    };
    let mut fixture = Fixture::create("models", [1, served.len(), 1], register).await;
    fixture.network.start("node1").unwrap();
    fixture.network.wait_height(0, 1, PATIENCE).await.unwrap();
    let workers = fixture.network.description().inference_nodes.clone();
    for (worker, model) in workers.iter().zip(&served) {
        serve(&fixture, worker, model).await;
    }
    fixture.start_all().await;

    let user = fixture.user().await;
    let question = short("What is the capital of France?");
    for (worker, model) in workers.iter().zip(&served) {
        let registered = fixture.client().model(model.id).await.unwrap();
        let submitted = question.submit_to(&user, &registered).await.unwrap();
        let receipt = fixture.receipt(submitted).await.unwrap();
        check(&receipt, &worker.name, model.id);
    }
    fixture.shut_down().await;
}

fn llama_3(folder: &Path) -> Served {
    let file = folder.join("llama-3");
    Architecture::Llama3.write_folder(&file).unwrap();
    // The output of `sha256sum` for the folder's files, sorted by name.
    let names = [
        "config.json",
        "generation_config.json",
        "model.safetensors",
        "tokenizer.json",
        "tokenizer_config.json",
    ];
    let lines =
        names.map(|name| format!("{}  {name}\n", digest(&fs::read(file.join(name)).unwrap())));
    Served {
        id: "llama-3-tiny",
        architecture: "llama",
        digest: digest(lines.concat().as_bytes()),
        file,
    }
}

fn mixtral(folder: &Path) -> Served {
    let file = folder.join("mixtral.gguf");
    Architecture::Mixtral.write_gguf(&file).unwrap();
    Served {
        id: "mixtral-tiny",
        architecture: "mixtral",
        digest: digest(&fs::read(&file).unwrap()),
        file,
    }
}

fn digest(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

fn entry(model: &Served) -> Value {
    json!({
        "id": model.id,
        "architecture": model.architecture,
        "weights_sha256": model.digest,
        "context_tokens": CONTEXT,
        "max_prompt_bytes": 2048,
        "base_price": "20000",
        "price_per_prompt_byte": "10",
        "price_per_answer_byte": "50",
        "quality_floor": 0,
        "quality_target": 1000,
        "evaluator_models": [{ "id": "judge-minilm-nc-2", "weight": 1 }],
    })
}

/// Limits a worker, which serves every model at first, to this one.
async fn serve(fixture: &Fixture, worker: &Worker, model: &Served) {
    let sender = fixture.network.sender(&worker.account).await.unwrap();
    let message = MsgUpdateNode {
        operator: sender.address().into(),
        role: Role::Inference.into(),
        models: vec![model.id.into()],
        ..MsgUpdateNode::default()
    };
    let sent = sender.send_and_wait(vec![any(&message)], Fee::Auto, INCLUSION);
    sent.await.unwrap();

    let path = fixture
        .network
        .root()
        .join(&worker.account.home)
        .join("config.toml");
    let config = fs::read_to_string(&path).unwrap();
    let (before, table) = config.split_once("[model]").unwrap();
    let (table, after) = table.split_once("[duties]").unwrap();
    let keep = |line: &&str| !line.starts_with("id =") && !line.starts_with("file =");
    let kept = table.lines().filter(keep).collect::<Vec<_>>().join("\n");
    let file = json!(model.file);
    let table = format!("id = \"{}\"\nfile = {file}{kept}", model.id);
    fs::write(&path, format!("{before}[model]\n{table}\n[duties]{after}")).unwrap();
}

fn check(receipt: &Receipt, worker: &str, model: &str) {
    assert_eq!((&*receipt.model, &*receipt.inference.name), (model, worker));
    assert!(!receipt.answer.is_empty(), "{receipt}");
    assert!(receipt.inference.prompt_tokens > 20, "{receipt}");
    assert!(receipt.committee[0].raw_score.is_some(), "{receipt}");
    assert!(receipt.quality > 0, "{receipt}");
    assert!(receipt.inference.payout > 0, "{receipt}");
    assert!(receipt.committee[0].payout > 0, "{receipt}");
}
