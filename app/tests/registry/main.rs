//! Nodes, validators, models and parameters change while the chain runs (protocol sections 2, 4 and
//! 10); transfers to many accounts.

mod bank;
mod history;
mod jail;
mod nodes;
mod settings;
#[path = "../support/mod.rs"]
mod support;
mod validators;

use poq_app::tx::Signatures;
use poq_app::{Error, Result};
use poq_proto::code::Code;
use support::{Chain, Draft, Wallet};
use tendermint_proto::google::protobuf::Any;

/// Micro-logits whose quality is the model's target: 700,000 ppm.
pub(crate) const GOOD: i32 = 4_000_000;

pub(crate) fn code_of<T: std::fmt::Debug>(result: Result<T>) -> Code {
    match result {
        Err(Error::Rejected { code, .. }) => code,
        other => panic!("expected a rejection, got {other:?}"),
    }
}

/// The code from CheckTx for a message.
pub(crate) fn check(chain: &Chain, wallet: &Wallet, message: Any) -> Code {
    let tx = Draft::new(wallet, vec![message]).sign(wallet);
    code_of(chain.app.check_tx(&tx, Signatures::Verify))
}

/// Executes the wallet's message in its own block; it must succeed.
#[track_caller]
pub(crate) fn run(chain: &mut Chain, wallet: fn(&mut Chain) -> &mut Wallet, message: Any) {
    let tx = wallet(chain).sign(vec![message]);
    let result = chain.block(&[tx]).remove(0);
    assert_eq!(result.code, 0, "{}", result.log);
}

pub(crate) fn user(chain: &mut Chain) -> &mut Wallet {
    &mut chain.user
}

/// The validator of the validators' tests.
pub(crate) fn validator(chain: &mut Chain) -> &mut Wallet {
    &mut chain.validators[0]
}

pub(crate) fn evaluator(chain: &mut Chain) -> &mut Wallet {
    &mut chain.evaluators[0]
}

pub(crate) fn inference(chain: &mut Chain) -> &mut Wallet {
    &mut chain.inference[0]
}
