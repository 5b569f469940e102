//! OpenAI's unmodified clients, and LangChain on top of one. Their scripts are also examples for users, and check most results
//! themselves; `testnet/setup/setup.sh tests` installs the clients.

use std::path::{Path, PathBuf};
use std::process::Output;
use std::time::Duration;

use poq_testnet::{installed, node_js};
use tokio::process::Command;
use tokio::time::timeout;

use super::world::World;

/// How long a script may take.
const PATIENCE: Duration = Duration::from_secs(300);

/// Runs a script against a gateway with two nodes; all that it paid is acknowledged.
async fn run(mut script: Command, least: usize) {
    let world = World::with_nodes(2).await;
    script
        .env("OPENAI_BASE_URL", world.serve().await)
        .env("OPENAI_API_KEY", &world.key)
        .kill_on_drop(true);
    let Output {
        status,
        stdout,
        stderr,
    } = timeout(PATIENCE, script.output()).await.unwrap().unwrap();
    assert!(status.success(), "{}", String::from_utf8_lossy(&stderr));
    let receipts: Vec<String> = serde_json::from_slice(&stdout).unwrap();
    assert!(receipts.len() >= least, "{receipts:?}");
    world.settle(0).await;
}

fn scripts() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../testnet/clients/openai")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_python_client_works_unmodified() {
    let mut script = Command::new("python3");
    script
        .arg(scripts().join("gateway.py"))
        .env("PYTHONPATH", installed("openai-python").unwrap())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    run(script, 50).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn langchain_works_unmodified() {
    let mut script = Command::new("python3");
    script
        .arg(scripts().join("langchain_gateway.py"))
        .env("PYTHONPATH", installed("langchain-openai").unwrap())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    run(script, 3).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_javascript_client_works_unmodified() {
    let mut script = node_js();
    script
        .arg(scripts().join("gateway.js"))
        .env("NODE_PATH", installed("openai-node/node_modules").unwrap());
    run(script, 50).await;
}
