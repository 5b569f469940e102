//! Reading versions, and execution on top of them.

mod merge;
mod read_set;
mod snapshot;
mod state;
mod typed;

pub use read_set::ReadSet;
pub use snapshot::Snapshot;
pub use state::State;
