//! How an inference node does a duty: from the task to its answer.

#[cfg(test)]
mod request_tests;
#[cfg(test)]
mod tests;

use std::fmt::Display;

use poq_client::{Any, Client, Sender, any};
use poq_proto::PPM;
use poq_proto::v1::{AnswerItem, MsgSubmitAnswers, Task};
use poq_worker::{Job, Seat, Step, Undone, Worker};
use tracing::{debug, error, info, warn};

use crate::answer::Answer;
use crate::compute::{self, Compute};
use crate::generator::{self, Asked, Completion, Prompt, Recommended, Request};

/// Answers tasks with a language model.
pub(crate) struct InferenceNode {
    /// For tasks and their prompts.
    client: Client,
    operator: String,
    chain_id: String,
    /// Access to the model.
    compute: Compute,
    /// Most tokens of an answer.
    max_tokens: usize,
}

impl InferenceNode {
    /// A node whose operator is `sender`, with answers of at most `max_tokens`.
    pub(crate) fn new(sender: &Sender, compute: Compute, max_tokens: usize) -> Self {
        Self {
            client: sender.client().clone(),
            operator: sender.address().to_owned(),
            chain_id: sender.chain_id().to_owned(),
            compute,
            max_tokens,
        }
    }
}

impl Worker for InferenceNode {
    type Product = Answer;

    /// Asks the model, unless the journal has the answer. Only silence is slashed, so any output is
    /// an answer, even an empty one; if the model could not be asked, the answer is an apology.
    async fn perform(&self, job: Job<Answer>) -> Result<Answer, Undone> {
        let id = job.key.seat.task;
        let task = self.client.task(id).await?;
        if let Some(kept) = &job.kept
            && kept.is_for(&self.chain_id, &task)
        {
            return Ok(kept.clone());
        }
        if let Some(Answer { chain_id, .. }) = &job.kept {
            warn!(
                task = id,
                chain = chain_id,
                "the journal's answer belongs to another task with this number"
            );
        }
        let prompt = self.client.payload(id).await?.prompt;
        let recommended = self.compute.recommended();
        let request = request(&task, prompt, self.max_tokens, recommended);
        let said = match self.ask(&job, request).await {
            Ok(completion) => told(id, completion),
            Err(compute::Error::Generator(
                error
                @ (generator::Error::PromptTooLong { .. } | generator::Error::Conversation(_)),
            )) => {
                error!(task = id, "{error}");
                apology(&error)
            }
            Err(error @ compute::Error::Expired) => {
                warn!(task = id, "{error}");
                apology(&"there was no time for it")
            }
            Err(compute::Error::Generator(error @ generator::Error::Engine(_))) => {
                error!(task = id, "{error}");
                apology(&"the language model failed")
            }
            Err(error) => return Err(Undone::Later(error.to_string())),
        };
        Ok(entry(&self.chain_id, &task, said))
    }

    fn message(&self, _: Step, answers: &[(Seat, &Answer)]) -> Any {
        let item = |(seat, answer): &(Seat, &Answer)| AnswerItem {
            task_id: seat.task,
            answer: answer.text.clone(),
            prompt_tokens: answer.prompt_tokens,
            answer_tokens: answer.answer_tokens,
        };
        any(&MsgSubmitAnswers {
            operator: self.operator.clone(),
            items: answers.iter().map(item).collect(),
        })
    }

    async fn lost(&self) -> String {
        self.compute.lost().await;
        "the language model is lost; see its last log lines for the reason".into()
    }
}

impl InferenceNode {
    /// An engine failure may be caused by the prompt. It is retried once only, so that no prompt
    /// blocks the engine for its whole window.
    async fn ask(&self, job: &Job<Answer>, request: Request) -> Result<Completion, compute::Error> {
        let ask = |request| self.compute.duty(job.asker(), request, job.stop.clone());
        match ask(request.clone()).await {
            Err(compute::Error::Generator(generator::Error::Engine(reason))) => {
                warn!("the language model failed, retrying: {reason}");
                ask(request).await
            }
            outcome => outcome,
        }
    }
}

/// Logs and converts a completion.
struct Said {
    text: String,
    prompt_tokens: usize,
    answer_tokens: usize,
}

/// The task's prompt under the limits of the task and this node.
fn request(task: &Task, prompt: String, max_tokens: usize, recommended: Recommended) -> Request {
    let sampling = task.sampling.unwrap_or_default();
    let share = |ppm: u32| f64::from(ppm) / PPM as f64;
    // proto3 cannot distinguish 0 from an absent setting; here 0 is not allowed.
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

fn told(task: u64, completion: Completion) -> Said {
    info!(
        task,
        prompt_tokens = completion.prompt_tokens,
        answer_tokens = completion.answer_tokens,
        first_token_ms = completion.first_token.as_millis(),
        total_ms = completion.total.as_millis(),
        tokens_per_second = completion.tokens_per_second(),
        finish = ?completion.finish,
        "answered"
    );
    debug!(task, text = completion.text, "answer");
    Said {
        text: completion.text,
        prompt_tokens: completion.prompt_tokens,
        answer_tokens: completion.answer_tokens,
    }
}

/// Silence would cost stake and the user's time; an apology costs the user only the evaluation.
fn apology(error: &impl Display) -> Said {
    Said {
        text: format!("I cannot answer: {error}."),
        prompt_tokens: 0,
        answer_tokens: 0,
    }
}

/// The answer to keep and hand in, no longer than the chain accepts.
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
