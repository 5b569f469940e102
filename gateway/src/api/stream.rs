//! Answers as server-sent events.
//!
//! No event of OpenAI's surfaces has an id: the Python client keeps the last one, and then takes every comment for an event
//! without data, which it cannot parse.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;

use super::failure::ApiError;
use super::form::Events;
use crate::keys::Ticket;
use crate::relay::{Part, Reader};

/// Longest silence between two comments.
const PING: Duration = Duration::from_secs(10);

/// A stream on its way.
struct Streaming {
    waiting: VecDeque<Event>,
    reader: Reader,
    events: Box<dyn Events>,
    is_over: bool,
    /// Held to the stream's end.
    _ticket: Option<Ticket>,
}

impl Streaming {
    async fn next(&mut self) -> Option<Event> {
        while self.waiting.is_empty() && !self.is_over {
            let more = match self.reader.next().await {
                Part::Text(text) => self.events.delta(&text),
                Part::Done(done) => {
                    self.is_over = true;
                    self.events.ending(&done)
                }
                Part::Failed(failure) => {
                    self.is_over = true;
                    self.events.failed(&ApiError::from(failure))
                }
            };
            self.waiting.extend(more);
        }
        self.waiting.pop_front()
    }
}

/// The response that streams an answer which a node has begun. A ticket is held to its end.
pub(super) fn respond(
    reader: Reader,
    mut events: Box<dyn Events>,
    ticket: Option<Ticket>,
) -> Response {
    let start = Streaming {
        waiting: events.opening().into(),
        reader,
        events,
        is_over: false,
        _ticket: ticket,
    };
    let events = stream::unfold(start, |mut streaming: Streaming| async move {
        let event = streaming.next().await?;
        Some((Ok::<_, Infallible>(event), streaming))
    });
    let pings = KeepAlive::new().interval(PING).text("ping");
    Sse::new(events).keep_alive(pings).into_response()
}
