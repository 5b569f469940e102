//! The gateway against played nodes and a played chain.

mod answers;
mod clients;
mod crashes;
mod credit;
mod deposits;
mod failures;
mod first_token;
mod framing;
mod operators;
mod quality;
mod restarts;
mod resume;
mod statuses;
mod surfaces;
mod world;
