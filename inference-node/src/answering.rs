//! From a duty to its answer, apart from the worker's own state.

use std::fmt::Display;
use std::sync::Arc;

use poq_client::Client;
use poq_proto::PPM;
use poq_proto::v1::Task;
use tokio_util::sync::CancellationToken;
use tracing::{debug, error, info, warn};

use crate::compute::{self, Compute};
use crate::duties::Assigned;
use crate::generator::{self, Asked, Completion, Prompt, Recommended, Request};
use crate::journal::{Answer, DutyKey};

/// Why a duty got no answer.
#[derive(Debug, thiserror::Error)]
pub enum DutyError {
    /// It was drawn for another model of the registration.
    #[error("it is for the model `{0}`, which this node does not serve")]
    OtherModel(String),
    /// The node did not say what was asked.
    #[error(transparent)]
    Chain(#[from] poq_client::Error),
    /// The model failed.
    #[error(transparent)]
    Compute(#[from] compute::Error),
}

/// What it takes to answer one duty.
pub struct AnswerJob {
    /// Knows the task and its prompt.
    pub client: Client,
    /// The way to the model.
    pub compute: Compute,
    /// The chain's id.
    pub chain_id: Arc<str>,
    /// Id of the model.
    pub model: Arc<str>,
    /// Most tokens of an answer.
    pub max_tokens: usize,
    /// Ends the answer with what there is.
    pub stop: CancellationToken,
}

impl AnswerJob {
    /// Asks the model. Only silence is slashed, so whatever the model says is an answer, nothing
    /// at all included, and where it could not be asked an honest word is.
    ///
    /// # Errors
    /// [`DutyError`] for what can be tried again.
    pub async fn run(self, duty: Assigned) -> Result<Answer, DutyError> {
        if *duty.model != *self.model {
            return Err(DutyError::OtherModel(duty.model));
        }
        let task = self.client.task(duty.key.task).await?;
        let prompt = self.client.payload(duty.key.task).await?.prompt;
        let recommended = self.compute.recommended();
        let request = request(&task, prompt, self.max_tokens, recommended);
        let completion = match self.ask(request).await {
            Ok(completion) => told(duty.key, completion),
            Err(compute::Error::Generator(
                error
                @ (generator::Error::PromptTooLong { .. } | generator::Error::Conversation(_)),
            )) => {
                error!(task = duty.key.task, "{error}");
                apology(&error)
            }
            Err(error @ compute::Error::Expired) => {
                warn!(task = duty.key.task, "{error}");
                apology(&"there was no time for it")
            }
            Err(compute::Error::Generator(error @ generator::Error::Engine(_))) => {
                error!(task = duty.key.task, "{error}");
                apology(&"the language model failed")
            }
            Err(error) => return Err(error.into()),
        };
        Ok(entry(&self.chain_id, &task, completion))
    }
}

impl AnswerJob {
    /// A failure of the engine may be the prompt's: it gets a second try and not one more, so that
    /// no prompt holds the engine up until its window is over.
    async fn ask(&self, request: Request) -> Result<Completion, compute::Error> {
        let stop = self.stop.clone();
        match self.compute.duty(request.clone(), stop).await {
            Err(compute::Error::Generator(generator::Error::Engine(reason))) => {
                warn!("trying again: the language model failed: {reason}");
                self.compute.duty(request, self.stop.clone()).await
            }
            outcome => outcome,
        }
    }
}

/// What was said, in how many tokens of prompt and answer.
struct Said {
    text: String,
    prompt_tokens: usize,
    answer_tokens: usize,
}

/// The task's question under the task's limits and this node's.
fn request(task: &Task, prompt: String, max_tokens: usize, recommended: Recommended) -> Request {
    let sampling = task.sampling.unwrap_or_default();
    let share = |ppm: u32| f64::from(ppm) / PPM as f64;
    // A message cannot tell 0 from a setting that is left out where 0 is not allowed.
    let given = |ppm: u32| (ppm > 0).then(|| share(ppm));
    let asked = Asked {
        temperature: sampling.temperature.map(share),
        top_p: given(sampling.top_p),
        repetition_penalty: given(sampling.repetition_penalty),
    };
    Request {
        prompt: Prompt::question(prompt),
        sampling: recommended.complete(asked, task.seed),
        max_tokens: match sampling.max_tokens {
            0 => max_tokens,
            asked => max_tokens.min(asked as usize),
        },
        max_bytes: task.max_answer_bytes as usize,
        stop: Vec::new(),
    }
}

fn told(key: DutyKey, completion: Completion) -> Said {
    info!(
        task = key.task,
        prompt_tokens = completion.prompt_tokens,
        answer_tokens = completion.answer_tokens,
        first_token_ms = completion.first_token.as_millis(),
        total_ms = completion.total.as_millis(),
        tokens_per_second = completion.tokens_per_second(),
        finish = ?completion.finish,
        "answered"
    );
    debug!(task = key.task, text = completion.text, "answer");
    Said {
        text: completion.text,
        prompt_tokens: completion.prompt_tokens,
        answer_tokens: completion.answer_tokens,
    }
}

/// Silence would cost stake and the user's time; an honest word costs the user the evaluation only.
fn apology(error: &impl Display) -> Said {
    Said {
        text: format!("I cannot answer: {error}."),
        prompt_tokens: 0,
        answer_tokens: 0,
    }
}

/// What is kept and handed in: nothing that the chain would refuse as too long.
fn entry(chain_id: &str, task: &Task, said: Said) -> Answer {
    let mut text = said.text;
    text.truncate(text.floor_char_boundary(task.max_answer_bytes as usize));
    Answer {
        chain_id: chain_id.to_owned(),
        prompt_sha256: hex::encode(&task.prompt_sha256),
        text,
        prompt_tokens: said.prompt_tokens.try_into().unwrap_or(u32::MAX),
        answer_tokens: said.answer_tokens.try_into().unwrap_or(u32::MAX),
    }
}

#[cfg(test)]
mod tests {
    use poq_proto::v1;

    use super::*;
    use crate::generator::Sampling;

    #[test]
    fn a_task_becomes_a_request_within_both_limits() {
        let mut task = Task {
            max_answer_bytes: 500,
            seed: 9,
            ..Task::default()
        };
        let recommended = Recommended {
            temperature: 0.2,
            top_p: 0.95,
            repetition_penalty: 1.1,
        };
        let request = |task: &Task, most| request(task, "Hi".into(), most, recommended);
        let asked = request(&task, 256);
        assert_eq!(asked.sampling, recommended.complete(Asked::default(), 9));
        assert_eq!((asked.max_tokens, asked.max_bytes), (256, 500));

        task.sampling = Some(v1::Sampling {
            temperature: Some(700_000),
            top_p: 900_000,
            max_tokens: 32,
            repetition_penalty: 1_500_000,
        });
        let asked = request(&task, 256);
        let expected = Sampling {
            temperature: 0.7,
            top_p: 0.9,
            repetition_penalty: 1.5,
            seed: 9,
        };
        assert_eq!(asked.sampling, expected);
        assert_eq!(asked.max_tokens, 32);
        assert_eq!(request(&task, 16).max_tokens, 16);

        task.sampling = Some(v1::Sampling {
            temperature: Some(0),
            ..v1::Sampling::default()
        });
        let greedy = request(&task, 256).sampling;
        assert_eq!((greedy.temperature, greedy.repetition_penalty), (0.0, 1.1));
    }

    #[test]
    fn nothing_is_kept_that_the_chain_would_refuse_as_too_long() {
        let error = generator::Error::PromptTooLong {
            prompt: 9000,
            context: 8192,
        };
        let kept = |most: u32, said: Said| {
            let task = Task {
                max_answer_bytes: most,
                prompt_sha256: vec![7; 32],
                ..Task::default()
            };
            entry("poq-1", &task, said)
        };
        assert!(kept(1000, apology(&error)).text.contains("9000"));
        assert_eq!(kept(8, apology(&error)).text, "I cannot");
        for text in ["", "é", "😀", "xé"] {
            for most in 0..=8 {
                let said = Said {
                    text: text.into(),
                    prompt_tokens: 1,
                    answer_tokens: 1,
                };
                let answer = kept(most, said);
                assert!(answer.text.len() <= most as usize && text.starts_with(&answer.text));
                let task = Task {
                    prompt_sha256: vec![7; 32],
                    ..Task::default()
                };
                assert!(answer.is_for("poq-1", &task));
            }
        }
    }
}
