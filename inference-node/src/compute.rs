//! The one way to the language model: requests run one after the other, duties first.

use std::sync::Arc;

use metrics::{counter, histogram};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::generator::{Completion, Error as GeneratorError, Generator, Request};

/// Why a request got no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The queue is full.
    #[error("too many requests are waiting; try again later")]
    Busy,
    /// The node stops.
    #[error("the node is shutting down")]
    ShuttingDown,
    /// The model failed.
    #[error(transparent)]
    Generator(#[from] GeneratorError),
}

/// What comes back for a request.
pub type Reply = oneshot::Receiver<Result<Completion, GeneratorError>>;

struct Job {
    request: Request,
    stop: CancellationToken,
    deltas: Option<mpsc::Sender<String>>,
    reply: oneshot::Sender<Result<Completion, GeneratorError>>,
}

/// A handle on the queue; clones share it.
#[derive(Clone)]
pub struct Compute {
    duties: mpsc::Sender<Job>,
    guests: mpsc::Sender<Job>,
    context_tokens: usize,
}

impl Compute {
    /// Starts the queue, in which at most `guests` requests beside the duties wait. It ends when
    /// all handles are gone.
    pub fn start(generator: Arc<dyn Generator>, guests: usize) -> (Self, JoinHandle<()>) {
        let context_tokens = generator.context_tokens();
        // The worker keeps its own queue by due height and sends one duty at a time.
        let (duties, duty_jobs) = mpsc::channel(1);
        let (guests, guest_jobs) = mpsc::channel(guests);
        let runner = tokio::spawn(run(generator, duty_jobs, guest_jobs));
        (
            Self {
                duties,
                guests,
                context_tokens,
            },
            runner,
        )
    }

    /// Tokens of prompt and answer together that the model can hold.
    pub fn context_tokens(&self) -> usize {
        self.context_tokens
    }

    /// Answers a duty, before all requests of guests that have not begun.
    ///
    /// # Errors
    /// [`Error::Generator`], [`Error::ShuttingDown`].
    pub async fn duty(
        &self,
        request: Request,
        stop: CancellationToken,
    ) -> Result<Completion, Error> {
        let (job, reply) = job(request, stop, None);
        self.duties
            .send(job)
            .await
            .map_err(|_| Error::ShuttingDown)?;
        Ok(reply.await.map_err(|_| Error::ShuttingDown)??)
    }

    /// Queues a guest's request. Dropping the reply gives it up.
    ///
    /// # Errors
    /// [`Error::Busy`], [`Error::ShuttingDown`].
    pub fn guest(
        &self,
        request: Request,
        deltas: Option<mpsc::Sender<String>>,
    ) -> Result<Reply, Error> {
        let (job, reply) = job(request, CancellationToken::new(), deltas);
        self.guests.try_send(job).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => Error::Busy,
            mpsc::error::TrySendError::Closed(_) => Error::ShuttingDown,
        })?;
        Ok(reply)
    }
}

fn job(
    request: Request,
    stop: CancellationToken,
    deltas: Option<mpsc::Sender<String>>,
) -> (Job, Reply) {
    let (reply, receiver) = oneshot::channel();
    (
        Job {
            request,
            stop,
            deltas,
            reply,
        },
        receiver,
    )
}

async fn run(
    generator: Arc<dyn Generator>,
    mut duties: mpsc::Receiver<Job>,
    mut guests: mpsc::Receiver<Job>,
) {
    loop {
        let job = tokio::select! {
            biased;
            Some(job) = duties.recv() => job,
            Some(job) = guests.recv() => job,
            else => return,
        };
        if !job.reply.is_closed() {
            answer(&*generator, job).await;
        }
    }
}

async fn answer(generator: &dyn Generator, mut job: Job) {
    let generation = generator.generate(&job.request, &job.stop, job.deltas.take());
    tokio::pin!(generation);
    // The generation is stopped, never dropped: the engine may be waiting for it to listen.
    let result = tokio::select! {
        result = &mut generation => result,
        () = job.reply.closed() => {
            job.stop.cancel();
            generation.await
        }
    };
    match &result {
        Ok(completion) => measure(completion),
        Err(_) => counter!("poq_inference_generation_errors_total").increment(1),
    }
    // Who asked may be gone by now.
    let _ = job.reply.send(result);
}

fn measure(completion: &Completion) {
    counter!("poq_inference_prompt_tokens_total").increment(completion.prompt_tokens as u64);
    counter!("poq_inference_answer_tokens_total").increment(completion.answer_tokens as u64);
    histogram!("poq_inference_first_token_seconds").record(completion.first_token);
    histogram!("poq_inference_generation_seconds").record(completion.total);
}

#[cfg(test)]
pub mod tests {
    use std::sync::Mutex;
    use std::time::Duration;

    use async_trait::async_trait;
    use tokio::sync::Semaphore;

    use super::*;
    use crate::generator::{Finish, Message, Sampling, Speaker};

    /// Repeats the last message word by word; a word costs one permit.
    pub struct Parrot {
        pub permits: Semaphore,
        pub seen: Mutex<Vec<String>>,
    }

    impl Parrot {
        pub fn new(permits: usize) -> Arc<Self> {
            Arc::new(Self {
                permits: Semaphore::new(permits),
                seen: Mutex::default(),
            })
        }
    }

    #[async_trait]
    impl Generator for Parrot {
        fn context_tokens(&self) -> usize {
            100
        }

        async fn generate(
            &self,
            request: &Request,
            stop: &CancellationToken,
            deltas: Option<mpsc::Sender<String>>,
        ) -> Result<Completion, GeneratorError> {
            let prompt = &request.messages.last().unwrap().text;
            let words: Vec<&str> = prompt.split_inclusive(' ').collect();
            if words.len() > 100 {
                return Err(GeneratorError::PromptTooLong {
                    prompt: words.len(),
                    context: 100,
                });
            }
            self.seen.lock().unwrap().push(prompt.clone());
            let mut text = String::new();
            let mut finish = Finish::Stop;
            for (index, word) in words.iter().enumerate() {
                if index == request.max_tokens {
                    finish = Finish::Length;
                    break;
                }
                tokio::select! {
                    permit = self.permits.acquire() => permit.unwrap().forget(),
                    () = stop.cancelled() => { finish = Finish::Cancelled; break; }
                }
                text.push_str(word);
                if let Some(deltas) = &deltas {
                    let _ = deltas.send((*word).to_owned()).await;
                }
            }
            Ok(Completion {
                answer_tokens: text.split_inclusive(' ').count(),
                text,
                finish,
                prompt_tokens: words.len(),
                first_token: Duration::ZERO,
                total: Duration::ZERO,
            })
        }
    }

    pub fn request(text: &str) -> Request {
        Request {
            messages: vec![Message {
                speaker: Speaker::User,
                text: text.into(),
            }],
            sampling: Sampling {
                temperature: 0.0,
                top_p: 1.0,
                seed: 0,
            },
            max_tokens: 50,
            max_bytes: 1000,
        }
    }

    async fn until(condition: impl Fn() -> bool) {
        while !condition() {
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn duties_overtake_waiting_guests() {
        let parrot = Parrot::new(0);
        let (compute, _) = Compute::start(parrot.clone(), 4);
        let first = compute.guest(request("first"), None).unwrap();
        until(|| parrot.seen.lock().unwrap().len() == 1).await;
        let second = compute.guest(request("second"), None).unwrap();
        let duty = tokio::spawn({
            let compute = compute.clone();
            async move {
                compute
                    .duty(request("duty"), CancellationToken::new())
                    .await
            }
        });
        until(|| compute.duties.capacity() == 0).await;
        parrot.permits.add_permits(3);
        assert_eq!(first.await.unwrap().unwrap().text, "first");
        assert_eq!(duty.await.unwrap().unwrap().text, "duty");
        assert_eq!(second.await.unwrap().unwrap().text, "second");
        assert_eq!(*parrot.seen.lock().unwrap(), ["first", "duty", "second"]);
    }

    #[tokio::test]
    async fn a_full_queue_refuses_guests() {
        let parrot = Parrot::new(0);
        let (compute, _) = Compute::start(parrot.clone(), 1);
        let _running = compute.guest(request("running"), None).unwrap();
        until(|| parrot.seen.lock().unwrap().len() == 1).await;
        let _waiting = compute.guest(request("waiting"), None).unwrap();
        assert!(matches!(
            compute.guest(request("more"), None),
            Err(Error::Busy)
        ));
    }

    #[tokio::test]
    async fn who_left_is_not_answered() {
        let parrot = Parrot::new(0);
        let (compute, _) = Compute::start(parrot.clone(), 4);
        let running = compute.guest(request("running"), None).unwrap();
        until(|| parrot.seen.lock().unwrap().len() == 1).await;
        drop(compute.guest(request("waiting"), None).unwrap());
        let last = compute.guest(request("last"), None).unwrap();
        drop(running);
        // One for each: the abandoned one may take its word before it hears that it is over.
        parrot.permits.add_permits(2);
        assert_eq!(last.await.unwrap().unwrap().text, "last");
        assert_eq!(*parrot.seen.lock().unwrap(), ["running", "last"]);
    }

    #[tokio::test]
    async fn a_stopped_duty_returns_what_there_is() {
        let parrot = Parrot::new(1);
        let (compute, _) = Compute::start(parrot.clone(), 4);
        let stop = CancellationToken::new();
        let duty = tokio::spawn({
            let (compute, stop) = (compute.clone(), stop.clone());
            async move { compute.duty(request("one two"), stop).await }
        });
        until(|| parrot.permits.available_permits() == 0).await;
        stop.cancel();
        let completion = duty.await.unwrap().unwrap();
        assert_eq!(
            (completion.text.as_str(), completion.finish),
            ("one ", Finish::Cancelled)
        );
    }
}
