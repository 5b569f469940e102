//! Queries that only CometBFT can answer: transactions by hash, blocks, node information.

// tonic's interfaces use an unboxed `Status`.
#![allow(clippy::result_large_err)]

mod status;
mod txs;

use std::time::Duration;

use cosmos_sdk_proto::cosmos::base::tendermint::v1beta1::{
    GetBlockByHeightRequest, GetBlockByHeightResponse, GetLatestBlockResponse, GetNodeInfoResponse,
    GetSyncingResponse, VersionInfo,
};
use prost::Message;
use prost::bytes::Bytes;
use tendermint::block::Height;
use tendermint_proto::p2p::DefaultNodeInfo;
use tendermint_proto::types::ConsensusParams;
use tendermint_rpc::client::CompatMode;
use tendermint_rpc::endpoint::block;
use tendermint_rpc::{Client as _, HttpClient, HttpClientUrl};
use tonic::Status;

use status::{decode, failed};

/// Version of the Cosmos SDK whose interfaces this chain offers; clients choose their calls by it.
const COSMOS_SDK: &str = "v0.50.0";

const BROADCAST: &str = "/cosmos.tx.v1beta1.Service/BroadcastTx";
const GET_TX: &str = "/cosmos.tx.v1beta1.Service/GetTx";
const SEARCH: &str = "/cosmos.tx.v1beta1.Service/GetTxsEvent";
const NODE_INFO: &str = "/cosmos.base.tendermint.v1beta1.Service/GetNodeInfo";
const SYNCING: &str = "/cosmos.base.tendermint.v1beta1.Service/GetSyncing";
const LATEST_BLOCK: &str = "/cosmos.base.tendermint.v1beta1.Service/GetLatestBlock";
const BLOCK: &str = "/cosmos.base.tendermint.v1beta1.Service/GetBlockByHeight";
const CONSENSUS_PARAMS: &str = "/cosmos.consensus.v1.Query/Params";
/// The read-only methods.
const QUERIES: [&str; 7] = [
    GET_TX,
    SEARCH,
    NODE_INFO,
    SYNCING,
    LATEST_BLOCK,
    BLOCK,
    CONSENSUS_PARAMS,
];
/// Time limit of a request to CometBFT.
const TIMEOUT: Duration = Duration::from_secs(10);

/// `cosmos.consensus.v1.QueryParamsResponse`, which `cosmos-sdk-proto` leaves out.
#[derive(Clone, PartialEq, Message)]
struct ConsensusParamsResponse {
    #[prost(message, optional, tag = "1")]
    params: Option<ConsensusParams>,
}

/// The methods that CometBFT answers through its RPC.
#[derive(Clone)]
pub(super) struct CometQueries {
    /// `None` if its address is not known.
    rpc: Option<HttpClient>,
}

impl CometQueries {
    /// Uses the CometBFT RPC at this URL. Sends nothing yet.
    pub(super) fn new(url: Option<&str>) -> Self {
        let rpc = url.and_then(|url| client(url).ok());
        Self { rpc }
    }

    /// Whether CometBFT answers this method instead of the application.
    pub(super) fn answers(path: &str) -> bool {
        path == BROADCAST || Self::is_query(path)
    }

    /// Whether CometBFT answers this method and it is read-only.
    pub(super) fn is_query(path: &str) -> bool {
        QUERIES.contains(&path)
    }

    /// Answers a method for which [`Self::answers`] holds.
    pub(super) async fn answer(&self, path: &str, data: Bytes) -> Result<Bytes, Status> {
        match path {
            BROADCAST => self.encoded(txs::broadcast, data).await,
            GET_TX => self.encoded(txs::get_tx, data).await,
            SEARCH => self.encoded(txs::search, data).await,
            NODE_INFO => self.encoded(node_info, data).await,
            SYNCING => self.encoded(syncing, data).await,
            LATEST_BLOCK => self.encoded(latest_block, data).await,
            BLOCK => self.encoded(block_by_height, data).await,
            CONSENSUS_PARAMS => self.encoded(consensus_params, data).await,
            _ => Err(Status::unimplemented(format!("unknown method {path:?}"))),
        }
    }

    async fn encoded<Q, A>(
        &self,
        method: impl AsyncFnOnce(HttpClient, Q) -> Result<A, Status>,
        data: Bytes,
    ) -> Result<Bytes, Status>
    where
        Q: Message + Default,
        A: Message,
    {
        let request = decode(data)?;
        let rpc = self.rpc.clone().ok_or_else(|| {
            Status::unavailable("this node's config.toml has no address of CometBFT's RPC")
        })?;
        Ok(method(rpc, request).await?.encode_to_vec().into())
    }
}

fn client(url: &str) -> Result<HttpClient, tendermint_rpc::Error> {
    HttpClient::builder(url.parse::<HttpClientUrl>()?)
        .compat_mode(CompatMode::V0_38)
        .timeout(TIMEOUT)
        .build()
}

async fn node_info(rpc: HttpClient, (): ()) -> Result<GetNodeInfoResponse, Status> {
    let status = rpc.status().await.map_err(|error| failed(&error))?;
    let info = status.node_info;
    Ok(GetNodeInfoResponse {
        default_node_info: Some(DefaultNodeInfo {
            default_node_id: info.id.to_string(),
            listen_addr: info.listen_addr.to_string(),
            network: info.network.to_string(),
            version: info.version.to_string(),
            moniker: info.moniker.to_string(),
            ..DefaultNodeInfo::default()
        }),
        application_version: Some(VersionInfo {
            name: "poq".into(),
            app_name: "poqd".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            cosmos_sdk_version: COSMOS_SDK.into(),
            ..VersionInfo::default()
        }),
    })
}

async fn syncing(rpc: HttpClient, (): ()) -> Result<GetSyncingResponse, Status> {
    let status = rpc.status().await.map_err(|error| failed(&error))?;
    Ok(GetSyncingResponse {
        syncing: status.sync_info.catching_up,
    })
}

#[allow(deprecated)]
async fn latest_block(rpc: HttpClient, (): ()) -> Result<GetLatestBlockResponse, Status> {
    let found = rpc.latest_block().await.map_err(|error| failed(&error))?;
    let block::Response { block_id, block } = found;
    Ok(GetLatestBlockResponse {
        block_id: Some(block_id.into()),
        block: Some(block.into()),
        sdk_block: None,
    })
}

#[allow(deprecated)]
async fn block_by_height(
    rpc: HttpClient,
    request: GetBlockByHeightRequest,
) -> Result<GetBlockByHeightResponse, Status> {
    let height = Height::try_from(request.height)
        .map_err(|_| Status::invalid_argument(format!("{} is not a height", request.height)))?;
    let found = rpc.block(height).await.map_err(|error| failed(&error))?;
    let block::Response { block_id, block } = found;
    Ok(GetBlockByHeightResponse {
        block_id: Some(block_id.into()),
        block: Some(block.into()),
        sdk_block: None,
    })
}

async fn consensus_params(rpc: HttpClient, (): ()) -> Result<ConsensusParamsResponse, Status> {
    let found = rpc.latest_consensus_params().await;
    let found = found.map_err(|error| failed(&error))?;
    Ok(ConsensusParamsResponse {
        params: Some(found.consensus_params.into()),
    })
}
