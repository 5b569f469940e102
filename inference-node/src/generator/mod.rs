//! The interface of an inference node to a language model, and its mistral.rs implementation.

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
pub(crate) mod stops;
mod text;
mod threads;
pub(crate) mod weights;

use std::time::Duration;

use async_trait::async_trait;
use serde::Serialize;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

pub(crate) use mistral::MistralGenerator;
pub(crate) use sampling::{Asked, Recommended, Sampling};

/// Author of a message in a conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Speaker {
    /// Instructions for the whole conversation.
    System,
    /// The user.
    User,
    /// The model.
    Assistant,
}

/// One message of a conversation.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    /// Its author.
    pub speaker: Speaker,
    /// Its text.
    pub text: String,
}

/// The input of a language model.
#[derive(Clone, Debug)]
pub(crate) enum Prompt {
    /// The conversation so far, oldest message first, never empty.
    Chat(Vec<Message>),
    /// Plain text, without the chat template.
    Text(String),
}

impl Prompt {
    /// One question.
    pub(crate) fn question(text: impl Into<String>) -> Self {
        Self::Chat(vec![Message {
            speaker: Speaker::User,
            text: text.into(),
        }])
    }
}

/// A request to a language model.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    /// The prompt. All of it is read as text: special tokens come only from the chat template.
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
pub(crate) enum Finish {
    /// The model ended its answer, or a stop text followed.
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
pub(crate) struct Completion {
    /// The text, within the request's limits.
    pub text: String,
    /// Why it ended.
    pub finish: Finish,
    /// Tokens of the prompt, chat template included.
    pub prompt_tokens: usize,
    /// Number of generated tokens.
    pub answer_tokens: usize,
    /// Time from the call to the first generated token.
    pub first_token: Duration,
    /// Time from the call to the end.
    pub total: Duration,
    /// For each token, the margin of its logit over the next highest. A greedy answer changes only
    /// if different rounding bridges a margin.
    #[serde(skip)]
    pub margins: Vec<f32>,
}

impl Completion {
    /// Tokens per second after the first token; `None` with fewer than two tokens.
    pub(crate) fn tokens_per_second(&self) -> Option<f64> {
        let seconds = self.total.saturating_sub(self.first_token).as_secs_f64();
        (self.answer_tokens > 1 && seconds > 0.0).then(|| (self.answer_tokens - 1) as f64 / seconds)
    }
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The prompt leaves no room for an answer.
    #[error(
        "the prompt has {prompt} tokens and the model reads at most {context}: shorten the prompt"
    )]
    PromptTooLong {
        /// Tokens of the prompt, chat template included.
        prompt: usize,
        /// Maximum tokens of prompt and answer together.
        context: usize,
    },
    /// The model's chat template rejects the conversation.
    #[error("the model's chat template rejects this conversation: {0}")]
    Conversation(String),
    /// The engine refused or lost the request.
    #[error("the language model failed: {0}")]
    Engine(String),
    /// An engine panicked, failed repeatedly, or made no progress.
    #[error("the language model is lost; restart the process: {0}")]
    Lost(String),
    /// The model could not be loaded.
    #[error("cannot load the language model from {path}: {reason}")]
    Load {
        /// The weights file.
        path: std::path::PathBuf,
        /// The engine's error.
        reason: String,
    },
    /// The weights are missing or damaged, or do not match the chain's registry.
    #[error(transparent)]
    Weights(#[from] weights::Error),
}

/// A language model.
#[async_trait]
pub(crate) trait Generator: Send + Sync {
    /// Maximum tokens of prompt and answer together.
    fn context_tokens(&self) -> usize;

    /// Requests answered at the same time, at least 1; further ones wait.
    fn concurrency(&self) -> usize;

    /// Default sampling settings.
    fn recommended(&self) -> Recommended;

    /// Answers a request.
    ///
    /// Text is sent to `deltas` as it is generated; the concatenation is the answer's text. If
    /// `stop` is cancelled or the receiver of `deltas` is gone, generation ends with the text so
    /// far. Neither this nor dropping the future affects other answers.
    ///
    /// # Errors
    /// [`Error::PromptTooLong`], [`Error::Conversation`], [`Error::Engine`] if the engine fails,
    /// [`Error::Lost`] if there is no engine any more.
    async fn generate(
        &self,
        request: &Request,
        stop: &CancellationToken,
        deltas: Option<mpsc::Sender<String>>,
    ) -> Result<Completion, Error>;

    /// Waits until only a new process can answer again; forever if nothing is lost.
    async fn lost(&self) {
        std::future::pending().await
    }
}

/// Waits until a reader accepts a part of an answer. Returns whether generation continues: not if
/// the reader is gone, nor if `stop` is cancelled while the reader is slow.
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
pub(crate) mod testing;
