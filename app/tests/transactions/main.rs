//! Bad transactions get stable codes and leave no trace except, where due, a fee and a sequence.

mod envelope;
mod messages;
mod results;
#[path = "../support/mod.rs"]
mod support;

use poq_app::tx::Signatures;
use poq_app::{Error, Result};
use poq_proto::code::Code;
use support::{Chain, Draft, send};

/// A defect and the code that it must result in.
pub(crate) type Case<T> = (fn(&mut T), Code);

pub(crate) fn code_of<T: std::fmt::Debug>(result: Result<T>) -> Code {
    match result {
        Err(Error::Rejected { code, .. }) => code,
        other => panic!("expected a rejection, got {other:?}"),
    }
}

/// The code from CheckTx; FinalizeBlock must return the same and change nothing.
#[track_caller]
pub(crate) fn refused(chain: &mut Chain, tx: Vec<u8>) -> Code {
    let code = code_of(chain.app.check_tx(&tx, Signatures::Verify));
    let before = chain.balance(&chain.user.address);
    let result = chain.block(&[tx]).remove(0);
    assert_eq!(
        (result.code, result.codespace.as_str()),
        (code.number, code.codespace)
    );
    assert_eq!(chain.balance(&chain.user.address), before);
    code
}

pub(crate) fn transfer(chain: &Chain) -> Draft {
    let to = chain.inference[0].address.clone();
    Draft::new(&chain.user, vec![send(&chain.user, &to, 5)])
}
