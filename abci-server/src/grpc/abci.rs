use std::sync::mpsc;

use poq_app::App;
use poq_proto::code;
use prost::bytes::Bytes;
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::{
    RequestApplySnapshotChunk, RequestCheckTx, RequestEcho, RequestExtendVote,
    RequestFinalizeBlock, RequestInfo, RequestInitChain, RequestLoadSnapshotChunk,
    RequestOfferSnapshot, RequestPrepareProposal, RequestProcessProposal, RequestQuery,
    RequestVerifyVoteExtension, ResponseApplySnapshotChunk, ResponseCheckTx, ResponseCommit,
    ResponseEcho, ResponseExtendVote, ResponseFinalizeBlock, ResponseFlush, ResponseInfo,
    ResponseInitChain, ResponseListSnapshots, ResponseLoadSnapshotChunk, ResponseOfferSnapshot,
    ResponsePrepareProposal, ResponseProcessProposal, ResponseQuery, ResponseVerifyVoteExtension,
};
use tokio::runtime::Handle;
use tonic::{Code, Status};

use super::node::Node;

/// The application as it is served over ABCI: a query that only CometBFT can answer, such as
/// `cosmos.tx.v1beta1.Service/GetTx`, is answered there too, as clients of the Cosmos SDK expect.
/// CometBFT waits for the answer with its connection for queries alone.
#[derive(Clone)]
pub struct WithNode {
    app: App,
    node: Node,
    runtime: Handle,
}

impl WithNode {
    /// The requests to CometBFT run on `runtime`, which another thread drives or drops.
    pub fn new(app: App, node: Node, runtime: Handle) -> Self {
        Self { app, node, runtime }
    }

    fn respond(&self, answer: Result<Bytes, Status>) -> ResponseQuery {
        let height = i64::try_from(self.app.head().height).unwrap_or(i64::MAX);
        match answer {
            Ok(value) => ResponseQuery {
                value,
                height,
                ..ResponseQuery::default()
            },
            Err(status) => {
                let code = match status.code() {
                    Code::NotFound => code::NOT_FOUND,
                    _ => code::INVALID_REQUEST,
                };
                ResponseQuery {
                    code: code.number,
                    codespace: code.codespace.into(),
                    log: format!(
                        "rpc error: code = {:?} desc = {}",
                        status.code(),
                        status.message()
                    ),
                    height,
                    ..ResponseQuery::default()
                }
            }
        }
    }
}

/// Passes every other method on, all of them: a default of the trait would be silent.
macro_rules! pass_on {
    ($($name:ident($($request:ident: $kind:ty)?) -> $response:ty;)*) => {
        $(fn $name(&self $(, $request: $kind)?) -> $response {
            Application::$name(&self.app $(, $request)?)
        })*
    };
}

impl Application for WithNode {
    fn query(&self, request: RequestQuery) -> ResponseQuery {
        if !Node::is_query(&request.path) {
            return Application::query(&self.app, request);
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        let node = self.node.clone();
        self.runtime.spawn(async move {
            let answer = node.answer(&request.path, request.data).await;
            // The receiver waits below.
            let _ = sender.send(answer);
        });
        // A runtime that ends drops the sender.
        let stopping = |_| Err(Status::unavailable("the node is stopping"));
        self.respond(receiver.recv().unwrap_or_else(stopping))
    }

    pass_on! {
        echo(request: RequestEcho) -> ResponseEcho;
        info(request: RequestInfo) -> ResponseInfo;
        init_chain(request: RequestInitChain) -> ResponseInitChain;
        check_tx(request: RequestCheckTx) -> ResponseCheckTx;
        flush() -> ResponseFlush;
        commit() -> ResponseCommit;
        list_snapshots() -> ResponseListSnapshots;
        offer_snapshot(request: RequestOfferSnapshot) -> ResponseOfferSnapshot;
        load_snapshot_chunk(request: RequestLoadSnapshotChunk) -> ResponseLoadSnapshotChunk;
        apply_snapshot_chunk(request: RequestApplySnapshotChunk) -> ResponseApplySnapshotChunk;
        prepare_proposal(request: RequestPrepareProposal) -> ResponsePrepareProposal;
        process_proposal(request: RequestProcessProposal) -> ResponseProcessProposal;
        extend_vote(request: RequestExtendVote) -> ResponseExtendVote;
        verify_vote_extension(request: RequestVerifyVoteExtension) -> ResponseVerifyVoteExtension;
        finalize_block(request: RequestFinalizeBlock) -> ResponseFinalizeBlock;
    }
}
