//! From the writes of a block to a committed version and its rows.

mod batch;
mod row_cache;
mod stage;
mod storage;
mod store;
pub(crate) mod write_set;
mod writer;

pub use stage::StagedCommit;
pub use store::Store;
pub use write_set::WriteSet;
