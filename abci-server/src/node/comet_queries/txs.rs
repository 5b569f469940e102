//! `cosmos.tx.v1beta1.Service`, answered by CometBFT's mempool and index.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use cosmos_sdk_proto::cosmos::base::abci::v1beta1::TxResponse;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{
    BroadcastMode, BroadcastTxRequest, BroadcastTxResponse, GetTxRequest, GetTxResponse,
    GetTxsEventRequest, GetTxsEventResponse, OrderBy, Tx,
};
use poq_client::TxHash;
use prost::Message;
use tendermint_proto::google::protobuf::Any;
use tendermint_rpc::endpoint::tx::Response as Found;
use tendermint_rpc::query::Query;
use tendermint_rpc::{Client as _, HttpClient, Order};
use tonic::Status;

use super::status::failed;

/// Default and largest number of transactions on a page.
const PAGE: (u8, u8) = (100, 100);

/// `GetTx`.
pub(super) async fn get_tx(
    rpc: HttpClient,
    request: GetTxRequest,
) -> Result<GetTxResponse, Status> {
    let hash: TxHash = request
        .hash
        .parse()
        .map_err(|error: poq_client::Error| Status::invalid_argument(error.to_string()))?;
    let found = rpc.tx(hash.into(), false).await.map_err(|error| {
        match failed(&error) {
            // Clients look for these words.
            status if status.code() == tonic::Code::NotFound => {
                Status::not_found(format!("tx not found: {hash}"))
            }
            status => status,
        }
    })?;
    let time = block_time(&rpc, found.height.value()).await?;
    let (tx, tx_response) = describe(found, time)?;
    Ok(GetTxResponse {
        tx: Some(tx),
        tx_response: Some(tx_response),
    })
}

/// `GetTxsEvent`. Pages count from 1.
#[allow(deprecated)]
pub(super) async fn search(
    rpc: HttpClient,
    request: GetTxsEventRequest,
) -> Result<GetTxsEventResponse, Status> {
    let text = match request.query.is_empty() {
        true => request.events.join(" AND "),
        false => request.query.clone(),
    };
    let query: Query = text
        .parse()
        .map_err(|_| Status::invalid_argument(format!("`{text}` is not a valid event query")))?;
    let order = match request.order_by() {
        OrderBy::Desc => Order::Descending,
        OrderBy::Asc | OrderBy::Unspecified => Order::Ascending,
    };
    let page = u32::try_from(request.page.max(1))
        .map_err(|_| Status::invalid_argument(format!("there is no page {}", request.page)))?;
    let limit = match u8::try_from(request.limit) {
        Ok(0) => PAGE.0,
        limit => limit.unwrap_or(PAGE.1).min(PAGE.1),
    };
    let found = rpc
        .tx_search(query, false, page, limit, order)
        .await
        .map_err(|error| failed(&error))?;
    let mut times: BTreeMap<u64, String> = BTreeMap::new();
    let mut response = GetTxsEventResponse {
        total: found.total_count.into(),
        ..GetTxsEventResponse::default()
    };
    for tx in found.txs {
        let height = tx.height.value();
        let time = match times.entry(height) {
            Entry::Occupied(known) => known.get().clone(),
            Entry::Vacant(unknown) => unknown.insert(block_time(&rpc, height).await?).clone(),
        };
        let (tx, tx_response) = describe(tx, time)?;
        response.txs.push(tx);
        response.tx_responses.push(tx_response);
    }
    Ok(response)
}

/// `BroadcastTx`: returns the result of CheckTx, or nothing in asynchronous mode. The transaction is not
/// in a block yet.
#[allow(deprecated)]
pub(super) async fn broadcast(
    rpc: HttpClient,
    request: BroadcastTxRequest,
) -> Result<BroadcastTxResponse, Status> {
    let (mode, bytes) = (request.mode(), request.tx_bytes);
    let txhash = TxHash::of(&bytes).to_string();
    let tx_response = match mode {
        BroadcastMode::Sync => {
            let sent = rpc.broadcast_tx_sync(bytes).await;
            let sent = sent.map_err(|error| failed(&error))?;
            TxResponse {
                txhash,
                code: sent.code.value(),
                codespace: sent.codespace,
                raw_log: sent.log,
                ..TxResponse::default()
            }
        }
        BroadcastMode::Async => {
            let sent = rpc.broadcast_tx_async(bytes).await;
            sent.map_err(|error| failed(&error))?;
            TxResponse {
                txhash,
                ..TxResponse::default()
            }
        }
        BroadcastMode::Block | BroadcastMode::Unspecified => {
            return Err(Status::invalid_argument(
                "unsupported broadcast mode: use BROADCAST_MODE_SYNC, then GetTx",
            ));
        }
    };
    Ok(BroadcastTxResponse {
        tx_response: Some(tx_response),
    })
}

/// Time of a block, RFC 3339.
async fn block_time(rpc: &HttpClient, height: u64) -> Result<String, Status> {
    let height = tendermint::block::Height::try_from(height)
        .map_err(|_| Status::internal(format!("CometBFT returned the invalid height {height}")))?;
    let header = rpc.header(height).await.map_err(|error| failed(&error))?;
    Ok(header.header.time.to_rfc3339())
}

fn describe(found: Found, timestamp: String) -> Result<(Tx, TxResponse), Status> {
    let result = found.tx_result;
    // The `tendermint` crate does not decode the base64 of the node's JSON.
    let data = STANDARD
        .decode(&result.data)
        .map_err(|error| Status::internal(format!("CometBFT's data is not base64: {error}")))?;
    let tx = Tx::decode(found.tx.as_slice())
        .map_err(|error| Status::internal(format!("the transaction is malformed: {error}")))?;
    let response = TxResponse {
        height: i64::try_from(found.height.value()).unwrap_or(i64::MAX),
        txhash: TxHash::of(&found.tx).to_string(),
        codespace: result.codespace,
        code: result.code.value(),
        data: hex::encode_upper(data),
        raw_log: result.log,
        gas_wanted: result.gas_wanted,
        gas_used: result.gas_used,
        tx: Some(Any {
            type_url: "/cosmos.tx.v1beta1.Tx".into(),
            value: tx.encode_to_vec(),
        }),
        timestamp,
        events: result.events.into_iter().map(Into::into).collect(),
        ..TxResponse::default()
    };
    Ok((tx, response))
}
