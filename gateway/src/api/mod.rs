//! The OpenAI-compatible interface.

mod access;
mod answering;
mod balance;
mod chat;
mod chat_completions;
mod completions;
mod failure;
mod form;
mod framing;
mod models;
pub(crate) mod receipts;
mod request;
mod responses;
mod resume;
mod stream;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Router, middleware};

pub(crate) use access::Door;
use answering::{Surface, serve};
use chat_completions::ChatCompletions;
use completions::Completions;
use failure::ApiError;
use responses::Responses;

use crate::chain::Chain;
use crate::keys::Usage;
use crate::relay::Relay;
use crate::telemetry;

/// Largest body, bytes.
const BODY: usize = 2 << 20;

/// What the handlers share.
pub(crate) struct Api {
    /// Answers requests.
    pub relay: Arc<Relay>,
    /// The chain.
    pub chain: Arc<dyn Chain>,
    /// What API keys use.
    pub usage: Arc<Usage>,
    /// Who may try keys.
    pub door: Door,
}

/// All routes: those for API keys, and `others` that need none. Each request is counted.
pub(crate) fn router(api: Arc<Api>, others: Router) -> Router {
    keyed(api)
        .merge(others)
        .layer(middleware::from_fn(telemetry::count))
}

/// The routes for API keys.
fn keyed(api: Arc<Api>) -> Router {
    Router::new()
        .route(ChatCompletions::PATH, post(serve::<ChatCompletions>))
        .route(Completions::PATH, post(serve::<Completions>))
        .route(Responses::PATH, post(serve::<Responses>))
        .route("/v1/stream/{id}", get(resume::rest))
        .route("/v1/models", get(models::list))
        .route("/v1/models/{*id}", get(models::one))
        .route("/v1/receipts/{id}", get(receipts::one))
        .route("/v1/balance", get(balance::balance))
        .route_layer(middleware::from_fn_with_state(
            api.clone(),
            access::authorize,
        ))
        .fallback(async || {
            let message = "there is no such path; see GET /v1/models";
            ApiError::new(StatusCode::NOT_FOUND, "not_found", message)
        })
        .method_not_allowed_fallback(async || {
            let message = "the path does not have this method";
            ApiError::new(
                StatusCode::METHOD_NOT_ALLOWED,
                "method_not_allowed",
                message,
            )
        })
        .layer(DefaultBodyLimit::max(BODY))
        .layer(middleware::from_fn(framing::close_after_chunks))
        .layer(middleware::from_fn(access::identify))
        .with_state(api)
}
