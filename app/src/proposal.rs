//! Proposals that this node accepted. They are executed to the end while validators vote on them.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use poq_store::{StagedCommit, Store};

use crate::block::{Block, OpenBlock, Outcome};
use crate::error::Result;
use crate::modules::audits::Auditor;

/// The result of a block, and the staged version of the state.
pub(crate) type Finalized = (Outcome, StagedCommit);

/// Ends a block and computes its app hash.
pub(crate) fn finish(block: OpenBlock, store: &Store, auditor: &Auditor) -> Result<Finalized> {
    let height = block.height();
    let (outcome, state) = block.end(auditor)?;
    let staged = store.stage(state.into_writes()?, height)?;
    Ok((outcome, staged))
}

/// An accepted proposal whose transactions are executed. A thread does the rest; dropping the
/// proposal waits for the thread.
pub(crate) struct Proposal {
    height: u64,
    hash: Vec<u8>,
    rest: Option<JoinHandle<Result<Finalized>>>,
}

impl Proposal {
    /// Starts the rest of the execution.
    pub(crate) fn of<T>(
        block: &Block<'_, T>,
        open: OpenBlock,
        store: &Store,
        auditor: &Arc<Auditor>,
    ) -> Self {
        let (store, auditor) = (store.clone(), Arc::clone(auditor));
        let rest = move || finish(open, &store, &auditor);
        Self {
            height: block.height,
            hash: block.hash.to_vec(),
            rest: Builder::new().name("proposal".into()).spawn(rest).ok(),
        }
    }

    /// Whether this is the proposal of `block`: a hash identifies everything in a block.
    pub(crate) fn is_of<T>(&self, block: &Block<'_, T>) -> bool {
        (self.height, self.hash.as_slice()) == (block.height, block.hash)
    }

    /// The result of the block. None if the execution failed: the caller then executes the block
    /// again and gets the error.
    pub(crate) fn wait(mut self) -> Option<Finalized> {
        self.rest.take()?.join().ok()?.ok()
    }
}

impl Drop for Proposal {
    /// Waits for the thread: another block's commit would change the audits that it waits for.
    fn drop(&mut self) {
        if let Some(rest) = self.rest.take() {
            let _ = rest.join();
        }
    }
}
