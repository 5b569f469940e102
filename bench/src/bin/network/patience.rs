//! Asking nodes that are busy with a load.

use std::time::{Duration, Instant};

use poq_client::Result;
use tokio::time::sleep;

/// How long a question is asked again.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

/// Asks until there is an answer, or an error that does not pass.
///
/// # Errors
/// The last one.
pub async fn insist<T>(ask: impl AsyncFn() -> Result<T>) -> Result<T> {
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
