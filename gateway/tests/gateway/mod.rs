//! The gateway against played nodes and a played chain.

mod answers;
mod clients;
mod failures;
mod operators;
mod restarts;
mod world;
