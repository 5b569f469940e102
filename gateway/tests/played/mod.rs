//! A played chain and played nodes that implement the stream API with real signatures, logs and TLS.

mod chain;
mod node;
mod serve;

pub(crate) use chain::PlayedChain;
pub(crate) use node::{Behaviour, PlayedNode};
