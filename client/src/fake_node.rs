//! A JSON-RPC server with scripted answers, for faults that a real node rarely shows.

use std::sync::Arc;

use axum::extract::State;
use axum::routing::post;
use axum::{Json, Router};
use poq_client::TxHash;
use prost::Message;
use serde_json::{Value, json};
use tendermint_rpc::endpoint::abci_query;
use tendermint_rpc::endpoint::abci_query::AbciQuery;
use tendermint_rpc::endpoint::broadcast::tx_sync;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

/// What a method returns; `Err` is the `data` of an internal error.
pub(crate) type RpcResult = Result<Value, String>;

type Handler = dyn Fn(&str, Value) -> RpcResult + Send + Sync;

pub(crate) struct FakeNode {
    pub url: String,
    server: JoinHandle<()>,
}

impl FakeNode {
    pub(crate) async fn start(
        handler: impl Fn(&str, Value) -> RpcResult + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        Self::serve(listener, handler)
    }

    pub(crate) fn serve(
        listener: TcpListener,
        handler: impl Fn(&str, Value) -> RpcResult + Send + Sync + 'static,
    ) -> Self {
        let url = format!("http://{}", listener.local_addr().unwrap());
        let handler: Arc<Handler> = Arc::new(handler);
        let app = Router::new().route("/", post(answer)).with_state(handler);
        let server = tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self { url, server }
    }
}

impl Drop for FakeNode {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn answer(State(handler): State<Arc<Handler>>, body: String) -> Json<Value> {
    let mut request: Value = serde_json::from_str(&body).unwrap();
    let params = request["params"].take();
    let mut response = json!({"jsonrpc": "2.0", "id": request["id"]});
    match handler(request["method"].as_str().unwrap(), params) {
        Ok(result) => response["result"] = result,
        Err(data) => {
            response["error"] = json!({"code": -32603, "message": "Internal error", "data": data});
        }
    }
    Json(response)
}

pub(crate) fn status(chain_id: &str, height: u64) -> Value {
    let hash = "00".repeat(32);
    json!({
        "node_info": {
            "protocol_version": {"p2p": "8", "block": "11", "app": "1"},
            "id": "11".repeat(20),
            "listen_addr": "tcp://0.0.0.0:26656",
            "network": chain_id,
            "version": "0.38.26",
            "channels": "40202122233038606100",
            "moniker": "node0",
            "other": {"tx_index": "on", "rpc_address": "tcp://127.0.0.1:26657"}
        },
        "sync_info": {
            "latest_block_hash": hash,
            "latest_app_hash": hash,
            "latest_block_height": height.to_string(),
            "latest_block_time": "2026-01-01T00:00:00Z",
            "earliest_block_hash": hash,
            "earliest_app_hash": hash,
            "earliest_block_height": "1",
            "earliest_block_time": "2026-01-01T00:00:00Z",
            "catching_up": false
        },
        "validator_info": {
            "address": "22".repeat(20),
            "pub_key": {
                "type": "tendermint/PubKeyEd25519",
                "value": "A6DoBUypNtUAyEHWtQ9bFjfNg8Bo9CrnkUGl6k6OHN4="
            },
            "voting_power": "10"
        }
    })
}

pub(crate) fn info(height: u64) -> Value {
    json!({"response": {"data": "poq", "last_block_height": height.to_string()}})
}

pub(crate) fn found(message: &impl Message) -> Value {
    let response = AbciQuery {
        value: message.encode_to_vec(),
        height: 1u32.into(),
        ..Default::default()
    };
    serde_json::to_value(abci_query::Response { response }).unwrap()
}

pub(crate) fn query_failure(code: u32, codespace: &str, log: &str) -> Value {
    json!({"response": {"code": code, "codespace": codespace, "log": log, "height": "1"}})
}

/// CheckTx's answer to a broadcast, with the transaction's bytes.
pub(crate) fn checked(params: Value, code: u32, codespace: &str, log: &str) -> (Vec<u8>, Value) {
    let tx = serde_json::from_value::<tx_sync::Request>(params)
        .unwrap()
        .tx;
    let hash = TxHash::of(&tx).to_string();
    let answer =
        json!({"code": code, "codespace": codespace, "log": log, "data": "", "hash": hash});
    (tx, answer)
}
