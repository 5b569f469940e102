//! A generator without a model, and requests, for tests.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::{Semaphore, mpsc};
use tokio_util::sync::CancellationToken;

use super::stops::Stops;
use super::{
    Completion, Error, Finish, Generator, Prompt, Recommended, Request, Sampling, hand_over,
};

/// A greedy request with one message, for an answer of at most 64 tokens.
pub(crate) fn question(text: &str) -> Request {
    Request {
        prompt: Prompt::question(text),
        sampling: Sampling::GREEDY,
        max_tokens: 64,
        max_bytes: 10_000,
        stop: Vec::new(),
    }
}

/// Repeats the last message word by word; each word costs one permit.
pub(crate) struct Parrot {
    /// Permits for words.
    pub permits: Semaphore,
    /// Prompts in the order of their start.
    pub seen: Mutex<Vec<String>>,
    /// Cancelled once the parrot is lost.
    pub lost: CancellationToken,
    /// Until cancelled, every word fails.
    pub hoarse: CancellationToken,
    concurrency: usize,
}

impl Parrot {
    /// A parrot with `permits` words that answers one request at a time.
    pub(crate) fn new(permits: usize) -> Arc<Self> {
        Self::with_concurrency(permits, 1)
    }

    /// A parrot that answers `concurrency` requests at a time.
    pub(crate) fn with_concurrency(permits: usize, concurrency: usize) -> Arc<Self> {
        Arc::new(Self {
            permits: Semaphore::new(permits),
            seen: Mutex::default(),
            lost: CancellationToken::new(),
            hoarse: CancellationToken::new(),
            concurrency,
        })
    }

    /// Waits until exactly these prompts have been started, in any order.
    pub(crate) async fn has_begun(&self, prompts: &[&str]) {
        let mut expected = prompts.to_vec();
        expected.sort_unstable();
        loop {
            let mut seen = self.seen.lock().unwrap().clone();
            seen.sort_unstable();
            if seen == expected {
                return;
            }
            assert!(seen.len() <= expected.len(), "{seen:?}");
            tokio::task::yield_now().await;
        }
    }
}

#[async_trait]
impl Generator for Parrot {
    fn context_tokens(&self) -> usize {
        100
    }

    fn concurrency(&self) -> usize {
        self.concurrency
    }

    fn recommended(&self) -> Recommended {
        Recommended::default()
    }

    async fn generate(
        &self,
        request: &Request,
        stop: &CancellationToken,
        deltas: Option<mpsc::Sender<String>>,
    ) -> Result<Completion, Error> {
        let prompt = match &request.prompt {
            Prompt::Chat(messages) => &messages.last().unwrap().text,
            Prompt::Text(text) => text,
        };
        let words: Vec<&str> = prompt.split_inclusive(' ').collect();
        if words.len() > 100 {
            return Err(Error::PromptTooLong {
                prompt: words.len(),
                context: 100,
            });
        }
        self.seen.lock().unwrap().push(prompt.clone());
        if self.hoarse.is_cancelled() {
            return Err(Error::Engine("hoarse".into()));
        }
        let mut stops = Stops::new(&request.stop);
        let mut text = String::new();
        let mut finish = Finish::Stop;
        for (index, word) in words.iter().enumerate() {
            if index == request.max_tokens {
                finish = Finish::Length;
                break;
            }
            tokio::select! {
                biased;
                () = stop.cancelled() => { finish = Finish::Cancelled; break; }
                permit = self.permits.acquire() => permit.unwrap().forget(),
            }
            let word = stops.push(word);
            text.push_str(&word);
            if let Some(deltas) = &deltas
                && !hand_over(&word, deltas, stop).await
            {
                finish = Finish::Cancelled;
                break;
            }
            if stops.is_found() {
                break;
            }
        }
        let rest = stops.rest();
        text.push_str(&rest);
        if let Some(deltas) = &deltas {
            hand_over(&rest, deltas, stop).await;
        }
        Ok(Completion {
            answer_tokens: text.split_inclusive(' ').count(),
            text,
            finish,
            prompt_tokens: words.len(),
            first_token: Duration::ZERO,
            total: Duration::ZERO,
            margins: Vec::new(),
        })
    }

    async fn lost(&self) {
        self.lost.cancelled().await;
    }
}

#[tokio::test]
async fn a_reader_that_is_slow_or_gone_ends_the_answer_when_it_must() {
    let (reader, mut parts) = mpsc::channel(1);
    let stop = CancellationToken::new();
    assert!(hand_over("a", &reader, &stop).await);
    assert!(hand_over("", &reader, &stop).await);
    // Without a reader, only `stop` ends the wait.
    let waiting = hand_over("b", &reader, &stop);
    let (goes_on, ()) = tokio::join!(waiting, async { stop.cancel() });
    assert!(!goes_on);

    let stop = CancellationToken::new();
    assert_eq!(parts.recv().await.as_deref(), Some("a"));
    drop(parts);
    assert!(!hand_over("c", &reader, &stop).await);
}
