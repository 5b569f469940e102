//! Who may use the server: keys, and pages of other origins.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};

use super::failure::Failure;

/// How long a browser may keep the answer to a preflight, seconds.
const PREFLIGHT_AGE: &str = "600";

/// Who may ask.
#[derive(Clone)]
pub enum Guests {
    /// Whoever reaches the server.
    Everybody,
    /// Who has one of these keys, which are kept as digests: comparing takes as long for every wrong
    /// one. Nobody, if there is none.
    WithKey(Vec<[u8; 32]>),
}

impl Guests {
    /// Who has one of the keys.
    pub fn with(keys: &[String]) -> Self {
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

/// Lets requests pass that have a key, where one is needed.
pub async fn authorize(
    State(guests): State<Arc<Guests>>,
    request: Request,
    next: Next,
) -> Response {
    let keys = match &*guests {
        Guests::Everybody => return next.run(request).await,
        Guests::WithKey(keys) if keys.is_empty() => {
            return refused(
                "this node answers nobody but its chain: its operator has set no API key, nor `open`",
            )
            .into_response();
        }
        Guests::WithKey(keys) => keys,
    };
    match bearer(request.headers()) {
        Some(key) if has(keys, key) => next.run(request).await,
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

/// Answers preflights, and lets pages of the listed origins read what is answered; `*` is every origin.
pub async fn share(
    State(origins): State<Arc<Vec<String>>>,
    request: Request,
    next: Next,
) -> Response {
    let origin = request.headers().get(header::ORIGIN).cloned();
    let allowed = origin.and_then(|origin| allowed(&origins, origin));
    let mut response = if request.method() == Method::OPTIONS {
        preflight(request.headers(), allowed.is_some())
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    if !origins.is_empty() {
        headers.append(header::VARY, HeaderValue::from_static("origin"));
    }
    if let Some(origin) = allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        let exposed = HeaderValue::from_static("retry-after");
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, exposed);
    }
    response
}

fn allowed(origins: &[String], origin: HeaderValue) -> Option<HeaderValue> {
    if origins.iter().any(|known| known == "*") {
        return Some(HeaderValue::from_static("*"));
    }
    let is_known = origins.iter().any(|known| origin == known.as_str());
    is_known.then_some(origin)
}

fn preflight(request: &HeaderMap, is_allowed: bool) -> Response {
    const METHODS: HeaderValue = HeaderValue::from_static("GET, POST, OPTIONS");
    let mut response = StatusCode::NO_CONTENT.into_response();
    let headers = response.headers_mut();
    headers.insert(header::ALLOW, METHODS);
    if is_allowed {
        headers.insert(header::ACCESS_CONTROL_ALLOW_METHODS, METHODS);
        let age = HeaderValue::from_static(PREFLIGHT_AGE);
        headers.insert(header::ACCESS_CONTROL_MAX_AGE, age);
        // The clients of OpenAI send a dozen of their own.
        if let Some(asked) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
    }
    response
}
