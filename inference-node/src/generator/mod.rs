//! What an inference node needs of a language model, and the mistral.rs implementation of it.

#[cfg(test)]
mod checkpoints;
mod controls;
mod ending;
mod engine;
mod load;
mod mistral;
mod output;
mod pool;
mod sampler;
mod sampling;
pub mod stops;
mod text;
mod threads;
pub mod weights;

use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub use mistral::MistralGenerator;
pub use sampling::{Asked, Recommended, Sampling};

/// Who said a message of a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Speaker {
    /// Instructions for the whole conversation.
    System,
    /// The one who asks.
    User,
    /// The model.
    Assistant,
}

/// One message of a conversation.
#[derive(Clone, Debug)]
pub struct Message {
    /// Who said it.
    pub speaker: Speaker,
    /// What was said.
    pub text: String,
}

/// What a language model goes on from.
#[derive(Clone, Debug)]
pub enum Prompt {
    /// The conversation so far, oldest message first, never empty.
    Chat(Vec<Message>),
    /// A text as it is, without the chat template.
    Text(String),
}

impl Prompt {
    /// One question.
    pub fn question(text: impl Into<String>) -> Self {
        Self::Chat(vec![Message {
            speaker: Speaker::User,
            text: text.into(),
        }])
    }
}

/// A question for a language model.
#[derive(Clone, Debug)]
pub struct Request {
    /// What is asked. All of it is read as text: special tokens come from the chat template only.
    pub prompt: Prompt,
    /// How tokens are chosen.
    pub sampling: Sampling,
    /// Most tokens to generate, at least 1.
    pub max_tokens: usize,
    /// Most bytes of UTF-8 to return; the text is cut at a character boundary.
    pub max_bytes: usize,
    /// The answer ends before the first of these texts.
    pub stop: Vec<String>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finish {
    /// The model said all it had to say, or came to a text that it was to stop before.
    Stop,
    /// The token limit or the end of the context was reached.
    Length,
    /// The byte limit was reached.
    Bytes,
    /// The caller stopped it; the text so far is valid.
    Cancelled,
}

/// A generated answer.
#[derive(Clone, Debug, Serialize)]
pub struct Completion {
    /// The text, within the request's limits.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Tokens of the prompt, chat template included.
    pub prompt_tokens: usize,
    /// Generated tokens.
    pub answer_tokens: usize,
    /// From the call to the first generated token.
    pub first_token: Duration,
    /// From the call to the end.
    pub total: Duration,
    /// Of each token, how far its logit was above that of the next one: what arithmetic that
    /// rounds differently would have to bridge for another greedy answer.
    #[serde(skip)]
    pub margins: Vec<f32>,
}

impl Completion {
    /// Tokens per second after the first token; none with fewer than two tokens.
    pub fn tokens_per_second(&self) -> Option<f64> {
        let seconds = self.total.saturating_sub(self.first_token).as_secs_f64();
        (self.answer_tokens > 1 && seconds > 0.0).then(|| (self.answer_tokens - 1) as f64 / seconds)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The prompt leaves no room for an answer.
    #[error(
        "the prompt has {prompt} tokens and the model reads at most {context}: shorten the prompt"
    )]
    PromptTooLong {
        /// Tokens of the prompt, chat template included.
        prompt: usize,
        /// Tokens of prompt and answer together that the model can hold.
        context: usize,
    },
    /// The model's chat template does not take the conversation.
    #[error("the model does not take this conversation: {0}")]
    Conversation(String),
    /// The engine refused or lost the request.
    #[error("the language model failed: {0}")]
    Engine(String),
    /// An engine panicked, failed again and again, or gave no sign of life.
    #[error("the language model is lost and needs a new process: {0}")]
    Lost(String),
    /// The model could not be loaded.
    #[error("cannot load the language model from {path}: {reason}")]
    Load {
        /// The weights file.
        path: std::path::PathBuf,
        /// What the engine says.
        reason: String,
    },
    /// The weights are missing, damaged or others than the chain's registry names.
    #[error(transparent)]
    Weights(#[from] weights::Error),
}

/// A language model.
#[async_trait]
pub trait Generator: Send + Sync {
    /// Tokens of prompt and answer together that the model can hold.
    fn context_tokens(&self) -> usize;

    /// Requests that are answered at the same time, at least 1; more wait.
    fn concurrency(&self) -> usize;

    /// Settings for what requests leave open.
    fn recommended(&self) -> Recommended;

    /// Answers a request.
    ///
    /// Text is sent to `deltas` as it is generated; their concatenation is the answer's text.
    /// When `stop` is cancelled or the receiver of `deltas` is gone, generation ends with what
    /// there is. Other answers do not notice, nor when the future is dropped.
    ///
    /// # Errors
    /// [`Error::PromptTooLong`], [`Error::Conversation`], [`Error::Engine`] when the engine fails, [`Error::Lost`] when there is
    /// no engine any more.
    async fn generate(
        &self,
        request: &Request,
        stop: &CancellationToken,
        deltas: Option<mpsc::Sender<String>>,
    ) -> Result<Completion, Error>;

    /// Waits until only a new process can answer again; for ever if nothing is lost.
    async fn lost(&self) {
        std::future::pending().await
    }
}

/// Waits until a reader takes a part of an answer. Tells whether generation goes on: not when the
/// reader is gone, and not when `stop` is cancelled while the reader is slow.
async fn hand_over(part: &str, reader: &mpsc::Sender<String>, stop: &CancellationToken) -> bool {
    if part.is_empty() {
        return true;
    }
    tokio::select! {
        biased;
        taken = reader.send(part.to_owned()) => taken.is_ok(),
        () = stop.cancelled() => false,
    }
}

#[cfg(test)]
pub mod testing;
