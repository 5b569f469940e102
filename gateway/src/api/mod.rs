//! The OpenAI-compatible interface.

mod access;
mod balance;
mod chat;
mod completions;
mod failure;
mod form;
mod models;
mod receipts;
mod request;
mod stream;

use std::sync::Arc;

use axum::extract::DefaultBodyLimit;
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Router, middleware};

pub(crate) use access::Door;
use failure::ApiError;

use crate::chain::Chain;
use crate::keys::Usage;
use crate::relay::Relay;

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

/// The routes for API keys.
pub(crate) fn router(api: Arc<Api>) -> Router {
    Router::new()
        .route("/v1/chat/completions", post(completions::chat))
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
        .layer(middleware::from_fn(access::identify))
        .with_state(api)
}
