//! Stops a program on a signal.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::{Error, Result};

/// A token that the first SIGINT or SIGTERM cancels. A second signal ends the process at once, with
/// the signal's usual exit status. Call it inside the Tokio runtime.
pub fn shutdown_on_signals() -> Result<CancellationToken> {
    let listen = |kind| signal(kind).map_err(|source| Error::Signals { source });
    let mut interrupt = listen(SignalKind::interrupt())?;
    let mut terminate = listen(SignalKind::terminate())?;
    let token = CancellationToken::new();
    let shutdown = token.clone();
    tokio::spawn(async move {
        let name = first(&mut interrupt, &mut terminate).await.0;
        info!("stopping after {name}; a second signal stops at once");
        shutdown.cancel();
        let (name, status) = first(&mut interrupt, &mut terminate).await;
        warn!("stopped at once by a second signal, {name}");
        std::process::exit(status);
    });
    Ok(token)
}

/// The next signal's name, and its exit status.
async fn first(interrupt: &mut Signal, terminate: &mut Signal) -> (&'static str, i32) {
    tokio::select! {
        _ = interrupt.recv() => ("SIGINT", 130),
        _ = terminate.recv() => ("SIGTERM", 143),
    }
}
