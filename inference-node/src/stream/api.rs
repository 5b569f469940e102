//! The routes of the stream API.

use std::convert::Infallible;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, PathRejection, QueryRejection};
use axum::extract::{DefaultBodyLimit, Path, Query, Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Extension, Json, Router};
use futures::StreamExt;
use poq_client::session::{
    Acknowledgement, Order, Refusal, RefusalCode, SIGNATURE_HEADER, SessionState,
};
use poq_worker::program::callers::{Callers, Rate, caller};
use poq_worker::program::http_server::Peer;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::auth::signature;
use super::measure;
use super::orders::{Desk, Frames};
use super::refusals::refusal;

/// Longest silence of a stream: a comment breaks it.
const COMMENTS: Duration = Duration::from_secs(5);
/// Bytes of an order's body besides twice its texts: JSON writes a line break as two.
const OVERHEAD: usize = 64 << 10;
/// Value of `retry-after` in seconds, when all places are taken.
const RETRY_AFTER: &str = "1";
/// Calls of one address.
const RATE: Rate = Rate {
    burst: 200.0,
    per_second: 50.0,
};

/// What the API needs to know about its surroundings.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surroundings {
    /// Longest prompt of the chain, bytes.
    pub max_prompt_bytes: u32,
    /// Whether all connections come from a proxy.
    pub is_behind_proxy: bool,
}

struct Door {
    callers: Callers,
    is_behind_proxy: bool,
}

/// The routes, with limits that come before any signature is checked.
pub(super) fn router(desk: Arc<Desk>, surroundings: Surroundings) -> Router {
    let door = Arc::new(Door {
        callers: Callers::new(RATE),
        is_behind_proxy: surroundings.is_behind_proxy,
    });
    let most = 2 * surroundings.max_prompt_bytes as usize + OVERHEAD;
    Router::new()
        .route("/poq/v1/orders", post(order))
        .route("/poq/v1/orders/{session}/{number}", get(read))
        .route("/poq/v1/orders/{session}/{number}/stop", post(stop))
        .route("/poq/v1/sessions/{session}", get(look))
        .route("/poq/v1/acks", post(acknowledge))
        .fallback(|| async { Refused(refusal(RefusalCode::NotFound, "no such path")) })
        .method_not_allowed_fallback(|| async {
            let mut response = Refused(malformed("no such method for this path")).into_response();
            *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
            response
        })
        .layer(DefaultBodyLimit::max(most))
        .layer(middleware::from_fn_with_state(door, enter))
        .with_state(desk)
}

async fn enter(
    State(door): State<Arc<Door>>,
    peer: Option<Extension<Peer>>,
    request: Request,
    next: Next,
) -> Response {
    // Only a test has no peer.
    let unknown = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
    let peer = peer.map_or(unknown, |Extension(Peer(peer))| peer.ip());
    let address = caller(peer, request.headers(), door.is_behind_proxy);
    match door.callers.admit(address, Instant::now()) {
        true => next.run(request).await,
        false => {
            let message = "too many calls from this address; try again later";
            Refused(refusal(RefusalCode::Busy, message)).into_response()
        }
    }
}

async fn order(
    State(desk): State<Arc<Desk>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Refused> {
    let order: Order = json(body)?;
    Ok(streamed(desk.order(order).await?))
}

#[derive(Deserialize)]
struct Offset {
    #[serde(default)]
    offset: u64,
}

async fn read(
    State(desk): State<Arc<Desk>>,
    order: Result<Path<(u64, u64)>, PathRejection>,
    from: Result<Query<Offset>, QueryRejection>,
    headers: HeaderMap,
) -> Result<Response, Refused> {
    let Query(Offset { offset }) = from.map_err(|wrong| malformed(wrong.body_text()))?;
    let (order, by) = (named(order)?, signed(&headers)?);
    Ok(streamed(desk.read(order, offset, &by).await?))
}

async fn stop(
    State(desk): State<Arc<Desk>>,
    order: Result<Path<(u64, u64)>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<SessionState>, Refused> {
    let (order, by) = (named(order)?, signed(&headers)?);
    Ok(Json(desk.stop(order, &by).await?))
}

async fn look(
    State(desk): State<Arc<Desk>>,
    session: Result<Path<u64>, PathRejection>,
    headers: HeaderMap,
) -> Result<Json<SessionState>, Refused> {
    let (session, by) = (named(session)?, signed(&headers)?);
    Ok(Json(desk.look(session, &by).await?))
}

async fn acknowledge(
    State(desk): State<Arc<Desk>>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Json<SessionState>, Refused> {
    let acknowledgement: Acknowledgement = json(body)?;
    Ok(Json(desk.acknowledge(acknowledgement).await?))
}

fn json<T: DeserializeOwned>(body: Result<Bytes, BytesRejection>) -> Result<T, Refused> {
    let body = body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => {
            let message = "the body is larger than a chat can be";
            refusal(RefusalCode::TooLarge, message)
        }
        _ => malformed(rejection.body_text()),
    })?;
    serde_json::from_slice(&body).map_err(|error| malformed(error.to_string()).into())
}

fn named<T>(path: Result<Path<T>, PathRejection>) -> Result<T, Refused> {
    let Path(numbers) = path.map_err(|wrong| malformed(wrong.body_text()))?;
    Ok(numbers)
}

fn signed(headers: &HeaderMap) -> Result<[u8; 64], Refused> {
    let value = headers.get(SIGNATURE_HEADER);
    let text = value.and_then(|value| value.to_str().ok());
    let text = text.ok_or_else(|| {
        let message = format!("sign the call in the header {SIGNATURE_HEADER}");
        refusal(RefusalCode::Unauthorized, message)
    })?;
    Ok(signature(text)?)
}

fn streamed(frames: Frames) -> Response {
    let events = frames.map(|frame| {
        let event = Event::default().json_data(&frame);
        Ok::<_, Infallible>(
            event.unwrap_or_else(|error| Event::default().comment(error.to_string())),
        )
    });
    let keep_alive = KeepAlive::new().interval(COMMENTS).text("ping");
    Sse::new(events).keep_alive(keep_alive).into_response()
}

fn malformed(message: impl Into<String>) -> Refusal {
    refusal(RefusalCode::Malformed, message)
}

/// The response `{"error": …}`.
struct Refused(Refusal);

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self(refusal)
    }
}

impl IntoResponse for Refused {
    fn into_response(self) -> Response {
        let Self(refusal) = self;
        measure::refused(refusal.code);
        let status = StatusCode::from_u16(refusal.code.status());
        let status = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let is_busy = refusal.code == RefusalCode::Busy;
        let mut response = (status, Json(json!({ "error": refusal }))).into_response();
        if is_busy {
            let retry = header::HeaderValue::from_static(RETRY_AFTER);
            response.headers_mut().insert(header::RETRY_AFTER, retry);
        }
        response
    }
}

#[cfg(test)]
mod tests;
