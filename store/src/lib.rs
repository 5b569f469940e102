//! An authenticated, versioned key-value store.
//!
//! Keys are readable text (1 to 512 bytes of printable ASCII without blanks, such as
//! `bank/balance/alice/coin`), values are non-empty bytes. Every committed block makes a version,
//! whose number is the block's height; version 0 is the empty state. The root of a Jellyfish
//! Merkle tree over the values is the application hash, and any key has an ICS-23 proof of its
//! value, or of its absence. Payloads are versioned in the same way, but are not in the tree.
//!
//! [`Store::snapshot`] → [`State`] (execution) → [`State::into_writes`] → [`Store::stage`] (computes
//! the root, writes nothing) → [`Store::commit`] (writes a redo record; a thread writes the rows).
//! Nothing depends on time, on the machine, or on the order of the writes within a block.
//!
//! Four folders, each of which uses only those before it: `rows` (the database), `tree` (the Merkle
//! tree), `commit` (from writes to rows), `view` (reading). The README shows both paths.

#![warn(clippy::expect_used, clippy::panic, clippy::unwrap_used)]
#![cfg_attr(not(test), warn(clippy::cast_sign_loss, clippy::float_arithmetic))]

mod commit;
mod error;
mod limits;
mod rows;
#[cfg(test)]
mod tests;
mod tree;
mod view;

pub use commit::{StagedCommit, Store, WriteSet};
pub use error::{Result, StoreError};
pub use rows::{Entry, Head};
pub use view::{ReadSet, Snapshot, State};
