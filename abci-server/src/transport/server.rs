use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::response::Value;
use tracing::{info, warn};

use super::dispatch::answer;
use super::frame::{FrameReader, FrameWriter};
use super::socket::Stream;
use super::{Address, Error, Listener, MAX_CONNECTIONS, MAX_MESSAGE_BYTES};

/// Pause after the operating system failed to accept a connection, for example without free descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A running ABCI server.
pub struct Server {
    address: Address,
    shared: Arc<Shared>,
    acceptor: JoinHandle<()>,
}

struct Shared {
    listener: Listener,
    limit: usize,
    stopping: AtomicBool,
    connections: Mutex<Connections>,
}

#[derive(Default)]
struct Connections {
    /// Number of connections accepted so far.
    count: u64,
    /// A handle of every open stream, for closing it.
    open: BTreeMap<u64, Stream>,
    /// Threads of open and recently closed connections.
    threads: Vec<JoinHandle<()>>,
}

impl Server {
    /// Serves `app` on `listener` until [`Self::stop`]. Every connection gets a clone of `app`.
    ///
    /// # Errors
    /// [`Error::Thread`] and [`Error::Io`], from the operating system.
    pub fn start<A: Application>(listener: Listener, app: A) -> Result<Self, Error> {
        Self::with_limit(listener, app, MAX_MESSAGE_BYTES)
    }

    /// Like [`Self::start`], with messages of up to `limit` bytes.
    pub(super) fn with_limit<A: Application>(
        listener: Listener,
        app: A,
        limit: usize,
    ) -> Result<Self, Error> {
        let address = listener.address()?;
        let shared = Arc::new(Shared {
            listener,
            limit,
            stopping: AtomicBool::new(false),
            connections: Mutex::default(),
        });
        let accepting = Arc::clone(&shared);
        let acceptor = spawn("abci-accept".into(), move || accept(&accepting, &app))?;
        info!(%address, "serving ABCI");
        Ok(Self {
            address,
            shared,
            acceptor,
        })
    }

    /// The bound address.
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Stops accepting, lets every request in progress finish, and closes all connections.
    ///
    /// # Errors
    /// I/O errors of the listener.
    pub fn stop(self) -> Result<(), Error> {
        self.shared.stopping.store(true, Ordering::SeqCst);
        self.shared.listener.close()?;
        join(self.acceptor);
        let threads = {
            let mut connections = self.shared.connections();
            for stream in connections.open.values() {
                // This fails if the peer has already closed the connection.
                let _ = stream.close();
            }
            std::mem::take(&mut connections.threads)
        };
        threads.into_iter().for_each(join);
        info!(address = %self.address, "ABCI server stopped");
        Ok(())
    }
}

impl Shared {
    fn connections(&self) -> MutexGuard<'_, Connections> {
        self.connections
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

fn accept<A: Application>(shared: &Arc<Shared>, app: &A) {
    while !shared.stopping.load(Ordering::SeqCst) {
        let opened = shared
            .listener
            .accept()
            .map_err(Error::from)
            .and_then(|stream| open(shared, stream, app.clone()));
        if let Err(error) = opened
            && !shared.stopping.load(Ordering::SeqCst)
        {
            warn!("cannot accept an ABCI connection: {error}");
            thread::sleep(ACCEPT_PAUSE);
        }
    }
}

/// Registers a connection and starts its thread.
fn open<A: Application>(shared: &Arc<Shared>, stream: Stream, app: A) -> Result<(), Error> {
    let handle = stream.try_clone()?;
    let mut connections = shared.connections();
    if connections.open.len() >= MAX_CONNECTIONS {
        warn!("refused an ABCI connection: at most {MAX_CONNECTIONS} may be open");
        return Ok(());
    }
    connections.count += 1;
    let id = connections.count;
    let serving = Arc::clone(shared);
    let thread = spawn(format!("abci-{id}"), move || {
        info!(connection = id, "ABCI connection opened");
        match serve(&app, &stream, serving.limit) {
            Ok(()) => info!(connection = id, "ABCI connection closed by its peer"),
            Err(error) if serving.stopping.load(Ordering::SeqCst) => {
                info!(connection = id, "ABCI connection closed: {error}");
            }
            Err(error) => warn!(connection = id, "ABCI connection closed: {error}"),
        }
        // The registered handle would keep the peer waiting.
        let _ = stream.close();
        serving.connections().open.remove(&id);
    })?;
    connections.open.insert(id, handle);
    connections.threads.retain(|thread| !thread.is_finished());
    connections.threads.push(thread);
    Ok(())
}

/// Answers requests, in order, until the peer closes the connection.
fn serve<A: Application>(app: &A, stream: &Stream, limit: usize) -> Result<(), Error> {
    let mut requests = FrameReader::new(stream.try_clone()?, limit);
    let mut responses = FrameWriter::new(stream.try_clone()?);
    while let Some(request) = requests.next()? {
        let response = answer(app, request);
        responses.write(&response)?;
        // CometBFT drops the connection after an exception and sends no Flush.
        if matches!(response.value, Some(Value::Flush(_) | Value::Exception(_))) {
            responses.flush()?;
        }
    }
    Ok(())
}

fn spawn(name: String, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, Error> {
    thread::Builder::new()
        .name(name.clone())
        .spawn(run)
        .map_err(|source| Error::Thread { name, source })
}

fn join(thread: JoinHandle<()>) {
    if thread.join().is_err() {
        warn!("a thread of the ABCI server panicked");
    }
}
