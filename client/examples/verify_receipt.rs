//! Proves a task's record: that it leads to the application hash that the validators signed. Pass
//! the hash of a block header that you trust; otherwise the node's own is used.
//!
//! ```sh
//! cargo run -p poq-client --example verify_receipt -- http://127.0.0.1:26657 1
//! ```

use std::time::Duration;

use anyhow::{Context, bail};
use poq_client::Client;
use poq_proto::v1::Task;
use prost::Message;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let (node, id, trusted) = match args.as_slice() {
        [node, id] => (node, id, None),
        [node, id, hash] => (node, id, Some(hex::decode(hash)?)),
        _ => bail!("expected NODE TASK [APP_HASH]"),
    };
    let client = Client::new(node)?;
    let id: u64 = id.parse().context("TASK is a number")?;
    let key = format!("tasks/task/{id:020}");
    let proven = client.proven(key.as_bytes(), None).await?;
    let hash = match trusted {
        Some(hash) => hash,
        None => app_hash(&client, proven.height).await?,
    };
    proven.verify(&hash)?;

    let record = proven
        .value
        .context("the chain proves that it has no such task")?;
    let task = Task::decode(record.as_slice())?;
    let quality = task
        .settlement
        .as_ref()
        .map(|settlement| settlement.quality);
    println!(
        "task {id} is {} with quality {quality:?} ppm, proven at height {} by {}",
        task.status().as_str_name(),
        proven.height,
        hex::encode_upper(hash)
    );
    Ok(())
}

/// A state's hash is in the header of the next block, which may not exist yet.
async fn app_hash(client: &Client, height: u64) -> anyhow::Result<Vec<u8>> {
    while client.status().await?.latest_height <= height {
        tokio::time::sleep(Duration::from_millis(300)).await;
    }
    Ok(client.app_hash(height).await?)
}
