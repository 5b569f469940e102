//! The nodes of sessions: their addresses, which are hostile input, and their stream API.

mod address;
mod endpoint;
mod frames;
mod node;
mod tls;

pub(crate) use endpoint::Endpoint;
pub(crate) use frames::{Event, Frames};
pub(crate) use node::{Error, Identity, Node};
