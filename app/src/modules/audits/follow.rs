//! Has scores computed ahead of the blocks that use them.

use poq_store::State;

use super::case::Case;
use super::pool::Auditor;
use super::schedule::pending;
use crate::error::{Error, Result};

/// Audits that are worked on ahead of the blocks that use them, at most.
const LOOKAHEAD: usize = 64;

/// Lets the reference scores be computed that a committed state will need.
///
/// # Errors
/// If the store fails. A task that cannot be audited is left to the block that uses its audit.
pub fn follow(auditor: &Auditor, state: &State) -> Result<()> {
    let pending = pending(state, LOOKAHEAD)?.into_iter();
    let pending: Vec<_> = pending.map(|one| (one.due_height, one.task)).collect();
    let unknown = auditor.follow(&pending);
    let cases = unknown
        .into_iter()
        .filter_map(|(due_height, id)| match Case::read(state, due_height, id) {
            Err(Error::Rejected { .. }) => None,
            outcome => Some(outcome),
        })
        .collect::<Result<Vec<_>>>()?;
    auditor.begin(cases);
    Ok(())
}
