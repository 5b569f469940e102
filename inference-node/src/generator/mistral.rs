//! The language model on mistral.rs, on the CPU: engines side by side.

use std::time::Instant;

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::engine::Engine;
use super::weights::Prepared;
use super::{Completion, Error, Generator, Recommended, Request};
use crate::config;

/// A model loaded into mistral.rs once for every answer that is given at the same time.
pub struct MistralGenerator {
    /// Engines without a request; each goes back when it is done.
    idle: (
        mpsc::UnboundedSender<Engine>,
        Mutex<mpsc::UnboundedReceiver<Engine>>,
    ),
    concurrency: usize,
    context_tokens: usize,
    recommended: Recommended,
}

impl MistralGenerator {
    /// Loads prepared weights `concurrency` times, at least once; takes seconds each and needs a
    /// multi-threaded tokio runtime. The engines share `threads` threads; 0 is one per core.
    ///
    /// # Errors
    /// [`Error::Load`] if mistral.rs does not take the file.
    pub async fn load(
        prepared: &Prepared,
        concurrency: usize,
        threads: usize,
    ) -> Result<Self, Error> {
        let concurrency = concurrency.max(1);
        let (sender, idle) = mpsc::unbounded_channel();
        let mut context_tokens = 0;
        for _ in 0..concurrency {
            let engine = Engine::load(prepared, share(threads, concurrency)).await?;
            context_tokens = engine.context_tokens();
            // The receiver is right here.
            let _ = sender.send(engine);
        }
        Ok(Self {
            idle: (sender, Mutex::new(idle)),
            concurrency,
            context_tokens,
            recommended: Recommended::default(),
        })
    }

    /// The same, with what its makers recommend for requests that leave it open.
    pub fn recommending(self, recommended: Recommended) -> Self {
        Self {
            recommended,
            ..self
        }
    }
}

/// Threads of one engine out of `concurrency` that share `threads`.
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
        let (done, idle) = &self.idle;
        let engine = idle.lock().await.recv().await;
        let engine = engine.ok_or_else(|| Error::Engine("it is gone".into()))?;

        let (request, done, stop) = (request.clone(), done.clone(), stop.child_token());
        let _stop_if_dropped = stop.clone().drop_guard();
        // In a task of its own, so that an engine ends its answer before it gets the next one,
        // also when nobody waits for this one any more.
        let answer = tokio::spawn(async move {
            let result = engine.answer(&request, start, &stop, deltas).await;
            // The generator is gone only at shutdown.
            let _ = done.send(engine);
            result
        });
        answer
            .await
            .unwrap_or_else(|error| Err(Error::Engine(error.to_string())))
    }
}

#[cfg(test)]
mod tests;
