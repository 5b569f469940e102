//! One mistral.rs engine on the CPU, which answers one request at a time.
//!
//! More than one sequence in an engine is not safe with mistral.rs 0.8.1: sequences of equal
//! length are decoded as a batch, and the attention kernel for one new token a sequence keeps its
//! sums in a buffer without room for a batch, so that all of them get the attention of the last
//! (`flash_attn_cpu_single_q` in `mistralrs-core/src/attention/backends/cpu.rs`, lines 411-413,
//! 451-452 and 537-547). Sequences of different lengths are not batched at all: its scheduler
//! lets them take turns.

use std::sync::Arc;
use std::time::{Duration, Instant};

use mistralrs::{Model, RequestBuilder, Response, SamplingParams, TextMessageRole, TextMessages};
use tokio::sync::mpsc;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::ending::Ending;
use super::load::{self, Loaded};
use super::sampler::Sampler;
use super::text::BoundedText;
use super::threads::Enrolment;
use super::weights::Prepared;
use super::{Completion, Error, Finish, Message, Request, Sampling, Speaker};

/// Longest time without a sign of life while a model warms up.
const LOADING: Duration = Duration::from_secs(3600);

/// A loaded model with a thread of its own.
pub struct Engine {
    model: Model,
    context_tokens: usize,
    end_token: u32,
    threads: usize,
}

impl Engine {
    /// Loads prepared weights and warms them up; takes seconds and needs a multi-threaded tokio
    /// runtime. The engine computes with `threads` threads; 0 is one per core.
    ///
    /// # Errors
    /// [`Error::Load`] if mistral.rs does not take the file.
    pub async fn load(prepared: &Prepared, threads: usize) -> Result<Self, Error> {
        let Loaded {
            model,
            context_tokens,
        } = load::load(prepared).await?;
        let engine = Self {
            model,
            context_tokens,
            end_token: prepared.end_token,
            threads,
        };
        // Enrols the engine's thread before anybody waits for an answer.
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

    /// Tokens of prompt and answer together that the model can hold.
    pub fn context_tokens(&self) -> usize {
        self.context_tokens
    }

    /// Answers a request that was made at `start`. Must be awaited to its end before the next
    /// call: what mistral.rs still computes for an abandoned one would meet the next one.
    ///
    /// # Errors
    /// As [`super::Generator::generate`]; [`Error::Lost`] after `patience` without a sign of life.
    pub async fn answer(
        &self,
        request: &Request,
        start: Instant,
        stop: &CancellationToken,
        deltas: Option<mpsc::Sender<String>>,
        patience: Duration,
    ) -> Result<Completion, Error> {
        let prompt_tokens = in_time(patience, self.prompt_tokens(&request.messages)).await??;
        if prompt_tokens >= self.context_tokens {
            return Err(Error::PromptTooLong {
                prompt: prompt_tokens,
                context: self.context_tokens,
            });
        }
        let ending = Ending::new(self.end_token);
        let sampler = Sampler::new(request.sampling);
        let request_of_engine = self.engine_request(request, &sampler, &ending);
        let stream = self.model.stream_chat_request(request_of_engine);
        let mut stream = in_time(patience, stream).await?.map_err(engine_error)?;

        let mut text = BoundedText::new(request.max_bytes);
        let mut answer_tokens = 0;
        let mut first_token = None;
        let mut finish = None;
        let mut total = None;
        // To the end of the stream, so that the engine is done with the answer.
        loop {
            let response = tokio::select! {
                biased;
                () = stop.cancelled(), if finish.is_none() => {
                    finish = Some(Finish::Cancelled);
                    ending.request();
                    continue;
                }
                response = in_time(patience, stream.next()) => response?,
            };
            let chunk = match response {
                Some(Response::Chunk(chunk)) => chunk,
                Some(other) => return Err(unexpected(other)),
                None => break,
            };
            total = Some(start.elapsed());
            if finish.is_some() {
                continue;
            }
            answer_tokens += 1;
            first_token = first_token.or(total);
            if let Some(usage) = &chunk.usage {
                answer_tokens = usage.completion_tokens;
            }
            for choice in &chunk.choices {
                let delta = text.push(choice.delta.content.as_deref().unwrap_or_default());
                if text.is_full() {
                    finish = Some(Finish::Bytes);
                } else if let Some(reason) = &choice.finish_reason {
                    let is_cut = reason == "length";
                    finish = Some(if is_cut { Finish::Length } else { Finish::Stop });
                }
                if let Some(deltas) = &deltas
                    && !super::hand_over(delta, deltas, stop).await
                {
                    finish = Some(Finish::Cancelled);
                }
            }
            if finish.is_some() {
                ending.request();
            }
        }
        let total = total.ok_or_else(|| engine_error("it ended the answer without a word"))?;
        Ok(Completion {
            text: text.into_string(),
            // mistral.rs drops the last chunk when the text ends inside a character.
            finish: finish.unwrap_or(Finish::Length),
            prompt_tokens,
            answer_tokens,
            first_token: first_token.unwrap_or(total),
            total,
            margins: sampler.margins(),
        })
    }

    /// Tokens of the prompt once the chat template is applied.
    async fn prompt_tokens(&self, messages: &[Message]) -> Result<usize, Error> {
        let messages = messages.iter().fold(TextMessages::new(), |all, message| {
            all.add_message(role(message.speaker), &message.text)
        });
        self.model
            .tokenize(either::Either::Left(messages), None, true, true, None)
            .await
            .map(|tokens| tokens.len())
            .map_err(engine_error)
    }

    fn engine_request(
        &self,
        request: &Request,
        sampler: &Sampler,
        ending: &Ending,
    ) -> RequestBuilder {
        // Temperature 0 is what makes mistral.rs take the most likely token; the sampler leaves it
        // no other.
        let sampling = SamplingParams {
            temperature: Some(0.0),
            max_len: Some(request.max_tokens),
            ..SamplingParams::neutral()
        };
        let builder = RequestBuilder::new()
            .set_sampling(sampling)
            .add_logits_processor(Arc::new(Enrolment::new(self.threads)))
            .add_logits_processor(Arc::new(sampler.clone()))
            .add_logits_processor(Arc::new(ending.clone()));
        request.messages.iter().fold(builder, |builder, message| {
            builder.add_message(role(message.speaker), &message.text)
        })
    }
}

/// What an engine says within `patience`; one that is silent longer is lost.
async fn in_time<T>(patience: Duration, answer: impl Future<Output = T>) -> Result<T, Error> {
    timeout(patience, answer).await.map_err(|_| {
        let seconds = patience.as_secs();
        Error::Lost(format!("it gave no sign of life for {seconds} s"))
    })
}

fn warm_up() -> Request {
    Request {
        messages: vec![Message {
            speaker: Speaker::User,
            text: "Hello".into(),
        }],
        sampling: Sampling::GREEDY,
        max_tokens: 2,
        max_bytes: usize::MAX,
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
        _ => "it sent something else than text".into(),
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
