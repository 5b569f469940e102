//! The one way to the language model: as many requests at once as it can answer, duties first.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, histogram};
use poq_worker::{Asker, Slots, Waiting};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::generator::{
    Completion, Error as GeneratorError, Finish, Generator, Recommended, Request,
};

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The queue is full.
    #[error("too many requests are waiting; try again later")]
    Busy,
    /// Its time was up before it was its turn: nothing was computed.
    #[error("its time was up before it was its turn; try again later")]
    Expired,
    /// A duty took its place before it had a word.
    #[error("a duty of the chain took the model; try again later")]
    Preempted,
    /// The node stops.
    #[error("the node is shutting down")]
    ShuttingDown,
    /// The model failed.
    #[error(transparent)]
    Generator(#[from] GeneratorError),
}

/// What guests may use.
#[derive(Clone, Copy, Debug)]
pub struct GuestLimits {
    /// Requests that may wait at once.
    pub queue: usize,
    /// From a request to the end of its answer, which is cut then.
    pub deadline: Duration,
}

/// What comes back for a guest's request. Dropping it gives the request up.
pub type Reply = oneshot::Receiver<Result<Completion, Error>>;

/// A handle on the model; clones share it.
#[derive(Clone)]
pub struct Compute {
    generator: Arc<dyn Generator>,
    slots: Arc<Slots>,
    deadline: Duration,
}

impl Compute {
    /// A handle on `generator`.
    pub fn new(generator: Arc<dyn Generator>, guests: GuestLimits) -> Self {
        Self {
            slots: Slots::new(generator.concurrency(), guests.queue),
            deadline: guests.deadline,
            generator,
        }
    }

    /// Tokens of prompt and answer together that the model can hold.
    pub fn context_tokens(&self) -> usize {
        self.generator.context_tokens()
    }

    /// Settings for what requests leave open.
    pub fn recommended(&self) -> Recommended {
        self.generator.recommended()
    }

    /// Waits until only a new process can answer again.
    pub async fn lost(&self) {
        self.generator.lost().await;
    }

    /// Answers a duty, before all requests of guests and in the place of one that has begun, until `stop` is
    /// cancelled.
    ///
    /// # Errors
    /// [`Error::Expired`] if `stop` is cancelled before the duty's turn, [`Error::Generator`],
    /// [`Error::ShuttingDown`].
    pub async fn duty(
        &self,
        asker: Asker,
        request: Request,
        stop: CancellationToken,
    ) -> Result<Completion, Error> {
        let waiting = self.slots.join(asker).map_err(|_| Error::Busy)?;
        let job = Job {
            request,
            stop,
            deltas: None,
        };
        self.answer(waiting, job).await
    }

    /// Queues a guest's request, whose time runs from now.
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub fn guest(
        &self,
        request: Request,
        deltas: Option<mpsc::Sender<String>>,
    ) -> Result<Reply, Error> {
        let waiting = self.slots.join(Asker::Guest).map_err(|_| Error::Busy)?;
        let stop = CancellationToken::new();
        let job = Job {
            request,
            stop: stop.clone(),
            deltas,
        };
        let (mut reply, receiver) = oneshot::channel();
        let compute = self.clone();
        tokio::spawn(async move {
            let deadline = tokio::time::sleep(compute.deadline);
            let answer = compute.answer(waiting, job);
            tokio::pin!(answer);
            // Stopped, not dropped: tokens that were generated are counted.
            let outcome = tokio::select! {
                biased;
                () = reply.closed() => { stop.cancel(); answer.await }
                () = deadline => { stop.cancel(); answer.await }
                outcome = &mut answer => outcome,
            };
            // Who asked may be gone by now.
            let _ = reply.send(outcome);
        });
        Ok(receiver)
    }

    async fn answer(&self, waiting: Waiting, job: Job) -> Result<Completion, Error> {
        let slot = tokio::select! {
            biased;
            () = job.stop.cancelled() => return Err(Error::Expired),
            slot = waiting.slot() => slot.ok_or(Error::ShuttingDown)?,
        };
        let stop = job.stop.child_token();
        let generation = self.generator.generate(&job.request, &stop, job.deltas);
        tokio::pin!(generation);
        let result = tokio::select! {
            biased;
            result = &mut generation => result,
            // Stopped, not dropped: tokens that were generated are counted.
            () = slot.is_needed() => { stop.cancel(); generation.await }
        };
        let is_cut = slot.is_cut();
        drop(slot);
        match &result {
            Ok(completion) => measure(completion),
            Err(_) => counter!("poq_inference_generation_errors_total").increment(1),
        }
        let mut completion = result?;
        if is_cut && completion.finish == Finish::Cancelled {
            if completion.text.is_empty() {
                return Err(Error::Preempted);
            }
            // As far as its reader is concerned there was no room for more.
            completion.finish = Finish::Length;
        }
        Ok(completion)
    }
}

struct Job {
    request: Request,
    stop: CancellationToken,
    deltas: Option<mpsc::Sender<String>>,
}

fn measure(completion: &Completion) {
    counter!("poq_inference_prompt_tokens_total").increment(completion.prompt_tokens as u64);
    counter!("poq_inference_answer_tokens_total").increment(completion.answer_tokens as u64);
    histogram!("poq_inference_first_token_seconds").record(completion.first_token);
    histogram!("poq_inference_generation_seconds").record(completion.total);
}

#[cfg(test)]
mod tests;
