//! The servers, each on its own address in this process until it ends.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::thread;

use anyhow::Context;
use poqd::transport::{Address, Listener};
use tower_abci::v038::{self, split};

use super::application::Accept;

/// Requests that each queue of tower-abci holds.
const TOWER_QUEUE: usize = 1024;

/// A server and its transport.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Server {
    /// The server of tendermint-abci.
    Tendermint,
    /// tower-abci over TCP.
    TowerTcp,
    /// tower-abci over a Unix socket.
    TowerUnix,
    /// Ours over TCP.
    PoqdTcp,
    /// Ours over a Unix socket.
    PoqdUnix,
}

impl Server {
    /// All compared servers.
    pub(crate) const ALL: [Self; 5] = [
        Self::Tendermint,
        Self::TowerTcp,
        Self::TowerUnix,
        Self::PoqdTcp,
        Self::PoqdUnix,
    ];

    /// Its name and transport.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Tendermint => "tendermint-abci, TCP",
            Self::TowerTcp => "tower-abci, TCP",
            Self::TowerUnix => "tower-abci, Unix",
            Self::PoqdTcp => "poqd, TCP",
            Self::PoqdUnix => "poqd, Unix",
        }
    }

    /// Starts the server; sockets are created in `folder`.
    ///
    /// # Errors
    /// If the address is not available.
    pub(crate) fn start(self, folder: &Path) -> anyhow::Result<Address> {
        let socket = folder.join(format!("{self:?}.sock"));
        match self {
            Self::Tendermint => tendermint(),
            Self::TowerTcp => tower(None),
            Self::TowerUnix => tower(Some(socket)),
            Self::PoqdTcp => poqd(&"tcp://127.0.0.1:0".parse().map_err(anyhow::Error::msg)?),
            Self::PoqdUnix => poqd(&Address::Unix(socket)),
        }
    }
}

fn tendermint() -> anyhow::Result<Address> {
    let server = tendermint_abci::ServerBuilder::default().bind("127.0.0.1:0", Accept)?;
    let address = Address::Tcp(server.local_addr());
    thread::spawn(move || {
        if let Err(error) = server.listen() {
            eprintln!("tendermint-abci ended: {error}");
        }
    });
    Ok(address)
}

fn tower(socket: Option<PathBuf>) -> anyhow::Result<Address> {
    let address = match &socket {
        Some(path) => Address::Unix(path.clone()),
        None => Address::Tcp(free_endpoint()?),
    };
    let listening = address.clone();
    let runtime = tokio::runtime::Runtime::new()?;
    thread::spawn(move || {
        runtime.block_on(async move {
            let (consensus, mempool, snapshot, info) = split::service(Accept, TOWER_QUEUE);
            let server = v038::Server::builder()
                .consensus(consensus)
                .mempool(mempool)
                .snapshot(snapshot)
                .info(info)
                .finish()
                .ok_or("a service of tower-abci is missing")?;
            match listening {
                Address::Tcp(endpoint) => server.listen_tcp(endpoint).await,
                Address::Unix(path) => server.listen_unix(path).await,
            }
        })
    });
    Ok(address)
}

fn poqd(address: &Address) -> anyhow::Result<Address> {
    let server = poqd::transport::Server::start(Listener::bind(address)?, Accept)?;
    let address = server.address().clone();
    // The server's threads run until the process ends.
    std::mem::forget(server);
    Ok(address)
}

/// Finds a free port, because tower-abci does not report its port.
fn free_endpoint() -> anyhow::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0").context("cannot find a free port")?;
    Ok(listener.local_addr()?.to_string())
}
