//! An application that accepts everything and stores nothing, for both kinds of servers.

use std::future::{Ready, ready};
use std::task::{Context, Poll};

use tendermint::AppHash;
use tendermint::abci::response::{FinalizeBlock, PrepareProposal, ProcessProposal};
use tendermint::abci::types::ExecTxResult;
use tendermint::v0_38::abci::{Request, Response};
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::{RequestFinalizeBlock, ResponseFinalizeBlock};
use tower::Service;
use tower_abci::BoxError;

/// Accepts everything.
#[derive(Clone)]
pub(crate) struct Accept;

impl Application for Accept {
    fn finalize_block(&self, request: RequestFinalizeBlock) -> ResponseFinalizeBlock {
        ResponseFinalizeBlock {
            tx_results: vec![Default::default(); request.txs.len()],
            ..Default::default()
        }
    }
}

impl Service<Request> for Accept {
    type Response = Response;
    type Error = BoxError;
    type Future = Ready<Result<Response, BoxError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request) -> Self::Future {
        ready(Ok(match request {
            Request::CheckTx(_) => Response::CheckTx(Default::default()),
            Request::FinalizeBlock(request) => Response::FinalizeBlock(FinalizeBlock {
                events: Vec::new(),
                tx_results: vec![ExecTxResult::default(); request.txs.len()],
                validator_updates: Vec::new(),
                consensus_param_updates: None,
                app_hash: AppHash::default(),
            }),
            Request::Flush => Response::Flush,
            Request::Commit => Response::Commit(Default::default()),
            Request::Info(_) => Response::Info(Default::default()),
            Request::Query(_) => Response::Query(Default::default()),
            Request::Echo(_) => Response::Echo(Default::default()),
            Request::InitChain(_) => Response::InitChain(Default::default()),
            Request::PrepareProposal(request) => {
                Response::PrepareProposal(PrepareProposal { txs: request.txs })
            }
            Request::ProcessProposal(_) => Response::ProcessProposal(ProcessProposal::Accept),
            other => return ready(Err(format!("{other:?} is not measured").into())),
        }))
    }
}
