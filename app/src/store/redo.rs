//! The changes of the version that was committed last, until its rows are written.
//!
//! A commit puts this on the disk and nothing else, so it takes as long as there are changes, not
//! as long as it takes to write the rows that they make in a large state. If the process ends
//! before these are written, they are computed once more from here when the database is opened.

use super::changes::{Changes, Writes};
use super::error::{Result, StoreError};
use super::head::Head;

/// A committed version.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Redo {
    pub height: u64,
    pub app_hash: [u8; 32],
    pub changes: Changes,
}

/// The stored form (Borsh).
pub(super) fn encode(head: &Head, changes: &Changes) -> Result<Vec<u8>> {
    let Changes {
        values, payloads, ..
    } = changes;
    borsh::to_vec(&(head.height, head.app_hash, values, payloads))
        .map_err(|error| StoreError::corrupt(b"redo", error))
}

pub(super) fn decode(bytes: &[u8]) -> Result<Redo> {
    let (height, app_hash, values, payloads): (u64, [u8; 32], Writes, Writes) =
        borsh::from_slice(bytes).map_err(|error| StoreError::corrupt(b"redo", error))?;
    Ok(Redo {
        height,
        app_hash,
        changes: Changes {
            values,
            payloads,
            replaced: None,
        },
    })
}
