//! The WebSocket subscription that wakes a follower: a loss of it costs time, never a block.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use tendermint_rpc::client::CompatMode;
use tendermint_rpc::query::Query;
use tendermint_rpc::{SubscriptionClient, WebSocketClient};
use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};
use tracing::debug;

use crate::{Client, Error, Result};

/// Longest time to connect and to subscribe, each.
const TIMEOUT: Duration = Duration::from_secs(10);
/// First and longest pause before connecting again.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));

/// Notifies with every new block and with every new connection, for ever.
pub(super) async fn on_blocks(client: Client, wake: Arc<Notify>) {
    let (first, longest) = PAUSE;
    let mut pause = first;
    loop {
        let mut is_connected = false;
        let ended = subscription(&client, || {
            is_connected = true;
            wake.notify_one();
        })
        .await;
        if let Err(error) = ended {
            debug!("no news of blocks by WebSocket, polling only: {error}");
        }
        pause = if is_connected {
            first
        } else {
            (pause * 2).min(longest)
        };
        sleep(pause).await;
    }
}

/// Calls `notify` once subscribed and with every block, until the connection ends.
async fn subscription(client: &Client, mut notify: impl FnMut()) -> Result<()> {
    let rpc = client.rpc();
    let connecting = WebSocketClient::builder(rpc.websocket_url()?)
        .compat_mode(CompatMode::V0_38)
        .build();
    let connected = timeout(TIMEOUT, connecting).await;
    let (socket, driver) = rpc.check("websocket", connected.map_err(|_| late(rpc.url()))?)?;
    // Ends the driver together with this future.
    let mut drivers = JoinSet::new();
    drivers.spawn(driver.run());

    // The header alone: the block itself would be sent, and decoded, for nothing.
    let query = Query::eq("tm.event", "NewBlockHeader");
    let subscribed = timeout(TIMEOUT, socket.subscribe(query)).await;
    let mut blocks = rpc.check("subscribe", subscribed.map_err(|_| late(rpc.url()))?)?;
    notify();
    while let Some(block) = blocks.next().await {
        rpc.check("subscribe", block)?;
        notify();
    }
    Ok(())
}

fn late(url: &str) -> Error {
    Error::Unreachable {
        url: url.into(),
        reason: format!("no WebSocket connection within {TIMEOUT:?}"),
    }
}
