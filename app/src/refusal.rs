//! The response to a refused query. CosmJS and wallets look for the codes and words of the Cosmos
//! SDK.

use poq_proto::code::{self, Code};
use poq_store::StoreError;
use tendermint_proto::v0_38::abci::ResponseQuery;

use crate::error::Error;
use crate::query::SIMULATE;

/// The response to a failed query. A query must never stop the node: even a store failure is only
/// reported.
pub(crate) fn refused(path: &str, error: Error, height: i64) -> ResponseQuery {
    match error {
        Error::Rejected { code, log } => rejected(path, code, log, height),
        Error::Broken(_) | Error::Audit { .. } => answer(code::INTERNAL, error.to_string(), height),
        Error::Store(error) => {
            let code = match error {
                StoreError::NoProof { .. } => code::INVALID_REQUEST,
                ref error if error.is_unavailable_version() => code::INVALID_REQUEST,
                _ => code::INTERNAL,
            };
            answer(code, error.to_string(), height)
        }
    }
}

/// An error for which the Cosmos SDK has a code gets its code and words; any other keeps this
/// chain's. A failed simulation has one code in the Cosmos SDK; `info` keeps the transaction's own,
/// as `codespace/code`.
fn rejected(path: &str, code: Code, log: String, height: i64) -> ResponseQuery {
    let (status, shown, log) = match code {
        _ if path == SIMULATE => ("Unknown", code::UNKNOWN_REQUEST, log),
        code::NOT_FOUND => ("NotFound", code, log),
        code::INVALID_REQUEST => ("InvalidArgument", code, log),
        code::INVALID_ADDRESS => (
            "InvalidArgument",
            code::INVALID_REQUEST,
            format!("invalid address: {log}"),
        ),
        _ => return answer(code, log, height),
    };
    ResponseQuery {
        info: format!("{}/{}", code.codespace, code.number),
        ..answer(
            shown,
            format!("rpc error: code = {status} desc = {log}"),
            height,
        )
    }
}

fn answer(code: Code, log: String, height: i64) -> ResponseQuery {
    ResponseQuery {
        code: code.number,
        codespace: code.codespace.into(),
        log,
        height,
        ..ResponseQuery::default()
    }
}
