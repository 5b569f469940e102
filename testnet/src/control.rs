//! Commands from a second terminal to the process that runs a network, over a Unix socket in the network's
//! folder: per connection one line of JSON in each direction.

use std::fs::File;
use std::io::ErrorKind;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use poq_proto::v1::Role;
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::time::timeout;

use crate::{Error, Network, ProcessStatus, Result};

/// Name of the socket in the network's folder.
const SOCKET: &str = "control.sock";
/// Time limit for a client to send its request.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(5);
/// Longest request, bytes.
const MAX_REQUEST: u64 = 1 << 16;

/// A request from a second terminal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "command")]
pub enum Request {
    /// Return the status of every process.
    Status,
    /// Start a stopped or crashed process.
    Start {
        /// Its name.
        name: String,
    },
    /// Stop a process.
    Stop {
        /// Its name.
        name: String,
    },
    /// Add an inference node or an evaluator.
    Add {
        /// Role of the new worker.
        role: Role,
    },
}

/// The processes that the request concerns, or the reason why it failed.
type Reply = std::result::Result<Vec<ProcessStatus>, String>;

/// The socket on which a running network accepts requests.
#[derive(Debug)]
pub struct Control {
    listener: UnixListener,
}

impl Control {
    /// Starts to listen in the folder of a network.
    ///
    /// # Errors
    /// [`Error::File`] if the socket cannot be created.
    pub fn bind(root: &Path) -> Result<Self> {
        let socket = Socket::in_folder(root)?;
        let listener = UnixListener::bind(socket.short_path());
        Ok(Self {
            listener: listener.map_err(Error::file(&root.join(SOCKET)))?,
        })
    }

    /// Waits for the next client.
    pub async fn accept(&self) -> std::io::Result<UnixStream> {
        self.listener.accept().await.map(|(stream, _)| stream)
    }
}

/// Executes a client's request and sends the outcome. A client that has disconnected is not an error.
pub async fn obey(network: &mut Network, mut stream: UnixStream) {
    let reply = match timeout(REQUEST_TIMEOUT, read_request(&mut stream)).await {
        Ok(Ok(request)) => {
            tracing::info!(?request, "a request from another terminal");
            let outcome = execute(network, request).await;
            outcome.map_err(|error| error.to_string())
        }
        Ok(Err(reason)) => Err(reason),
        Err(_) => Err("no request arrived in time".into()),
    };
    let sent = match serde_json::to_string(&reply) {
        Ok(json) => stream.write_all((json + "\n").as_bytes()).await,
        Err(error) => Err(error.into()),
    };
    if let Err(error) = sent {
        tracing::debug!(%error, "the other terminal has disconnected");
    }
}

async fn read_request(stream: &mut UnixStream) -> std::result::Result<Request, String> {
    let mut line = String::new();
    let mut stream = BufReader::new(stream).take(MAX_REQUEST);
    let read = stream.read_line(&mut line).await;
    read.map_err(|error| error.to_string())?;
    serde_json::from_str(&line).map_err(|error| format!("not a request: {error}"))
}

async fn execute(network: &mut Network, request: Request) -> Result<Vec<ProcessStatus>> {
    let name = match request {
        Request::Status => return network.status().await,
        Request::Start { name } => {
            if network.processes().any(|process| process.name() == name) {
                return Err(Error::Runs(name));
            }
            network.start(&name)?;
            name
        }
        Request::Stop { name } => {
            network.stop(&name).await?;
            name
        }
        Request::Add { role } => network.add(role).await?,
    };
    let mut all = network.status().await?;
    all.retain(|status| status.name == name);
    Ok(all)
}

/// Sends a request to the network that runs in `root`.
///
/// # Errors
/// [`Error::NotRunning`] if no network runs there, [`Error::Refused`] with the network's reason.
pub async fn request(root: &Path, request: &Request) -> Result<Vec<ProcessStatus>> {
    let path = root.join(SOCKET);
    let socket = match Socket::in_folder(root) {
        Err(Error::File { source, .. }) if source.kind() == ErrorKind::NotFound => {
            return Err(Error::NotRunning(root.into()));
        }
        socket => socket?,
    };
    let mut stream = match UnixStream::connect(socket.short_path()).await {
        Ok(stream) => stream,
        Err(error)
            if matches!(
                error.kind(),
                ErrorKind::NotFound | ErrorKind::ConnectionRefused
            ) =>
        {
            return Err(Error::NotRunning(root.into()));
        }
        Err(error) => return Err(Error::file(&path)(error)),
    };
    let not_understood = |reason: String| Error::Contents {
        path: path.clone(),
        reason,
    };
    let json = serde_json::to_string(request).map_err(|error| not_understood(error.to_string()))?;
    let mut line = String::new();
    let exchange = async {
        stream.write_all((json + "\n").as_bytes()).await?;
        BufReader::new(stream).read_line(&mut line).await
    };
    exchange.await.map_err(Error::file(&path))?;
    serde_json::from_str::<Reply>(&line)
        .map_err(|error| not_understood(error.to_string()))?
        .map_err(Error::Refused)
}

/// A path to the socket through its open folder, because a socket's path has at most 107 bytes.
struct Socket {
    folder: File,
}

impl Socket {
    fn in_folder(root: &Path) -> Result<Self> {
        let folder = File::open(root).map_err(Error::file(root))?;
        Ok(Self { folder })
    }

    fn short_path(&self) -> PathBuf {
        PathBuf::from(format!(
            "/proc/self/fd/{}/{SOCKET}",
            self.folder.as_raw_fd()
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn folders_with_long_paths_have_sockets_too() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path().join("x".repeat(120));
        std::fs::create_dir(&root).unwrap();
        let control = Control::bind(&root).unwrap();
        let client = async {
            let error = request(&root, &Request::Status).await.unwrap_err();
            assert!(matches!(&error, Error::Refused(reason) if reason == "busy"));
        };
        let server = async {
            let mut stream = control.accept().await.unwrap();
            assert_eq!(read_request(&mut stream).await, Ok(Request::Status));
            stream.write_all(b"{\"Err\":\"busy\"}\n").await.unwrap();
        };
        tokio::join!(client, server);
    }

    #[tokio::test]
    async fn a_folder_without_a_network_is_told_so() {
        let folder = tempfile::tempdir().unwrap();
        for root in [folder.path().to_owned(), folder.path().join("none")] {
            let error = request(&root, &Request::Status).await.unwrap_err();
            assert!(matches!(error, Error::NotRunning(_)), "{error}");
        }
    }

    #[tokio::test]
    async fn garbage_is_refused() {
        let (mut near, mut far) = UnixStream::pair().unwrap();
        near.write_all(b"{\"command\":\"explode\"}\n")
            .await
            .unwrap();
        let error = read_request(&mut far).await.unwrap_err();
        assert!(error.contains("not a request"), "{error}");
    }
}
