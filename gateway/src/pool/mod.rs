//! Open sessions, by model and tier: which one answers a request, and how they are opened, recovered,
//! acknowledged, drained and closed.

mod acknowledge;
mod catalog;
mod fill;
mod keeper;
mod live;
mod open;
mod order;
mod recover;
mod report;
mod restart;
mod roster;

pub(crate) use catalog::{Catalog, Snapshot};
pub(crate) use keeper::{Keeper, Settings};
pub(crate) use live::Live;
pub(crate) use order::{NotTaken, Placed};
pub(crate) use recover::recover;
pub(crate) use roster::{NoPlace, PoolId, Roster};
