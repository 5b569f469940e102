//! How a refused query looks to clients of the Cosmos SDK: CosmJS and wallets look for its codes and words.

use poq_proto::code::{self, Code};
use tendermint_proto::v0_38::abci::ResponseQuery;

use crate::query::SIMULATE;

/// The answer to a query that was refused. What the Cosmos SDK has codes for gets its code and its
/// words, everything else stays as this chain says it. A simulation that fails has one code in the
/// Cosmos SDK; `info` keeps the transaction's own, as `codespace/code`.
pub(crate) fn refused(path: &str, code: Code, log: &str, height: i64) -> ResponseQuery {
    let (status, shown, log) = match code {
        _ if path == SIMULATE && code != code::INTERNAL => {
            ("Unknown", code::UNKNOWN_REQUEST, log.to_owned())
        }
        code::NOT_FOUND => ("NotFound", code, log.to_owned()),
        code::INVALID_ADDRESS => (
            "InvalidArgument",
            code::INVALID_REQUEST,
            format!("invalid address: {log}"),
        ),
        code::INVALID_REQUEST => ("InvalidArgument", code, log.to_owned()),
        _ => {
            return ResponseQuery {
                code: code.number,
                codespace: code.codespace.into(),
                log: log.to_owned(),
                height,
                ..ResponseQuery::default()
            };
        }
    };
    ResponseQuery {
        code: shown.number,
        codespace: shown.codespace.into(),
        log: format!("rpc error: code = {status} desc = {log}"),
        info: format!("{}/{}", code.codespace, code.number),
        height,
        ..ResponseQuery::default()
    }
}
