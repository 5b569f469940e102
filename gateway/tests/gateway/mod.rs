//! The gateway against played nodes and a played chain.

mod answers;
mod clients;
mod credit;
mod deposits;
mod failures;
mod restarts;
mod world;
