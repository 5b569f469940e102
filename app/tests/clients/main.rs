//! Requests of Cosmos SDK clients: sign modes, keys, simulations, queries.

mod queries;
mod signing;
mod simulations;
#[path = "../support/mod.rs"]
mod support;

use poq_app::Error;
use poq_app::tx::Signatures;
use poq_proto::code::Code;
use support::{Chain, Draft, send};

/// A change after signing, and the code that it must result in.
pub(crate) type Case = (fn(&mut Draft), Code);

#[track_caller]
pub(crate) fn refused(chain: &Chain, tx: &[u8]) -> (Code, String) {
    match chain.app.check_tx(tx, Signatures::Verify) {
        Err(Error::Rejected { code, log }) => (code, log),
        other => panic!("expected a rejection, got {other:?}"),
    }
}

pub(crate) fn transfer(chain: &Chain) -> Draft {
    let to = chain.inference[0].address.clone();
    Draft::new(&chain.user, vec![send(&chain.user, &to, 5)])
}
