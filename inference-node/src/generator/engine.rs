//! One mistral.rs engine on the CPU, which answers one request at a time.
//!
//! mistral.rs 0.8.1 is not safe with more than one sequence in an engine. It decodes sequences of
//! equal length as a batch, but the attention kernel for one new token per sequence keeps its sums
//! in a buffer without room for a batch, so all sequences get the attention of the last one
//! (`flash_attn_cpu_single_q` in `mistralrs-core/src/attention/backends/cpu.rs`, lines 411-413,
//! 451-452 and 537-547). Sequences of different lengths are not batched at all: the scheduler
//! alternates between them.

use std::sync::Arc;
use std::time::{Duration, Instant};

use either::Either;
use mistralrs::core::RequestMessage;
use mistralrs::{
    Model, NormalRequest, Request as EngineRequest, RequestLike, Response, SamplingParams,
    TextMessageRole, TextMessages,
};
use tokio::sync::{Semaphore, mpsc};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::controls::Controls;
use super::ending::Ending;
use super::load::{self, Loaded};
use super::output::Output;
use super::sampler::Sampler;
use super::threads::Enrolment;
use super::weights::Prepared;
use super::{Completion, Error, Finish, Message, Prompt, Request, Sampling, Speaker};

/// Longest time without progress while a model warms up.
const LOADING: Duration = Duration::from_secs(3600);

/// A loaded model with its own thread.
pub(super) struct Engine {
    model: Model,
    context_tokens: usize,
    end_token: u32,
    controls: Controls,
    threads: usize,
}

impl Engine {
    /// Loads prepared weights and warms them up; takes seconds and needs a multi-threaded tokio
    /// runtime. The engine computes with `threads` threads; 0 means one per core.
    ///
    /// # Errors
    /// [`Error::Load`] if mistral.rs refuses the files.
    pub(super) async fn load(prepared: &Prepared, threads: usize) -> Result<Self, Error> {
        let Loaded {
            model,
            context_tokens,
        } = load::load(prepared).await?;
        let engine = Self {
            model,
            context_tokens,
            end_token: prepared.end_token,
            controls: prepared.controls()?,
            threads,
        };
        // Enrols the engine's thread before the first request.
        engine
            .answer(
                &warm_up(),
                Instant::now(),
                &CancellationToken::new(),
                None,
                LOADING,
            )
            .await?;
        Ok(engine)
    }

    /// Maximum tokens of prompt and answer together.
    pub(super) fn context_tokens(&self) -> usize {
        self.context_tokens
    }

    /// Answers a request that was made at `start`. Await it to the end before the next call:
    /// otherwise mistral.rs would still be computing the abandoned request.
    ///
    /// # Errors
    /// As in [`super::Generator::generate`]; [`Error::Lost`] after `patience` without progress.
    pub(super) async fn answer(
        &self,
        request: &Request,
        start: Instant,
        stop: &CancellationToken,
        deltas: Option<mpsc::Sender<String>>,
        patience: Duration,
    ) -> Result<Completion, Error> {
        let prompt = self.as_text(&request.prompt);
        let tokens = in_time(patience, self.tokens(&prompt)).await??;
        let prompt_tokens = tokens.len();
        if prompt_tokens >= self.context_tokens {
            return Err(Error::PromptTooLong {
                prompt: prompt_tokens,
                context: self.context_tokens,
            });
        }
        let ending = Ending::new(self.end_token);
        let sampler = Sampler::new(request.sampling);
        let beginning = self.begin(&prompt, request.max_tokens, &sampler, &ending);
        let mut stream = in_time(patience, beginning).await??;

        // mistral.rs may choose one more token before it ends an answer by length.
        let chosen = || sampler.steps().min(request.max_tokens);
        let mut output = Output::new(request);
        let mut answer_tokens = 0;
        let mut first_token = None;
        let mut finish = None;
        let mut total = None;
        // Read to the end of the stream, so that the engine is done with the answer.
        loop {
            let response = tokio::select! {
                biased;
                () = stop.cancelled(), if finish.is_none() => {
                    finish = Some(Finish::Cancelled);
                    ending.request();
                    continue;
                }
                response = in_time(patience, stream.recv()) => response?,
            };
            let Some(response) = response else { break };
            let mut part = Part::of(response)?;
            total = Some(start.elapsed());
            if finish.is_some() {
                continue;
            }
            if first_token.is_none() && matches!(prompt, Prompt::Text(_)) {
                let space = self.leading_space(&tokens, sampler.first());
                part.text.insert_str(0, &in_time(patience, space).await??);
            }
            first_token = first_token.or(total);
            let at_end = || part.finish.map(|_| chosen());
            answer_tokens = part
                .answer_tokens
                .or_else(at_end)
                .unwrap_or(answer_tokens + 1);
            let text = output.push(&part.text);
            finish = output.finish().or(part.finish);
            if let Some(deltas) = &deltas
                && !super::hand_over(&text, deltas, stop).await
            {
                finish = Some(Finish::Cancelled);
            }
            if finish.is_some() {
                ending.request();
            }
        }
        let rest = output.rest();
        if let Some(deltas) = &deltas {
            super::hand_over(&rest, deltas, stop).await;
        }
        // mistral.rs drops a text that ends inside a character: the last chunk, or the only one.
        if finish.is_none() {
            answer_tokens = chosen();
        }
        let total = total
            .or_else(|| (sampler.steps() > 0).then(|| start.elapsed()))
            .ok_or_else(|| engine_error("it ended without an answer"))?;
        Ok(Completion {
            text: output.into_string(),
            finish: finish.unwrap_or(Finish::Length),
            prompt_tokens,
            answer_tokens,
            first_token: first_token.unwrap_or(total),
            total,
            margins: sampler.margins(),
        })
    }

    /// The prompt with all control texts escaped.
    fn as_text(&self, prompt: &Prompt) -> Prompt {
        let broken = |text: &String| self.controls.broken(text).into_owned();
        match prompt {
            Prompt::Text(text) => Prompt::Text(broken(text)),
            Prompt::Chat(messages) => {
                let message = |message: &Message| Message {
                    speaker: message.speaker,
                    text: broken(&message.text),
                };
                Prompt::Chat(messages.iter().map(message).collect())
            }
        }
    }

    /// Number of tokens of the prompt, after the chat template is applied to a conversation.
    async fn tokens(&self, prompt: &Prompt) -> Result<Vec<u32>, Error> {
        let text = match prompt {
            Prompt::Text(text) => Either::Right(text.clone()),
            Prompt::Chat(messages) => Either::Left(conversation(messages)),
        };
        self.model
            .tokenize(text, None, true, true, None)
            .await
            .map_err(|error| match error {
                mistralrs::error::Error::Inference(reason) => {
                    Error::Conversation(reason.to_string())
                }
                error => engine_error(error),
            })
    }

    /// The white space at the start of an answer, which mistral.rs drops but a text completion
    /// needs. Some tokenizers show it only after another token.
    async fn leading_space(&self, prompt: &[u32], first: Option<u32>) -> Result<String, Error> {
        let before = prompt.last().copied();
        let decode = async |tokens: Vec<u32>| {
            let text = self.model.detokenize(tokens, true).await;
            text.map_err(engine_error)
        };
        let whole = decode(before.into_iter().chain(first).collect()).await?;
        let before = decode(before.into_iter().collect()).await?;
        let added = whole.strip_prefix(&before).unwrap_or_default();
        Ok(added[..added.len() - added.trim_start().len()].to_owned())
    }

    /// Sends the request to mistral.rs, which sends a response for each token.
    async fn begin(
        &self,
        prompt: &Prompt,
        max_tokens: usize,
        sampler: &Sampler,
        ending: &Ending,
    ) -> Result<mpsc::Receiver<Response>, Error> {
        let room = match prompt {
            Prompt::Chat(_) => 1,
            // While mistral.rs waits for room in the channel, it would not answer the query for the
            // leading space.
            Prompt::Text(_) => max_tokens.saturating_add(1),
        };
        let (sender, stream) = mpsc::channel(room.min(Semaphore::MAX_PERMITS));
        let (messages, sampling) = (messages_of_engine(prompt), sampling_of_engine(max_tokens));
        let request = NormalRequest {
            is_streaming: true,
            logits_processors: Some(vec![
                Arc::new(Enrolment::new(self.threads)),
                Arc::new(sampler.clone()),
                Arc::new(ending.clone()),
            ]),
            ..NormalRequest::new_simple(messages, sampling, sender, 0, None, None)
        };
        let engine = self.model.inner().get_sender(None).map_err(engine_error)?;
        let request = EngineRequest::Normal(Box::new(request));
        engine.send(request).await.map_err(engine_error)?;
        Ok(stream)
    }
}

fn conversation(messages: &[Message]) -> TextMessages {
    messages.iter().fold(TextMessages::new(), |all, message| {
        all.add_message(role(message.speaker), &message.text)
    })
}

fn messages_of_engine(prompt: &Prompt) -> RequestMessage {
    match prompt {
        Prompt::Chat(messages) => conversation(messages).take_messages(),
        Prompt::Text(text) => RequestMessage::Completion {
            text: text.clone(),
            echo_prompt: false,
            best_of: None,
        },
    }
}

/// Temperature 0 makes mistral.rs take the most likely token; the sampler leaves it only one.
fn sampling_of_engine(max_tokens: usize) -> SamplingParams {
    SamplingParams {
        temperature: Some(0.0),
        max_len: Some(max_tokens),
        ..SamplingParams::neutral()
    }
}

/// mistral.rs's message for one token.
struct Part {
    text: String,
    /// Number of tokens of the whole answer, if given.
    answer_tokens: Option<usize>,
    finish: Option<Finish>,
}

impl Part {
    fn of(response: Response) -> Result<Self, Error> {
        let (text, reason, answer_tokens) = match response {
            Response::Chunk(mut chunk) => {
                let choice = chunk
                    .choices
                    .pop()
                    .map(|one| (one.delta.content, one.finish_reason));
                let (text, reason) = choice.unwrap_or_default();
                let tokens = chunk.usage.map(|usage| usage.completion_tokens);
                (text.unwrap_or_default(), reason, tokens)
            }
            Response::CompletionChunk(mut chunk) => {
                let choice = chunk.choices.pop().map(|one| (one.text, one.finish_reason));
                let (text, reason) = choice.unwrap_or_default();
                (text, reason, None)
            }
            other => return Err(unexpected(other)),
        };
        let finish = reason.map(|reason| match reason.as_str() {
            "length" => Finish::Length,
            _ => Finish::Stop,
        });
        Ok(Self {
            text,
            answer_tokens,
            finish,
        })
    }
}

/// The engine's next response; an engine that is silent longer than `patience` is lost.
async fn in_time<T>(patience: Duration, answer: impl Future<Output = T>) -> Result<T, Error> {
    timeout(patience, answer).await.map_err(|_| {
        let seconds = patience.as_secs();
        Error::Lost(format!("it made no progress for {seconds} s"))
    })
}

fn warm_up() -> Request {
    Request {
        prompt: Prompt::question("Hello"),
        sampling: Sampling::GREEDY,
        max_tokens: 2,
        max_bytes: usize::MAX,
        stop: Vec::new(),
    }
}

fn role(speaker: Speaker) -> TextMessageRole {
    match speaker {
        Speaker::System => TextMessageRole::System,
        Speaker::User => TextMessageRole::User,
        Speaker::Assistant => TextMessageRole::Assistant,
    }
}

fn engine_error(error: impl std::fmt::Display) -> Error {
    Error::Engine(error.to_string())
}

fn unexpected(response: Response) -> Error {
    Error::Engine(match response {
        Response::InternalError(error) | Response::ValidationError(error) => error.to_string(),
        Response::ModelError(message, _) => message,
        _ => "it sent something other than text".into(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_engine_that_is_silent_is_lost() {
        let patience = Duration::from_millis(10);
        assert_eq!(in_time(patience, async { 7 }).await.unwrap(), 7);
        let silent = in_time(patience, std::future::pending::<()>()).await;
        assert!(matches!(silent, Err(Error::Lost(_))));
    }
}
