//! The WebSocket subscription that wakes a follower. Losing it costs time, never a block.
//!
//! Only the arrival of a message counts. `tendermint-rpc` decodes events and drops the kinds that
//! it does not know, including block headers, so the socket is read without it.

use std::sync::Arc;
use std::time::Duration;

use async_tungstenite::tokio::connect_async;
use async_tungstenite::tungstenite::{Error, Message};
use futures::{SinkExt, StreamExt};
use serde_json::json;
use tokio::sync::Notify;
use tokio::time::{error::Elapsed, sleep, timeout};
use tracing::debug;

use crate::Client;

/// Longest time to connect, and longest time to subscribe.
const TIMEOUT: Duration = Duration::from_secs(10);
/// A connection without a message or a ping for this long is dead; CometBFT pings every 27 s.
const SILENCE: Duration = Duration::from_secs(60);
/// First and longest pause before connecting again.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(30));
/// Headers only: the blocks are not needed.
const QUERY: &str = "tm.event='NewBlockHeader'";

/// Why a connection ended.
#[derive(Debug, thiserror::Error)]
enum Ended {
    #[error(transparent)]
    Socket(#[from] Error),
    #[error("no answer in time")]
    Silent(#[from] Elapsed),
}

/// Notifies on every new connection and every new block, forever.
pub(super) async fn on_blocks(client: Client, wake: Arc<Notify>) {
    let url = client.rpc().websocket_url();
    let (first, longest) = PAUSE;
    let mut pause = first;
    loop {
        let mut is_connected = false;
        let ended = subscription(&url, || {
            is_connected = true;
            wake.notify_one();
        })
        .await;
        if let Err(error) = ended {
            debug!(url, "no WebSocket subscription, polling only: {error}");
        }
        pause = if is_connected {
            first
        } else {
            (pause * 2).min(longest)
        };
        sleep(pause).await;
    }
}

/// Calls `notify` on the node's confirmation and on every block, until the connection ends.
async fn subscription(url: &str, mut notify: impl FnMut()) -> Result<(), Ended> {
    let (mut socket, _) = timeout(TIMEOUT, connect_async(url)).await??;
    let request = json!({
        "jsonrpc": "2.0", "id": 0, "method": "subscribe", "params": {"query": QUERY}
    });
    timeout(TIMEOUT, socket.send(Message::Text(request.to_string()))).await??;
    // Reading also answers pings.
    while let Some(message) = timeout(SILENCE, socket.next()).await? {
        if message?.is_text() {
            notify();
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use async_tungstenite::tokio::accept_async;
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn every_text_is_news_until_the_connection_ends() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}/websocket", listener.local_addr().unwrap());
        let node = tokio::spawn(async move {
            let (stream, _) = listener.accept().await.unwrap();
            let mut socket = accept_async(stream).await.unwrap();
            let request = socket.next().await.unwrap().unwrap().into_text().unwrap();
            assert!(request.contains(QUERY), "{request}");
            for message in [
                Message::Text("{\"result\":{}}".into()),
                Message::Ping(Vec::new()),
                Message::Text("not JSON".into()),
            ] {
                socket.send(message).await.unwrap();
            }
            socket.close(None).await.unwrap();
            // Until the other side has closed, too.
            while socket.next().await.is_some() {}
        });
        let mut news = 0;
        subscription(&url, || news += 1).await.unwrap();
        node.await.unwrap();
        assert_eq!(news, 2);
    }

    #[tokio::test]
    async fn a_refused_connection_is_an_error() {
        let ended = subscription("ws://127.0.0.1:1/websocket", || {}).await;
        assert!(matches!(ended, Err(Ended::Socket(_))), "{ended:?}");
    }
}
