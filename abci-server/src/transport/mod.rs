//! The ABCI socket server: drives any [`tendermint_abci::Application`] over TCP or a Unix socket.
//!
//! This is the "socket" transport of ABCI 2.0, `spec/abci/abci++_client_server.md`, sections
//! "TSP" and "Socket", of CometBFT v0.38: each side sends protobuf messages
//! (`tendermint.abci.Request`, `tendermint.abci.Response`), prefixed with their length as an unsigned
//! varint. CometBFT opens four connections (consensus, mempool, query, snapshot) and pipelines
//! requests. Each connection is answered in order; buffered answers are sent on `Flush` at the latest.
//!
//! One thread serves one connection. A malformed request gets a `ResponseException`. A stream with
//! broken framing is closed, with a line in the log. A panic of the application is not caught: the
//! binary's panic hook ends the process.

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

/// Connections served at once. CometBFT opens four; the rest are for tools and for stale connections of
/// a restarted CometBFT.
pub const MAX_CONNECTIONS: usize = 64;

/// The reason why an address cannot be served or a connection ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {reason}")]
    Listen {
        /// The address.
        address: Address,
        /// The cause and the remedy.
        reason: String,
    },
    /// The operating system cannot start a thread.
    #[error("cannot start a thread for {name}: {source}")]
    Thread {
        /// The thread's purpose.
        name: String,
        /// Its cause.
        source: io::Error,
    },
    /// A length prefix is above the limit.
    #[error("the peer announced a message of {length} bytes; at most {limit} are accepted")]
    Oversized {
        /// The announced length, bytes.
        length: u64,
        /// The limit, bytes.
        limit: usize,
    },
    /// A length prefix is not a varint.
    #[error("the peer sent a length prefix that is not a varint of at most 64 bits")]
    Prefix,
    /// The stream ended inside a message.
    #[error("the peer closed the connection inside a message")]
    Truncated,
    /// Reading or writing failed.
    #[error("the connection failed: {0}")]
    Io(#[from] io::Error),
}
