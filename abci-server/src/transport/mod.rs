//! The ABCI socket server: drives any [`tendermint_abci::Application`] over TCP or a Unix socket.
//!
//! This is the "socket" transport of ABCI 2.0, `spec/abci/abci++_client_server.md`, sections
//! "TSP" and "Socket", of CometBFT v0.38: each side sends protobuf messages
//! (`tendermint.abci.Request`, `tendermint.abci.Response`) behind their length as an unsigned
//! varint. CometBFT opens four connections (consensus, mempool, query, snapshot) and pipelines
//! requests; every connection is answered in order, and what was answered is sent at the latest
//! when a `Flush` comes.
//!
//! One plain thread serves one connection. A request that cannot be understood gets a
//! `ResponseException`; a stream that cannot be followed any more is closed with a line in the
//! log. A panic of the application is not caught: the binary's panic hook ends the process.

mod address;
mod dispatch;
mod frame;
mod metrics;
mod server;
mod socket;
#[cfg(test)]
mod tests;

pub use address::{Address, MAX_SOCKET_PATH};
pub use server::Server;
pub use socket::Listener;

use std::io;

/// Longest message in bytes: CometBFT's own limit (`maxMsgSize` of `abci/types/messages.go`).
pub const MAX_MESSAGE_BYTES: usize = 100 << 20;

/// Connections served at once; CometBFT opens four, the rest is for tools and for connections
/// that a restarted CometBFT has left behind.
pub const MAX_CONNECTIONS: usize = 64;

/// Why an address cannot be served or a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: Address,
        /// What is wrong and what to do.
        reason: String,
    },
    /// The operating system has no more threads.
    #[error("cannot start a thread for {name}: {source}")]
    Thread {
        /// What the thread is for.
        name: String,
        /// From the operating system.
        source: io::Error,
    },
    /// A length prefix is above the limit.
    #[error("the peer announced a message of {length} bytes; at most {limit} are accepted")]
    Oversized {
        /// As announced.
        length: u64,
        /// The limit.
        limit: usize,
    },
    /// A length prefix is no varint.
    #[error("the peer sent a length prefix that is not a varint of at most 64 bits")]
    Prefix,
    /// The stream ended inside a message.
    #[error("the peer closed the connection inside a message")]
    Truncated,
    /// Reading or writing failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}
