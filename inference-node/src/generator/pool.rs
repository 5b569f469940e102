//! A pool of engines, each lent to one request at a time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::Error;

/// Consecutive failures after which the engines count as lost.
const FAILURES: u32 = 3;

/// Idle engines; each returns when it is done.
pub(super) struct Pool<E> {
    done: mpsc::UnboundedSender<Arc<E>>,
    idle: Mutex<mpsc::UnboundedReceiver<Arc<E>>>,
    failures: Arc<AtomicU32>,
    /// Cancelled once an engine is lost. Only a new process has all of them again.
    lost: CancellationToken,
}

impl<E: Send + Sync + 'static> Pool<E> {
    /// A pool of these engines.
    pub(super) fn new(engines: Vec<E>) -> Self {
        let (done, idle) = mpsc::unbounded_channel();
        for engine in engines {
            // The receiver exists, so sending cannot fail.
            let _ = done.send(Arc::new(engine));
        }
        Self {
            done,
            idle: Mutex::new(idle),
            failures: Arc::default(),
            lost: CancellationToken::new(),
        }
    }

    /// Waits for an engine and lends it to `work` in a separate task: an engine completes its work
    /// before the next one, even if the caller is gone. An engine that panics or makes no progress
    /// does not return to the pool.
    ///
    /// # Errors
    /// The errors of `work`; [`Error::Lost`] if any engine is lost.
    pub(super) async fn lend<T, F>(&self, work: impl FnOnce(Arc<E>) -> F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let engine = tokio::select! {
            biased;
            () = self.lost.cancelled() => None,
            engine = async { self.idle.lock().await.recv().await } => engine,
        };
        let engine = engine.ok_or_else(|| Error::Lost("an engine is lost".into()))?;
        let work = work(engine.clone());
        let (done, failures) = (self.done.clone(), self.failures.clone());
        let lost = self.lost.clone().drop_guard();
        let answer = tokio::spawn(async move {
            let result = work.await;
            let is_lost = match &result {
                Err(Error::Lost(_)) => true,
                Err(Error::Engine(_)) => failures.fetch_add(1, Ordering::Relaxed) + 1 >= FAILURES,
                _ => {
                    failures.store(0, Ordering::Relaxed);
                    false
                }
            };
            if !is_lost {
                lost.disarm();
                // The pool is gone only at shutdown.
                let _ = done.send(engine);
            }
            result
        });
        let failed = |error: tokio::task::JoinError| Err(Error::Lost(error.to_string()));
        answer.await.unwrap_or_else(failed)
    }

    /// Waits until an engine is lost.
    pub(super) async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures::FutureExt;
    use tokio::time::timeout;

    use super::*;

    async fn ok(pool: &Pool<u32>) -> Result<u32, Error> {
        pool.lend(async |engine: Arc<u32>| Ok(*engine)).await
    }

    #[tokio::test]
    async fn an_engine_comes_back_after_its_work_whatever_becomes_of_the_caller() {
        let pool = Pool::new(vec![7]);
        assert_eq!(ok(&pool).await.unwrap(), 7);
        let abandoned = pool.lend(async |_: Arc<u32>| {
            tokio::time::sleep(Duration::from_millis(5)).await;
            Ok(())
        });
        assert!(timeout(Duration::from_millis(1), abandoned).await.is_err());
        assert_eq!(ok(&pool).await.unwrap(), 7);
        assert!(pool.lost().now_or_never().is_none());
    }

    #[tokio::test]
    async fn a_panic_loses_the_engine_and_keeps_nobody_waiting() {
        let pool = Pool::new(vec![1, 2]);
        let result = pool
            .lend(async |engine: Arc<u32>| match *engine {
                0 => Ok(()),
                _ => panic!("no more memory"),
            })
            .await;
        assert!(matches!(result, Err(Error::Lost(_))));
        pool.lost().await;
        assert!(matches!(ok(&pool).await, Err(Error::Lost(_))));
    }

    #[tokio::test]
    async fn an_engine_without_a_sign_of_life_is_lost() {
        let pool = Pool::new(vec![1]);
        let result: Result<(), Error> = pool
            .lend(async |_: Arc<u32>| Err(Error::Lost("no token".into())))
            .await;
        assert!(matches!(result, Err(Error::Lost(_))));
        pool.lost().await;
    }

    #[tokio::test]
    async fn failures_in_a_row_lose_it_too_and_a_refusal_is_none() {
        let pool = Pool::new(vec![1]);
        let fail = || pool.lend(async |_: Arc<u32>| Err::<(), _>(Error::Engine("x".into())));
        let refuse = || {
            let refusal = Error::PromptTooLong {
                prompt: 9,
                context: 8,
            };
            pool.lend(async |_: Arc<u32>| Err::<(), _>(refusal))
        };
        for _ in 0..2 {
            assert!(fail().await.is_err() && fail().await.is_err());
            assert!(refuse().await.is_err());
            assert!(pool.lost().now_or_never().is_none());
        }
        for _ in 0..FAILURES {
            assert!(fail().await.is_err());
        }
        pool.lost().await;
    }
}
