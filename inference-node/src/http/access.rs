//! API keys: who may use the server.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::failure::Failure;

/// Who may use the server.
#[derive(Clone)]
pub(crate) enum Guests {
    /// Everyone.
    Everybody,
    /// Holders of one of these keys; nobody if there are none. Keys are kept as digests, so that
    /// the time of a comparison reveals nothing about them.
    WithKey(Vec<[u8; 32]>),
}

impl Guests {
    /// Admits holders of these keys.
    pub(crate) fn with(keys: &[String]) -> Self {
        Self::WithKey(keys.iter().map(|key| Sha256::digest(key).into()).collect())
    }
}

fn has(keys: &[[u8; 32]], key: &str) -> bool {
    let asked: [u8; 32] = Sha256::digest(key).into();
    let found = keys
        .iter()
        .fold(Choice::from(0), |found, known| found | known.ct_eq(&asked));
    found.into()
}

/// Middleware that refuses requests without a valid key, if one is needed.
pub(super) async fn authorize(
    State(guests): State<Arc<Guests>>,
    request: Request,
    next: Next,
) -> Response {
    let keys = match &*guests {
        Guests::Everybody => return next.run(request).await,
        Guests::WithKey(keys) if keys.is_empty() => {
            return refused(
                "this node serves only its chain: its operator has set neither an API key nor `open`",
            )
            .into_response();
        }
        Guests::WithKey(keys) => keys,
    };
    match bearer(request.headers()) {
        Some(key) if has(keys, key) => next.run(request).await,
        Some(_) => refused("the API key is not valid for this server").into_response(),
        None => refused("send the API key as `Authorization: Bearer KEY`").into_response(),
    }
}

fn refused(message: &str) -> Failure {
    Failure::new(StatusCode::UNAUTHORIZED, message).code("invalid_api_key")
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, key) = value.split_once(' ')?;
    scheme
        .eq_ignore_ascii_case("bearer")
        .then(|| key.trim_start())
}
