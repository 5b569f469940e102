//! The transactions in which nodes do their duties, and the CPU time of blocks.

use std::error::Error;
use std::time::Duration;

use poq_app::tx::Signatures;
use poq_bench::Cpu;
use poq_bench::signatures::Signed;
use poq_proto::v1::*;
use tendermint_proto::google::protobuf::Any;

use super::support::{Chain, Draft, Wallet, duty_message};

/// Raw score of the first evaluator; the others' differ slightly.
const SCORE: i32 = 4_000_000;
/// Largest number of duties per query.
const PAGE: u32 = 1_000;

/// Transactions in which every node of the role does all of its duties, at most `items` in each.
pub(crate) fn duties_done(
    chain: &mut Chain,
    role: Role,
    items: usize,
    answer: &str,
) -> Vec<Signed> {
    let mut txs = Vec::new();
    for index in 0..wallets(chain, role).len() {
        let operator = wallets(chain, role)[index].address.clone();
        let duties = duties(chain, role, &operator);
        let wallet = &mut wallets(chain, role)[index];
        let score = SCORE + wallet.number as i32 * 1_000;
        for batch in duties.chunks(items) {
            let message = duty_message(wallet, batch, answer, score);
            txs.push(free(wallet, message));
        }
    }
    txs
}

/// A transaction of a duty, which pays no fee.
pub(crate) fn free(wallet: &mut Wallet, message: Any) -> Signed {
    let draft = Draft::new(wallet, vec![message]).free();
    signed(wallet, &draft)
}

/// A transaction that a wallet signs, and counts.
pub(crate) fn signed(wallet: &mut Wallet, draft: &Draft) -> Signed {
    let tx = draft.sign(wallet);
    wallet.sequence += 1;
    Signed {
        tx,
        account_number: wallet.number,
    }
}

fn wallets(chain: &mut Chain, role: Role) -> &mut [Wallet] {
    match role {
        Role::Inference => &mut chain.inference,
        _ => &mut chain.evaluators,
    }
}

fn duties(chain: &Chain, role: Role, operator: &str) -> Vec<Duty> {
    let request = QueryDutiesRequest {
        role: role.into(),
        operator: operator.into(),
        after: 0,
        limit: PAGE,
    };
    let answer: QueryDutiesResponse = chain.query("/poq.v1.Query/Duties", &request);
    answer.duties
}

/// CPU time of the mempool's checks of transactions.
pub(crate) fn check(chain: &Chain, signed: &[Signed]) -> Result<Duration, Box<dyn Error>> {
    let (checked, cpu) = Cpu::of(|| {
        signed
            .iter()
            .try_for_each(|one| chain.app.check_tx(&one.tx, Signatures::Verify).map(drop))
    })?;
    checked?;
    Ok(cpu.here)
}

/// CPU time of accepting, finalizing and committing a block, and of writing its rows after the commit. The
/// share of other threads is also added to `elsewhere`.
pub(crate) fn block(
    chain: &mut Chain,
    signed: &[Signed],
    elsewhere: &mut Duration,
) -> Result<Duration, Box<dyn Error>> {
    let txs: Vec<_> = signed.iter().map(|signed| signed.tx.clone()).collect();
    let (executed, cpu) = Cpu::of(|| {
        let results = chain.proposed_block(&txs);
        chain.app.flush().map(|()| results)
    })?;
    *elsewhere += cpu.elsewhere;
    match executed?.iter().find(|result| result.code != 0) {
        Some(failed) => Err(format!("a transaction failed: {}", failed.log).into()),
        None => Ok(cpu.whole()),
    }
}
