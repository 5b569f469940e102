//! Decodes and verifies transactions of a block ahead of their execution, on all processors.

use poq_store::State;
use rayon::prelude::*;

use super::decode::{Unverified, decode};
use super::signature::Verifier;
use crate::error::Result;
use crate::execution::BlockContext;

/// Transactions that are prepared together while the batch before is executed: enough to keep all
/// processors busy, few enough to hold in memory.
const BATCH: usize = 512;

/// Runs `turn` for every transaction, in order, until one returns an error. Meanwhile the next
/// batch is prepared: decoded, and those signatures verified that the verifier does not remember
/// yet.
///
/// The signed document also depends on the signer's account, which is read from the state before
/// the block. A signature that does not fit is verified again in its turn, with the account as it
/// is then, so this changes no result.
pub(crate) fn in_turn<T: AsRef<[u8]> + Sync>(
    txs: &[T],
    state: &mut State,
    block: &BlockContext,
    verifier: &Verifier,
    mut turn: impl FnMut(&mut State, &T, Result<Unverified>) -> Result<()> + Send,
) -> Result<()> {
    let readers = state.readers();
    let make_ready = |batch: &[T]| -> Vec<_> {
        let ready = batch.par_iter().map_init(&readers, |before, tx| {
            ready(tx.as_ref(), before, block, verifier)
        });
        ready.collect()
    };
    let mut batches = txs.chunks(BATCH);
    let mut now = batches.next().unwrap_or_default();
    let mut ready = make_ready(now);
    while !now.is_empty() {
        let next = batches.next().unwrap_or_default();
        let take_turns = || {
            let mut turns = now.iter().zip(ready);
            turns.try_for_each(|(tx, decoded)| turn(state, tx, decoded))
        };
        let (done, next_ready) = rayon::join(take_turns, || make_ready(next));
        done?;
        (now, ready) = (next, next_ready);
    }
    Ok(())
}

fn ready(
    tx: &[u8],
    before: &State,
    block: &BlockContext,
    verifier: &Verifier,
) -> Result<Unverified> {
    let mut tx = decode(tx, &block.params)?;
    if !tx.recall(verifier) {
        if let Err(reason) = tx.verify_ahead(before, block, verifier) {
            tracing::debug!(%reason, "a transaction cannot be verified ahead");
        }
        tx.recall(verifier);
    }
    Ok(tx)
}

#[cfg(test)]
mod tests {
    use poq_store::ReadSet;

    use super::*;
    use crate::error::Error;
    use crate::modules::params::default_params;

    #[test]
    fn turns_come_in_order_and_end_with_the_first_error() {
        let txs: Vec<_> = (0..3 * BATCH).map(usize::to_be_bytes).collect();
        let block = BlockContext {
            chain_id: "chain".into(),
            height: 1,
            params: default_params(),
            beacon: [0; 32],
        };
        for last in [0, BATCH, 3 * BATCH - 1, 3 * BATCH] {
            let mut taken = Vec::new();
            let mut state = State::of(ReadSet::new(0));
            let turn = |_: &mut State, tx: &_, decoded: Result<_>| {
                assert!(decoded.is_err(), "a number is not a transaction");
                taken.push(*tx);
                match taken.len() > last {
                    true => Err(Error::broken("the last")),
                    false => Ok(()),
                }
            };
            let outcome = in_turn(&txs, &mut state, &block, &Verifier::default(), turn);
            assert_eq!(outcome.is_ok(), last == txs.len());
            assert_eq!(taken, txs[..txs.len().min(last + 1)]);
        }
    }
}
