//! Audits and challenges (protocol section 9). The reference score is the number in the answer.

mod beside_consensus;
mod challenges;
mod lottery;
#[path = "../support/mod.rs"]
mod support;
mod verdicts;

use poq_proto::code::Code;
use poq_proto::v1::*;
use support::{Chain, STAKE, any, challenge_message};
use tendermint_proto::v0_38::abci::ExecTxResult;

/// The score that honest evaluators reveal for [`GOOD_ANSWER`].
pub(crate) const GOOD: i32 = 4_000_000;
pub(crate) const GOOD_ANSWER: &str = "4000000";
/// Quality 50,000, below the floor of 200,000.
pub(crate) const JUNK: &str = "-9000000";
/// Quality 1,000,000.
pub(crate) const LIE: i32 = 10_000_000;
pub(crate) const DEPOSIT: u64 = 1_000_000;

pub(crate) fn audited(rate: u32) -> Params {
    Params {
        min_audit_rate: rate,
        ..support::params()
    }
}

/// A chain whose last inference node no longer serves a model and is free to challenge.
pub(crate) fn with_challenger() -> Chain {
    let mut chain = Chain::new(2, 5);
    let wallet = &mut chain.inference[1];
    let unbond = any(&MsgUnbond {
        operator: wallet.address.clone(),
        role: Role::Inference.into(),
        amount: STAKE,
    });
    let tx = wallet.sign(vec![unbond]);
    assert_eq!(chain.block(&[tx])[0].code, 0);
    chain
}

pub(crate) fn challenge(chain: &mut Chain, task: u64, deposit: u64) -> ExecTxResult {
    let challenger = chain.inference.last_mut().unwrap();
    let message = challenge_message(challenger, task, deposit);
    let tx = challenger.sign(vec![message]);
    chain.block(&[tx]).remove(0)
}

pub(crate) fn refused(chain: &mut Chain, task: u64, deposit: u64, code: Code) -> String {
    let result = challenge(chain, task, deposit);
    let found = (result.code, result.codespace.as_str());
    assert_eq!(found, (code.number, code.codespace), "{}", result.log);
    chain.assert_money_is_conserved();
    result.log
}

pub(crate) fn result_of(chain: &Chain, task: u64) -> AuditResult {
    chain.task(task).audit.unwrap().result.unwrap()
}

pub(crate) fn amounts(settlement: &Settlement) -> Vec<u64> {
    let payouts = settlement.evaluators.iter();
    payouts.map(|payout| payout.amount).collect()
}
