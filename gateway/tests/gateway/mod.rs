//! The gateway against played nodes and a played chain.

mod answers;
mod clients;
mod failures;
mod framing;
mod restarts;
mod resume;
mod statuses;
mod surfaces;
mod world;
