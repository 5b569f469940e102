//! Answers as server-sent events.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream, StreamExt};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::answer::Answer;
use super::failure::Failure;
use super::received;
use crate::compute::Reply;
use crate::generator::Completion;

/// Timing of a stream without text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pauses {
    /// Until the headers are sent: an earlier refusal is an error with a status.
    pub headers: Duration,
    /// Between two keep-alive comments: proxies cut connections that are silent for a minute.
    pub comments: Duration,
}

impl Default for Pauses {
    fn default() -> Self {
        Self {
            headers: Duration::from_millis(500),
            comments: Duration::from_secs(15),
        }
    }
}

/// An answer in progress.
pub(super) struct Generation {
    /// Its endpoint and id.
    pub answer: Answer,
    /// Its text in chunks.
    pub deltas: mpsc::Receiver<String>,
    /// Its end.
    pub reply: Reply,
    /// Whether the stream ends with the token counts.
    pub include_usage: bool,
    /// Timing while there is no text.
    pub pauses: Pauses,
}

impl Generation {
    /// The response that streams the answer.
    ///
    /// # Errors
    /// A failure before the first text and before the headers are due.
    pub(super) async fn open(mut self) -> Result<Response, Failure> {
        let first = timeout(self.pauses.headers, self.deltas.recv()).await;
        let (first, ended) = match first {
            Ok(Some(text)) => (Some(text), None),
            Ok(None) => (None, Some(received((&mut self.reply).await)?)),
            Err(_) => (None, None),
        };
        let end = match ended {
            Some(completion) => Ok(completion),
            None => Err(self.reply),
        };
        let parts = stream::iter(self.answer.opening())
            .chain(texts(self.answer.clone(), first, self.deltas))
            .chain(
                stream::once(ending(self.answer, end, self.include_usage)).flat_map(stream::iter),
            )
            .map(|value| Event::default().data(value.to_string()))
            .chain(stream::iter([Event::default().data("[DONE]")]))
            .map(Ok::<_, Infallible>);
        let keep_alive = KeepAlive::new()
            .interval(self.pauses.comments)
            .text("waiting");
        Ok(Sse::new(parts).keep_alive(keep_alive).into_response())
    }
}

fn texts(
    answer: Answer,
    first: Option<String>,
    deltas: mpsc::Receiver<String>,
) -> impl Stream<Item = Value> {
    let later = stream::unfold(deltas, async |mut deltas| {
        Some((deltas.recv().await?, deltas))
    });
    stream::iter(first)
        .chain(later)
        .map(move |text| answer.delta(&text))
}

async fn ending(answer: Answer, end: Result<Completion, Reply>, include_usage: bool) -> Vec<Value> {
    let outcome = match end {
        Ok(completion) => Ok(completion),
        Err(reply) => received(reply.await),
    };
    match outcome {
        Ok(completion) => {
            let usage = include_usage.then(|| answer.usage(&completion));
            [Some(answer.ending(completion.finish)), usage]
                .into_iter()
                .flatten()
                .collect()
        }
        Err(failure) => vec![failure.body()],
    }
}
