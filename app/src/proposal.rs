//! Proposals that this node accepted. While they are voted on, they are executed to the end.

use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use poq_store::{StagedCommit, Store};

use crate::block::{Block, OpenBlock, Outcome};
use crate::error::Result;
use crate::modules::audits::Auditor;

/// What a block reports, and the version that it makes.
pub type Finalized = (Outcome, StagedCommit);

/// Ends a block and computes its app hash.
pub fn finish(block: OpenBlock, store: &Store, auditor: &Auditor) -> Result<Finalized> {
    let height = block.height();
    let (outcome, state) = block.end(auditor)?;
    let staged = store.stage(state.into_writes()?, height)?;
    Ok((outcome, staged))
}

/// A proposal whose transactions are executed. A thread does the rest; dropping it waits for that.
pub struct Proposal {
    height: u64,
    hash: Vec<u8>,
    rest: Option<JoinHandle<Result<Finalized>>>,
}

impl Proposal {
    /// Begins with what is left of the execution.
    pub fn of<T>(
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

    /// Whether it is of this block: its hash stands for everything in it.
    pub fn is_of<T>(&self, block: &Block<'_, T>) -> bool {
        (self.height, self.hash.as_slice()) == (block.height, block.hash)
    }

    /// What the block comes to. None if that failed: who executes it again is told why.
    pub fn wait(mut self) -> Option<Finalized> {
        self.rest.take()?.join().ok()?.ok()
    }
}

impl Drop for Proposal {
    /// A committed block changes what the audits of another one would wait for.
    fn drop(&mut self) {
        if let Some(rest) = self.rest.take() {
            let _ = rest.join();
        }
    }
}
