//! `GET /v1/stream/{id}?from=N`: the rest of an answer.

use std::sync::Arc;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Extension, Path, Query, State};
use axum::http::StatusCode;
use axum::response::Response;
use axum::response::sse::Event;
use serde::Deserialize;
use serde_json::json;

use super::Api;
use super::answering::{replayed, with_origin};
use super::failure::ApiError;
use super::form::{Events, data, ended, finish_reason, parse_receipt_id, proof, usage};
use super::stream;
use crate::relay::{Done, Reader};
use crate::store::keys::Key;
use crate::store::receipts;

/// Where the rest begins.
#[derive(Deserialize)]
pub(super) struct Cursor {
    /// Bytes of the text that the client has.
    #[serde(default)]
    from: usize,
}

/// Streams the rest of an answer of the key: of one in progress, or out of the store.
pub(super) async fn rest(
    State(api): State<Arc<Api>>,
    Extension(key): Extension<Arc<Key>>,
    Path(id): Path<String>,
    cursor: Result<Query<Cursor>, QueryRejection>,
) -> Result<Response, ApiError> {
    let Query(Cursor { from }) =
        cursor.map_err(|_| ApiError::invalid("from", "must be a number of bytes"))?;
    let order = parse_receipt_id(&id).ok_or_else(|| unknown(&id))?;
    let mut reader = find(&api, &key, order)?.ok_or_else(|| unknown(&id))?;
    if !reader.skip(from) {
        let reason = "must be at most the bytes of the text so far, and where a character begins";
        return Err(ApiError::invalid("from", reason));
    }
    let origin = reader.origin().await?;
    let response = stream::respond(reader, Box::new(Rest { cursor: from }), None);
    Ok(with_origin(response, &origin))
}

fn unknown(id: &str) -> ApiError {
    let message =
        format!("there is no text of an answer `{id}` of this key, or it is not kept any more");
    ApiError::new(StatusCode::NOT_FOUND, "receipt_not_found", message)
}

fn find(api: &Api, key: &Key, order: (u64, u64)) -> Result<Option<Reader>, ApiError> {
    // An answer is in the store before it is no longer in progress.
    if let Some(reader) = api.relay.in_progress(key.id, order) {
        return Ok(Some(reader));
    }
    let receipt = api
        .relay
        .store
        .read(|db| receipts::find(db, order.0, order.1))?;
    match receipt {
        Some(receipt) if receipt.key == key.id => {
            Ok(replayed(api, order)?.map(|answer| answer.reader()))
        }
        _ => Ok(None),
    }
}

/// Text with cursors: each event's id is the number of bytes up to its end.
struct Rest {
    cursor: usize,
}

impl Events for Rest {
    fn opening(&mut self) -> Vec<Event> {
        Vec::new()
    }

    fn delta(&mut self, text: &str) -> Vec<Event> {
        let value = json!({ "offset": self.cursor, "delta": text });
        self.cursor += text.len();
        vec![data(&value).id(self.cursor.to_string())]
    }

    fn ending(&mut self, done: &Done) -> Vec<Event> {
        let last = json!({
            "finish_reason": finish_reason(done.ending.leaf.finish),
            "usage": usage(done),
            "poq": proof(done),
        });
        ended(&last, None, done)
    }
}
