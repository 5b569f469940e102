//! Who may use the server: those with a key.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::failure::Failure;

/// The keys that open the server, as digests: comparing takes as long for every wrong one.
#[derive(Clone, Default)]
pub struct Keys(Vec<[u8; 32]>);

impl Keys {
    /// None: everybody may ask.
    pub fn new(keys: &[String]) -> Self {
        Self(keys.iter().map(|key| Sha256::digest(key).into()).collect())
    }

    /// Whether everybody may ask.
    pub fn is_open(&self) -> bool {
        self.0.is_empty()
    }

    fn has(&self, key: &str) -> bool {
        let asked: [u8; 32] = Sha256::digest(key).into();
        let found = self
            .0
            .iter()
            .fold(Choice::from(0), |found, known| found | known.ct_eq(&asked));
        found.into()
    }
}

/// Lets requests pass that have a key, where one is needed.
pub async fn authorize(State(keys): State<Arc<Keys>>, request: Request, next: Next) -> Response {
    if keys.is_open() {
        return next.run(request).await;
    }
    match bearer(request.headers()) {
        Some(key) if keys.has(key) => next.run(request).await,
        Some(_) => refused("the API key is none of this server's").into_response(),
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
