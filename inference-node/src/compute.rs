//! Access to the language model: runs as many requests at once as it can, duties first.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, histogram};
use poq_worker::{Asker, Slots, Waiting};
use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;

use crate::generator::{
    Completion, Error as GeneratorError, Finish, Generator, Recommended, Request,
};

/// Why a request has no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The queue is full.
    #[error("too many requests are waiting; try again later")]
    Busy,
    /// The time limit passed while it was queued: nothing was computed.
    #[error("the request timed out in the queue; try again later")]
    Expired,
    /// A duty preempted it before its first text.
    #[error("a duty of the chain preempted the request; try again later")]
    Preempted,
    /// The node is stopping.
    #[error("the node is shutting down")]
    ShuttingDown,
    /// The model failed.
    #[error(transparent)]
    Generator(#[from] GeneratorError),
}

/// Limits for guests.
#[derive(Clone, Copy, Debug)]
pub(crate) struct GuestLimits {
    /// Most queued requests.
    pub queue: usize,
    /// Time limit from a request to the end of its answer, which is cut then.
    pub deadline: Duration,
}

/// The pending outcome of a guest's request. Dropping it cancels the request.
pub(crate) type Reply = oneshot::Receiver<Result<Completion, Error>>;

/// A handle on the model; clones share it.
#[derive(Clone)]
pub(crate) struct Compute {
    generator: Arc<dyn Generator>,
    slots: Arc<Slots>,
    deadline: Duration,
}

impl Compute {
    /// A handle on `generator`.
    pub(crate) fn new(generator: Arc<dyn Generator>, guests: GuestLimits) -> Self {
        Self {
            slots: Slots::new(generator.concurrency(), guests.queue),
            deadline: guests.deadline,
            generator,
        }
    }

    /// Maximum tokens of prompt and answer together.
    pub(crate) fn context_tokens(&self) -> usize {
        self.generator.context_tokens()
    }

    /// Default sampling settings.
    pub(crate) fn recommended(&self) -> Recommended {
        self.generator.recommended()
    }

    /// Waits until only a new process can answer again.
    pub(crate) async fn lost(&self) {
        self.generator.lost().await;
    }

    /// Answers a duty until `stop` is cancelled. Duties come before all requests of guests and
    /// preempt running ones.
    ///
    /// # Errors
    /// [`Error::Expired`] if `stop` is cancelled before the duty's turn, [`Error::Generator`],
    /// [`Error::ShuttingDown`].
    pub(crate) async fn duty(
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

    /// Queues a guest's request; its time limit starts now.
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub(crate) fn guest(
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
            // Stopped, not dropped, so that its tokens are counted.
            let outcome = tokio::select! {
                biased;
                () = reply.closed() => { stop.cancel(); answer.await }
                () = deadline => { stop.cancel(); answer.await }
                outcome = &mut answer => outcome,
            };
            // The client may be gone by now.
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
            // Stopped, not dropped, so that its tokens are counted.
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
            // To the reader this looks like the token limit.
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
