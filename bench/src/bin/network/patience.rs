//! Retries queries of nodes that are busy with a load.

use std::time::{Duration, Instant};

use poq_client::Result;
use tokio::time::sleep;

/// Duration of the retries.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

/// Retries a query until it succeeds or fails permanently.
///
/// # Errors
/// The last error.
pub(crate) async fn insist<T>(ask: impl AsyncFn() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    loop {
        match ask().await {
            Err(error) if error.is_retryable() && started.elapsed() < PATIENCE => {
                sleep(PAUSE).await;
            }
            answer => return answer,
        }
    }
}
