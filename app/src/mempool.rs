//! Which transactions CometBFT's mempool may hold.

use std::convert::Infallible;

use poq_proto::code;
use poq_store::State;

use crate::block::{self, Gas};
use crate::error::{Error, Result, ensure};
use crate::execution::BlockContext;
use crate::query;
use crate::tx::{Signatures, Verifier};

/// Transactions that are no duties, of the 5,000 that CometBFT's mempool holds by default.
const MAX_PAID_TXS: usize = 4_000;
/// Their bytes, of the 64 MiB that `poqd init` gives it.
const MAX_PAID_BYTES: usize = 48 << 20;

/// The committed state with the effects of the transactions that CometBFT's mempool holds: after
/// each block it has all of them checked again.
///
/// CometBFT's mempool takes what comes first and evicts nothing. So that nobody can buy the room
/// that duties need, other transactions get a part of it.
pub struct Mempool {
    state: State,
    next_block: BlockContext,
    paid_txs: usize,
    paid_bytes: usize,
}

impl Mempool {
    /// An empty one before the next block.
    pub fn new(state: State, next_block: BlockContext) -> Self {
        Self {
            state,
            next_block,
            paid_txs: 0,
            paid_bytes: 0,
        }
    }

    /// Checks a transaction on top of those before.
    ///
    /// # Errors
    /// Why it may not enter a block; `MEMPOOL_FULL` if it is no duty and others have the room.
    pub fn check(
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

    /// Answers a query on top of what waits for a block, and tells the height of the last one. What
    /// the query does leaves no trace.
    pub fn query(&mut self, path: &str, data: &[u8]) -> Result<(Vec<u8>, u64)> {
        let height = self.state.version();
        // An error, whatever the answer is, so that its layer is dropped.
        let Err(answer) = self
            .state
            .nested(|state| Err::<Infallible, _>(query::route(state, path, data)));
        Ok((answer?, height))
    }
}
