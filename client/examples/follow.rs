//! Follows the chain and prints the events of its tasks, every block once. A cursor file lets it
//! continue after a restart.
//!
//! ```sh
//! cargo run -p poq-client --example follow -- http://127.0.0.1:26657 cursor.json
//! ```

use std::io::{self, Write};
use std::time::Duration;

use anyhow::bail;
use poq_client::{Client, Event, Follower};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [node, cursor] = args.as_slice() else {
        bail!("expected NODE CURSOR");
    };
    let client = Client::new(node)?;
    let chain_id = client.status().await?.chain_id;
    let mut follower = Follower::open(client.clone(), cursor, &chain_id, Duration::from_secs(1));
    loop {
        // The newest height; blocks missed while this program was stopped are read first.
        let newest = follower.next().await;
        for height in follower.cursor() + 1..=newest {
            let block = client.block_results(Some(height)).await?;
            for event in block.tx_events.iter().flatten().chain(&block.events) {
                if event.kind.starts_with("poq_task_") {
                    writeln!(io::stdout(), "{height} {}", words(event))?;
                }
            }
            follower.done(height);
        }
    }
}

fn words(event: &Event) -> String {
    let attributes = event.attributes.iter();
    let attributes = attributes.map(|attribute| format!(" {}={}", attribute.key, attribute.value));
    event.kind.clone() + &attributes.collect::<String>()
}
