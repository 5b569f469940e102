//! The stream API of a played node.

use std::collections::HashMap;

use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use futures::stream;
use poq_client::session::{
    Acknowledgement, Frame, Order, SIGNATURE_HEADER, SessionState, WHOLE_SESSION,
};
use poq_proto::v1::Finish;
use poq_proto::{Call, Voucher};
use serde_json::json;

use super::{Behaviour, PlayedNode, WINDOW};
use crate::played::chain::ID;

/// The routes.
pub(super) fn router(node: PlayedNode) -> Router {
    Router::new()
        .route("/poq/v1/orders", post(order))
        .route("/poq/v1/orders/{session}/{number}", get(read))
        .route("/poq/v1/orders/{session}/{number}/stop", post(stop))
        .route("/poq/v1/sessions/{session}", get(state))
        .route("/poq/v1/acks", post(acknowledge))
        .with_state(node)
}

/// A response that breaks its connection.
fn broken() -> Response {
    let cut = stream::iter([Err::<&str, _>(std::io::Error::other("played cut"))]);
    Body::from_stream(cut).into_response()
}

async fn order(State(node): State<PlayedNode>, Json(order): Json<Order>) -> Response {
    if node.lock().is_dead {
        return broken();
    }
    let (voucher, behaviour) = match node.admit(&order) {
        Ok(admitted) => admitted,
        Err(refused) => return refused.into_response(),
    };
    if matches!(
        behaviour,
        Behaviour::SwallowAccept | Behaviour::SwallowOrder
    ) {
        return broken();
    }
    let signature = node.key.sign_digest(&voucher.accept_digest(ID)).unwrap();
    let accept = Frame::Accept {
        signature: hex::encode(signature),
        window: node.lock().window(),
        queue_position: 0,
    };
    let cut = match behaviour {
        Behaviour::Cut(bytes) | Behaviour::Die(bytes) | Behaviour::Silent(bytes) => Some(bytes),
        _ => None,
    };
    node.stream(Some(accept), (voucher.session, voucher.number), 0, cut)
}

fn signature(headers: &HeaderMap) -> &str {
    headers[SIGNATURE_HEADER].to_str().unwrap()
}

async fn read(
    State(node): State<PlayedNode>,
    Path((session, number)): Path<(u64, u64)>,
    Query(query): Query<HashMap<String, u64>>,
    headers: HeaderMap,
) -> Response {
    if node.lock().is_dead {
        return broken();
    }
    let offset = query["offset"];
    let digest = Call::Read.digest(ID, session, number, offset);
    if let Err(refused) = node.check(session, &digest, signature(&headers)) {
        return refused.into_response();
    }
    node.stream(None, (session, number), offset as usize, None)
}

async fn stop(
    State(node): State<PlayedNode>,
    Path((session, number)): Path<(u64, u64)>,
    headers: HeaderMap,
) -> Response {
    if node.lock().is_dead {
        return broken();
    }
    let digest = Call::Stop.digest(ID, session, number, 0);
    if let Err(refused) = node.check(session, &digest, signature(&headers)) {
        return refused.into_response();
    }
    let mut inner = node.lock();
    let taken = &mut inner.sessions.get_mut(&session).unwrap().taken[number as usize];
    taken.finish.get_or_insert(Finish::User);
    Json(json!({})).into_response()
}

async fn state(
    State(node): State<PlayedNode>,
    Path(session): Path<u64>,
    headers: HeaderMap,
) -> Response {
    if node.lock().is_dead {
        return broken();
    }
    let digest = Call::Read.digest(ID, session, WHOLE_SESSION, 0);
    if let Err(refused) = node.check(session, &digest, signature(&headers)) {
        return refused.into_response();
    }
    let mut inner = node.lock();
    let window = inner.window();
    let held = inner.sessions.entry(session).or_default();
    Json(SessionState {
        next: held.taken.len() as u64,
        count: held.log.len() as u64,
        acknowledged: held.acknowledged,
        open: (held.log.len() as u64..held.taken.len() as u64).collect(),
        window,
    })
    .into_response()
}

async fn acknowledge(
    State(node): State<PlayedNode>,
    Json(body): Json<Acknowledgement>,
) -> Response {
    if node.lock().is_dead {
        return broken();
    }
    let voucher = Voucher::try_from(&body.voucher).unwrap();
    assert!(voucher.is_bare());
    let record = match node.check(voucher.session, &voucher.digest(ID), &body.signature) {
        Ok(record) => record,
        Err(refused) => return refused.into_response(),
    };
    let mut inner = node.lock();
    let held = inner.sessions.entry(voucher.session).or_default();
    match held.take(&record, &voucher, (None, WINDOW)) {
        Ok(()) => Json(json!({})).into_response(),
        Err(refused) => refused.into_response(),
    }
}
