//! The language model on mistral.rs, on the CPU: several engines in parallel.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use super::pool::Pool;
use super::weights::Prepared;
use super::{Completion, Error, Generator, Recommended, Request};
use crate::config;

/// Default for the longest time without progress of an engine.
const PATIENCE: Duration = Duration::from_secs(3600);

/// A model that is loaded into mistral.rs once per concurrent answer.
pub(crate) struct MistralGenerator {
    engines: Pool<Engine>,
    patience: Duration,
    concurrency: usize,
    context_tokens: usize,
    recommended: Recommended,
}

impl MistralGenerator {
    /// Loads prepared weights `concurrency` times, at least once; takes seconds each and needs a
    /// multi-threaded tokio runtime. The engines share `threads` threads; 0 means one per core.
    ///
    /// # Errors
    /// [`Error::Load`] if mistral.rs refuses the files.
    pub(crate) async fn load(
        prepared: &Prepared,
        concurrency: usize,
        threads: usize,
    ) -> Result<Self, Error> {
        let concurrency = concurrency.max(1);
        let mut engines = Vec::with_capacity(concurrency);
        let mut context_tokens = 0;
        for _ in 0..concurrency {
            let engine = Engine::load(prepared, share(threads, concurrency)).await?;
            context_tokens = engine.context_tokens();
            engines.push(engine);
        }
        Ok(Self {
            engines: Pool::new(engines),
            patience: PATIENCE,
            concurrency,
            context_tokens,
            recommended: Recommended::default(),
        })
    }

    /// Sets the time without progress after which an engine counts as lost; it must exceed the
    /// processing time of the longest prompt.
    pub(crate) fn with_patience(self, patience: Duration) -> Self {
        Self { patience, ..self }
    }

    /// Sets the sampling that its makers recommend, for requests that leave it open.
    pub(crate) fn recommending(self, recommended: Recommended) -> Self {
        Self {
            recommended,
            ..self
        }
    }
}

/// Threads of one of `concurrency` engines that share `threads`.
fn share(threads: usize, concurrency: usize) -> usize {
    if concurrency == 1 {
        return threads;
    }
    (config::compute_threads(threads) / concurrency).max(1)
}

#[async_trait]
impl Generator for MistralGenerator {
    fn context_tokens(&self) -> usize {
        self.context_tokens
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn recommended(&self) -> Recommended {
        self.recommended
    }

    async fn generate(
        &self,
        request: &Request,
        stop: &CancellationToken,
        deltas: Option<mpsc::Sender<String>>,
    ) -> Result<Completion, Error> {
        let start = Instant::now();
        let (request, patience) = (request.clone(), self.patience);
        let stop = stop.child_token();
        let _stop_if_dropped = stop.clone().drop_guard();
        self.engines
            .lend(async move |engine: Arc<Engine>| {
                let answer = engine.answer(&request, start, &stop, deltas, patience);
                answer.await
            })
            .await
    }

    async fn lost(&self) {
        self.engines.lost().await;
    }
}

#[cfg(test)]
mod tests;
