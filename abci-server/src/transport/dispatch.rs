use std::time::Instant;

use prost::Message;
use prost::bytes::Bytes;
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::{
    Request, Response, ResponseException, request::Value as Asked, response::Value as Answered,
};

use super::metrics;

/// Lets the application answer one encoded request. A malformed request gets a `ResponseException` and
/// does not reach the application.
pub(super) fn answer<A: Application>(app: &A, request: Bytes) -> Response {
    let value = match Request::decode(request).map(|request| request.value) {
        Ok(Some(asked)) => {
            let (height, started) = (metrics::executed_height(&asked), Instant::now());
            let answered = dispatch(app, asked);
            metrics::record(height, &answered, started.elapsed());
            answered
        }
        Ok(None) => exception("the request is empty or of a kind that ABCI 2.0 does not have"),
        Err(error) => exception(format!("the request cannot be decoded: {error}")),
    };
    Response { value: Some(value) }
}

fn dispatch<A: Application>(app: &A, asked: Asked) -> Answered {
    match asked {
        Asked::Echo(request) => Answered::Echo(app.echo(request)),
        Asked::Flush(_) => Answered::Flush(app.flush()),
        Asked::Info(request) => Answered::Info(app.info(request)),
        Asked::InitChain(request) => Answered::InitChain(app.init_chain(request)),
        Asked::Query(request) => Answered::Query(app.query(request)),
        Asked::CheckTx(request) => Answered::CheckTx(app.check_tx(request)),
        Asked::Commit(_) => Answered::Commit(app.commit()),
        Asked::ListSnapshots(_) => Answered::ListSnapshots(app.list_snapshots()),
        Asked::OfferSnapshot(request) => Answered::OfferSnapshot(app.offer_snapshot(request)),
        Asked::LoadSnapshotChunk(request) => {
            Answered::LoadSnapshotChunk(app.load_snapshot_chunk(request))
        }
        Asked::ApplySnapshotChunk(request) => {
            Answered::ApplySnapshotChunk(app.apply_snapshot_chunk(request))
        }
        Asked::PrepareProposal(request) => Answered::PrepareProposal(app.prepare_proposal(request)),
        Asked::ProcessProposal(request) => Answered::ProcessProposal(app.process_proposal(request)),
        Asked::ExtendVote(request) => Answered::ExtendVote(app.extend_vote(request)),
        Asked::VerifyVoteExtension(request) => {
            Answered::VerifyVoteExtension(app.verify_vote_extension(request))
        }
        Asked::FinalizeBlock(request) => Answered::FinalizeBlock(app.finalize_block(request)),
    }
}

fn exception(error: impl Into<String>) -> Answered {
    let error = error.into();
    tracing::warn!("refused an ABCI request: {error}");
    Answered::Exception(ResponseException { error })
}
