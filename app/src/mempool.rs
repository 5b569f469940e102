//! The check for CometBFT's mempool.

use std::convert::Infallible;

use poq_proto::code;
use poq_store::State;

use crate::block::{self, Gas};
use crate::error::{Error, Result, ensure};
use crate::execution::BlockContext;
use crate::query;
use crate::tx::{Signatures, Verifier};

/// The most transactions other than duties, of the 5,000 that CometBFT's mempool holds by default.
const MAX_PAID_TXS: usize = 4_000;
/// The most bytes of these transactions, of the 64 MiB that `poqd init` gives the mempool.
const MAX_PAID_BYTES: usize = 48 << 20;

/// The committed state with the effects of the transactions in CometBFT's mempool, which rechecks
/// all of them after each block.
///
/// CometBFT's mempool is first come, first served and evicts nothing. Transactions other than
/// duties get only a part of it, so that nobody can buy the room that duties need.
pub(crate) struct Mempool {
    state: State,
    next_block: BlockContext,
    paid_txs: usize,
    paid_bytes: usize,
}

impl Mempool {
    /// An empty mempool before the next block.
    pub(crate) fn new(state: State, next_block: BlockContext) -> Self {
        Self {
            state,
            next_block,
            paid_txs: 0,
            paid_bytes: 0,
        }
    }

    /// Checks a transaction on top of the earlier ones.
    ///
    /// # Errors
    /// Why the transaction may not enter a block; `MEMPOOL_FULL` if it is not a duty and the room
    /// for others is taken.
    pub(crate) fn check(
        &mut self,
        bytes: &[u8],
        signatures: Signatures,
        verifier: &Verifier,
    ) -> Result<Gas> {
        let paid_bytes = self.paid_bytes.saturating_add(bytes.len());
        let has_room = self.paid_txs < MAX_PAID_TXS && paid_bytes <= MAX_PAID_BYTES;
        let next_block = &self.next_block;
        let checked = self.state.nested(|state| {
            let checked = block::check(state, next_block, bytes, signatures, verifier)?;
            ensure!(
                checked.free || has_room,
                code::MEMPOOL_FULL,
                "the mempool has no room for more transactions that are not duties; send it again \
                 after the next block"
            );
            Ok::<_, Error>(checked)
        })?;
        if !checked.free {
            self.paid_txs = self.paid_txs.saturating_add(1);
            self.paid_bytes = paid_bytes;
        }
        Ok(checked.gas)
    }

    /// Answers a query on top of the mempool's transactions, and returns the height of the last
    /// block. The query leaves no trace.
    pub(crate) fn query(&mut self, path: &str, data: &[u8]) -> Result<(Vec<u8>, u64)> {
        let height = self.state.version();
        // Always an error, so that the query's layer is dropped.
        let Err(answer) = self
            .state
            .nested(|state| Err::<Infallible, _>(query::route(state, path, data)));
        Ok((answer?, height))
    }
}
