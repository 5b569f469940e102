//! Access to the language model: runs as many requests at once as it can, duties first.

use std::sync::Arc;
use std::time::Duration;

use metrics::{counter, histogram};
use poq_worker::{Asker, Queue, Slot, Slots, Waiting};
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
    /// A duty or an answer of a session preempted it before its first text.
    #[error("a duty or a session of the chain preempted the request; try again later")]
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

/// Limits for answers of sessions.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct SessionLimits {
    /// Most queued answers.
    pub queue: usize,
    /// Most time in the queue.
    pub start: Duration,
    /// Time limit of an answer from its start, which is cut then.
    pub deadline: Duration,
    /// Time after which a waiting duty cuts an answer.
    pub duty_wait: Duration,
}

/// The pending outcome of a guest's request. Dropping it cancels the request.
pub(crate) type Reply = oneshot::Receiver<Result<Completion, Error>>;

/// A handle on the model; clones share it.
#[derive(Clone)]
pub(crate) struct Compute {
    generator: Arc<dyn Generator>,
    slots: Arc<Slots>,
    deadline: Duration,
    /// Absent if the node has no sessions.
    sessions: Option<SessionLimits>,
}

impl Compute {
    /// A handle on `generator`.
    pub(crate) fn new(generator: Arc<dyn Generator>, guests: GuestLimits) -> Self {
        let queue = Queue {
            guests: guests.queue,
            sessions: 0,
        };
        Self {
            slots: Slots::new(generator.concurrency(), queue),
            deadline: guests.deadline,
            generator,
            sessions: None,
        }
    }

    /// A handle on `generator` that answers sessions too.
    pub(crate) fn with_sessions(
        generator: Arc<dyn Generator>,
        guests: GuestLimits,
        sessions: SessionLimits,
    ) -> Self {
        let queue = Queue {
            guests: guests.queue,
            sessions: sessions.queue,
        };
        Self {
            slots: Slots::new(generator.concurrency(), queue),
            sessions: Some(sessions),
            ..Self::new(generator, guests)
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

    /// Answers a duty until `stop` is cancelled. Duties come before all other requests. They preempt
    /// running ones of guests at once, and those of sessions after a while.
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
        let mut waiting = self.slots.join(asker).map_err(|_| Error::Busy)?;
        if let Some(sessions) = &self.sessions {
            waiting = waiting.pressing_after(sessions.duty_wait);
        }
        let job = Job {
            request,
            stop,
            deltas: None,
        };
        self.answer(waiting, job).await
    }

    /// Takes a place in the queue for an answer of a session.
    ///
    /// # Errors
    /// [`Error::Busy`].
    pub(crate) fn reserve(&self) -> Result<Waiting, Error> {
        self.slots.join(Asker::Session).map_err(|_| Error::Busy)
    }

    /// Answers a request of a session, whose place `waiting` is, until `stop` is cancelled. All text
    /// goes to `deltas`, whose receiver must stay.
    ///
    /// # Errors
    /// [`Error::Expired`] if it could not begin in time or `stop` is cancelled before,
    /// [`Error::Preempted`], [`Error::Generator`], [`Error::ShuttingDown`].
    pub(crate) async fn session(
        &self,
        waiting: Waiting,
        request: Request,
        stop: CancellationToken,
        deltas: mpsc::Sender<String>,
    ) -> Result<Completion, Error> {
        let limits = self.sessions.unwrap_or_default();
        let slot = tokio::select! {
            biased;
            () = stop.cancelled() => return Err(Error::Expired),
            slot = waiting.slot() => slot.ok_or(Error::ShuttingDown)?,
            () = tokio::time::sleep(limits.start) => return Err(Error::Expired),
        };
        let job = Job {
            request,
            stop: stop.child_token(),
            deltas: Some(deltas),
        };
        let end = job.stop.clone();
        let answer = self.generate(slot, job);
        tokio::pin!(answer);
        tokio::select! {
            biased;
            outcome = &mut answer => outcome,
            // Stopped, not dropped: the text so far is the answer.
            () = tokio::time::sleep(limits.deadline) => { end.cancel(); answer.await }
        }
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
        self.generate(slot, job).await
    }

    async fn generate(&self, slot: Slot, job: Job) -> Result<Completion, Error> {
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
