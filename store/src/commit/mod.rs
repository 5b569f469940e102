//! Commits the writes of a block: a durable version first, then its rows.

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
