//! Acknowledges answers when no order does.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::sleep;
use tracing::debug;

use super::live::Live;
use crate::store::sessions::{self, State};
use crate::store::{self, Store};
use crate::telemetry;
use crate::upstream;

/// How long an answer waits for an order that acknowledges it.
const WAIT: Duration = Duration::from_secs(1);
/// Pause after a failure.
const PAUSE: Duration = Duration::from_secs(5);

/// Why nothing was acknowledged.
#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error(transparent)]
    Store(#[from] store::Error),
    #[error(transparent)]
    Node(#[from] upstream::Error),
}

/// Acknowledges answers of a session until it is closed.
pub(super) async fn acknowledge_always(live: Arc<Live>, store: Arc<Store>) {
    loop {
        live.answered.notified().await;
        sleep(WAIT).await;
        if matches!(live.inner().state, State::Closed | State::Over) {
            return;
        }
        if let Err(error) = acknowledge(&live, &store).await {
            if let Error::Node(error) = &error {
                telemetry::node_error(error.reason());
            }
            debug!(
                session = live.id,
                "answers are not acknowledged yet: {error}"
            );
            sleep(PAUSE).await;
            live.answered.notify_one();
        }
    }
}

/// Acknowledges what is in the log and in no voucher.
///
/// # Errors
/// [`Error`]; then the next attempt, or the next order, does it.
pub(super) async fn acknowledge(live: &Live, store: &Store) -> Result<(), Error> {
    let _turn = live.turn.lock().await;
    let Some(voucher) = live.inner().book.bare() else {
        return Ok(());
    };
    store
        .write(move |db| sessions::acknowledge(db, voucher.session, voucher.count))
        .await?;
    live.node.acknowledge(&voucher).await?;
    live.inner().book.acknowledged(voucher.count);
    Ok(())
}
