//! Measures how long answers take when several are requested at once.

use std::fmt;
use std::time::Instant;

use futures::future::try_join_all;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::generator::{Error, Generator, Prompt, Request};

/// The measurements.
#[derive(Debug, Serialize)]
pub(super) struct AtOnce {
    /// Milliseconds from the requests to each answer's first token, queueing included.
    first_token_ms: Vec<f64>,
    /// Milliseconds from the requests to each answer's end.
    total_ms: Vec<f64>,
    /// Tokens of all answers per second until the last answer's end.
    tokens_per_second: f64,
    /// The answers.
    answers: Vec<String>,
}

/// Sends `requests` requests at once, each with its number appended to the last message.
///
/// # Errors
/// The error of the first request that fails.
pub(super) async fn measure(
    generator: &dyn Generator,
    request: &Request,
    requests: usize,
) -> Result<AtOnce, Error> {
    let stop = CancellationToken::new();
    let numbered = (1..=requests).map(|number| {
        let mut request = request.clone();
        if let Prompt::Chat(messages) = &mut request.prompt
            && let Some(message) = messages.last_mut()
        {
            message.text.push_str(&format!(" ({number})"));
        }
        request
    });
    let requests: Vec<Request> = numbered.collect();
    let start = Instant::now();
    let answers = requests
        .iter()
        .map(|request| generator.generate(request, &stop, None));
    let completions = try_join_all(answers).await?;
    let seconds = start.elapsed().as_secs_f64();
    let tokens: usize = completions.iter().map(|one| one.answer_tokens).sum();
    let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1000.0;
    Ok(AtOnce {
        first_token_ms: completions
            .iter()
            .map(|one| milliseconds(one.first_token))
            .collect(),
        total_ms: completions
            .iter()
            .map(|one| milliseconds(one.total))
            .collect(),
        tokens_per_second: tokens as f64 / seconds,
        answers: completions.into_iter().map(|one| one.text).collect(),
    })
}

impl fmt::Display for AtOnce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for ((answer, first), total) in self
            .answers
            .iter()
            .zip(&self.first_token_ms)
            .zip(&self.total_ms)
        {
            writeln!(
                f,
                "{answer}\n(first token after {first:.0} ms, end after {total:.0} ms)\n"
            )?;
        }
        write!(f, "{:.1} tokens/s together", self.tokens_per_second)
    }
}
