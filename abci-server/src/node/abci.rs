use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::Duration;

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

use super::comet_queries::CometQueries;

/// Time limit of a query that CometBFT answers: it has one connection for queries, so all other queries,
/// duties and accounts among them, wait meanwhile.
const BUDGET: Duration = Duration::from_millis(400);

/// The application as served over ABCI. Like the Cosmos SDK, it also answers queries that need CometBFT,
/// such as `cosmos.tx.v1beta1.Service/GetTx`, if that takes less than `BUDGET`.
#[derive(Clone)]
pub(super) struct ServedApp {
    app: App,
    comet: CometQueries,
    runtime: Handle,
}

impl ServedApp {
    /// Requests to CometBFT run on `runtime`, which another thread drives or drops.
    pub(super) fn new(app: App, comet: CometQueries, runtime: Handle) -> Self {
        Self {
            app,
            comet,
            runtime,
        }
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

fn too_slow(path: &str) -> Status {
    Status::deadline_exceeded(format!(
        "{path} takes longer than {} ms and would block the node's other queries; ask it over gRPC, or \
         use `tx`, `tx_search` or `block` of CometBFT's RPC, which have their own time limits",
        BUDGET.as_millis()
    ))
}

/// Forwards every other method. A forgotten one would silently use the trait's default.
macro_rules! pass_on {
    ($($name:ident($($request:ident: $kind:ty)?) -> $response:ty;)*) => {
        $(fn $name(&self $(, $request: $kind)?) -> $response {
            Application::$name(&self.app $(, $request)?)
        })*
    };
}

impl Application for ServedApp {
    fn query(&self, request: RequestQuery) -> ResponseQuery {
        if !CometQueries::is_query(&request.path) {
            return Application::query(&self.app, request);
        }
        let (sender, receiver) = mpsc::sync_channel(1);
        let (comet, path) = (self.comet.clone(), request.path.clone());
        let asking = self.runtime.spawn(async move {
            let answer = comet.answer(&request.path, request.data).await;
            // The receiver is gone after the time limit.
            let _ = sender.send(answer);
        });
        self.respond(match receiver.recv_timeout(BUDGET) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => {
                asking.abort();
                Err(too_slow(&path))
            }
            // A stopping runtime drops the sender.
            Err(RecvTimeoutError::Disconnected) => Err(Status::unavailable("the node is stopping")),
        })
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

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::time::Instant;

    use cosmos_sdk_proto::cosmos::tx::v1beta1::GetTxRequest;
    use poq_app::{NoReference, Options};
    use prost::Message;

    use super::*;

    /// A CometBFT that accepts requests and never answers.
    #[test]
    fn a_slow_answer_does_not_hold_up_other_queries() {
        let silent = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", silent.local_addr().unwrap());
        let folder = tempfile::tempdir().unwrap();
        let app = App::open(folder.path(), Options::default(), Arc::new(NoReference)).unwrap();
        let runtime = tokio::runtime::Runtime::new().unwrap();
        let served = ServedApp::new(app, CometQueries::new(Some(&url)), runtime.handle().clone());
        let by_hash = GetTxRequest {
            hash: "AB".repeat(32),
        };
        for (path, data) in [
            ("/cosmos.tx.v1beta1.Service/GetTx", by_hash.encode_to_vec()),
            (
                "/cosmos.base.tendermint.v1beta1.Service/GetLatestBlock",
                Vec::new(),
            ),
        ] {
            let started = Instant::now();
            let answer = served.query(RequestQuery {
                path: path.into(),
                data: data.into(),
                ..RequestQuery::default()
            });
            // The machine may be busy; CometBFT's own limit is 10 s.
            assert!(started.elapsed() < Duration::from_secs(5));
            assert_eq!(answer.code, code::INVALID_REQUEST.number);
            for part in ["DeadlineExceeded", path, "gRPC", "tx_search"] {
                assert!(answer.log.contains(part), "{}", answer.log);
            }
        }
    }
}
