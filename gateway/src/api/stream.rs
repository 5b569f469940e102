//! Answers as server-sent events.
//!
//! No event has an id: the Python client keeps the last one, and then takes every comment for an event
//! without data, which it cannot parse.

use std::convert::Infallible;
use std::time::Duration;

use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream;
use serde_json::Value;

use super::failure::ApiError;
use super::form::Form;
use crate::keys::Ticket;
use crate::relay::{Part, Reader};

/// Longest silence between two comments.
const PING: Duration = Duration::from_secs(10);

/// How far a stream is.
enum Stage {
    Opening,
    Text,
    Usage(Value),
    Done,
    Over,
}

/// The response that streams an answer which a node has begun. The ticket is held to its end.
pub(super) fn respond(
    (reader, ticket): (Reader, Ticket),
    form: Form,
    include_usage: bool,
) -> Response {
    let start = (Stage::Opening, reader, form, ticket);
    let events = stream::unfold(start, move |(stage, mut reader, form, ticket)| async move {
        let (data, stage) = match stage {
            Stage::Opening => (form.opening().to_string(), Stage::Text),
            Stage::Text => match reader.next().await {
                Part::Text(text) => (form.delta(&text).to_string(), Stage::Text),
                Part::Done(done) => {
                    let next = match include_usage {
                        true => Stage::Usage(form.usage(&done)),
                        false => Stage::Done,
                    };
                    (form.ending(&done).to_string(), next)
                }
                Part::Failed(failure) => (ApiError::from(failure).body().to_string(), Stage::Done),
            },
            Stage::Usage(usage) => (usage.to_string(), Stage::Done),
            // Without it, clients take a stream that was cut for a whole one.
            Stage::Done => ("[DONE]".to_owned(), Stage::Over),
            Stage::Over => return None,
        };
        let event = Ok::<_, Infallible>(Event::default().data(data));
        Some((event, (stage, reader, form, ticket)))
    });
    let pings = KeepAlive::new().interval(PING).text("ping");
    Sse::new(events).keep_alive(pings).into_response()
}
