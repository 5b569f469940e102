//! CORS: web pages of the server's own origin and of the configured origins may use it.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

/// How long a browser may cache a preflight, in seconds.
const PREFLIGHT_AGE: &str = "600";

/// Answers preflights and lets pages of the listed origins read responses; `*` means every origin.
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
        // Clients send custom headers; OpenAI's clients send a dozen.
        if let Some(asked) = request.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
            headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
        }
    }
    response
}
