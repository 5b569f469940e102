//! The language model on mistral.rs, on the CPU.

use std::sync::Arc;
use std::time::Instant;

use async_trait::async_trait;
use mistralrs::{Model, RequestBuilder, Response, SamplingParams, TextMessageRole, TextMessages};
use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::ending::Ending;
use super::load::{self, Loaded};
use super::sampler::SeededSampler;
use super::text::BoundedText;
use super::threads::Enrolment;
use super::weights::Prepared;
use super::{Completion, Error, Finish, Generator, Message, Request, Sampling, Speaker};

/// A GGUF model loaded into mistral.rs.
pub struct MistralGenerator {
    model: Model,
    context_tokens: usize,
    end_token: u32,
    /// mistral.rs mixes up the attention caches of sequences that overlap on this path.
    turn: Mutex<()>,
}

impl MistralGenerator {
    /// Loads prepared weights; takes seconds and needs a multi-threaded tokio runtime.
    ///
    /// # Errors
    /// [`Error::Load`] if mistral.rs does not take the file.
    pub async fn load(prepared: &Prepared) -> Result<Self, Error> {
        let Loaded {
            model,
            context_tokens,
        } = load::load(prepared).await?;
        let generator = Self {
            model,
            context_tokens,
            end_token: prepared.end_token,
            turn: Mutex::new(()),
        };
        // Enrols the engine's thread before anybody waits for an answer.
        generator
            .generate(&warm_up(), &CancellationToken::new(), None)
            .await?;
        Ok(generator)
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
}

#[async_trait]
impl Generator for MistralGenerator {
    fn context_tokens(&self) -> usize {
        self.context_tokens
    }

    async fn generate(
        &self,
        request: &Request,
        stop: &CancellationToken,
        deltas: Option<mpsc::Sender<String>>,
    ) -> Result<Completion, Error> {
        let start = Instant::now();
        let _turn = self.turn.lock().await;
        let prompt_tokens = self.prompt_tokens(&request.messages).await?;
        if prompt_tokens >= self.context_tokens {
            return Err(Error::PromptTooLong {
                prompt: prompt_tokens,
                context: self.context_tokens,
            });
        }
        let ending = Ending::new(self.end_token);
        let mut stream = self
            .model
            .stream_chat_request(engine_request(request, ending.clone()))
            .await
            .map_err(engine_error)?;

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
                response = stream.next() => response,
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
                if !delta.is_empty()
                    && let Some(deltas) = &deltas
                    && deltas.send(delta.to_owned()).await.is_err()
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
        })
    }
}

fn warm_up() -> Request {
    Request {
        messages: vec![Message {
            speaker: Speaker::User,
            text: "Hello".into(),
        }],
        sampling: Sampling {
            temperature: 0.0,
            top_p: 1.0,
            seed: 0,
        },
        max_tokens: 2,
        max_bytes: usize::MAX,
    }
}

fn engine_request(request: &Request, ending: Ending) -> RequestBuilder {
    // Temperature 0 is what makes mistral.rs take the most likely token; the seeded sampler
    // leaves it no other.
    let sampling = SamplingParams {
        temperature: Some(0.0),
        max_len: Some(request.max_tokens),
        ..SamplingParams::neutral()
    };
    let mut builder = RequestBuilder::new()
        .set_sampling(sampling)
        .add_logits_processor(Arc::new(Enrolment));
    if request.sampling.temperature > 0.0 {
        builder = builder.add_logits_processor(Arc::new(SeededSampler::new(request.sampling)));
    }
    builder = builder.add_logits_processor(Arc::new(ending));
    request.messages.iter().fold(builder, |builder, message| {
        builder.add_message(role(message.speaker), &message.text)
    })
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
    use tokio::sync::OnceCell;

    use super::super::weights::{self, WeightType};
    use super::*;
    use crate::config;

    /// One model for all tests: loading takes seconds and half a gigabyte.
    async fn model() -> &'static MistralGenerator {
        static MODEL: OnceCell<MistralGenerator> = OnceCell::const_new();
        MODEL
            .get_or_init(|| async {
                let file = config::default_model_file();
                let digest = weights::digest(&file).unwrap_or_else(|error| panic!("{error}"));
                let converted = config::cache().join("converted");
                let prepared =
                    weights::prepare(&file, &digest, &converted, WeightType::default()).unwrap();
                MistralGenerator::load(&prepared).await.unwrap()
            })
            .await
    }

    fn question(text: &str) -> Request {
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
            max_tokens: 64,
            max_bytes: 10_000,
        }
    }

    async fn ask(request: &Request) -> Completion {
        model()
            .await
            .generate(request, &CancellationToken::new(), None)
            .await
            .unwrap()
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn answers_are_sensible() {
        for (prompt, word) in [
            ("What is the capital of France?", "Paris"),
            ("How many days are in a week?", "7"),
            ("What is the chemical formula of water?", "H2O"),
            ("Which planet is known as the Red Planet?", "Mars"),
        ] {
            let completion = ask(&question(prompt)).await;
            assert!(
                completion.text.contains(word),
                "{prompt} {}",
                completion.text
            );
            assert!(completion.prompt_tokens > 20 && completion.answer_tokens > 2);
        }
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn greedy_answers_repeat_and_end_by_themselves() {
        let request = question("What is the capital of France?");
        let first = ask(&request).await;
        assert_eq!(first.finish, Finish::Stop);
        assert_eq!(ask(&request).await.text, first.text);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn the_seed_decides() {
        let mut request = question("Tell me a story about a fox.");
        request.max_tokens = 16;
        let mut tell = async |seed| {
            request.sampling = Sampling {
                temperature: 1.0,
                top_p: 0.95,
                seed,
            };
            ask(&request).await.text
        };
        let first = tell(1).await;
        assert_ne!(tell(2).await, first);
        assert_eq!(tell(1).await, first);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn limits_cut_the_answer() {
        let mut request = question("Count from one to fifty in words.");
        request.max_tokens = 5;
        let completion = ask(&request).await;
        assert_eq!(
            (completion.finish, completion.answer_tokens),
            (Finish::Length, 5)
        );

        request.max_tokens = 64;
        request.max_bytes = 12;
        let completion = ask(&request).await;
        assert_eq!(
            (completion.finish, completion.text.len()),
            (Finish::Bytes, 12)
        );
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_stopped_answer_leaves_the_next_one_alone() {
        let request = question("What is the capital of France?");
        let expected = ask(&request).await.text;

        let stop = CancellationToken::new();
        let (sender, mut deltas) = mpsc::channel(1);
        let long = question("Tell me a very long story.");
        let reader = async {
            let first = deltas.recv().await;
            stop.cancel();
            while deltas.recv().await.is_some() {}
            first
        };
        let generation = model().await.generate(&long, &stop, Some(sender));
        let (completion, first) = tokio::join!(generation, reader);
        let completion = completion.unwrap();
        assert_eq!(completion.finish, Finish::Cancelled);
        assert!(completion.text.starts_with(&first.unwrap()));
        assert!(completion.answer_tokens < 20);

        assert_eq!(ask(&request).await.text, expected);
    }

    #[tokio::test(flavor = "multi_thread")]
    async fn a_prompt_beyond_the_context_is_refused() {
        let request = question(&"word ".repeat(9000));
        let result = model()
            .await
            .generate(&request, &CancellationToken::new(), None)
            .await;
        match result {
            Err(Error::PromptTooLong { prompt, context }) => {
                assert_eq!(context, 8192);
                assert!(prompt > 9000);
            }
            other => panic!("{other:?}"),
        }
    }
}
