//! Who may use the gateway, and the id of a request.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use rand::RngCore;
use rand::rngs::OsRng;

use super::Api;
use super::failure::ApiError;
use crate::keys::digest;
use crate::store::{keys, now};

/// The id of a request, in its responses and in the store.
#[derive(Clone, Debug)]
pub(super) struct RequestId(pub String);

/// Middleware that gives every request an id.
pub(super) async fn identify(mut request: Request, next: Next) -> Response {
    let id = format!("req_{:016x}{:016x}", OsRng.next_u64(), OsRng.next_u64());
    request.extensions_mut().insert(RequestId(id.clone()));
    let mut response = next.run(request).await;
    if let Ok(id) = HeaderValue::from_str(&id) {
        response.headers_mut().insert("x-request-id", id);
    }
    response
}

/// Middleware that refuses requests without a valid key.
pub(super) async fn authorize(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Response {
    let Some(secret) = presented(request.headers()) else {
        return refused("send the API key as `Authorization: Bearer KEY`").into_response();
    };
    let digest = digest(secret);
    let found = match api.relay.store.read(|db| keys::find(db, digest)) {
        Ok(found) => found.filter(|key| key.is_valid(now())),
        Err(error) => return ApiError::from(error).into_response(),
    };
    match found {
        Some(key) => {
            request.extensions_mut().insert(Arc::new(key));
            next.run(request).await
        }
        None => refused("the API key is not valid, or has ended").into_response(),
    }
}

fn refused(message: &str) -> ApiError {
    ApiError::new(StatusCode::UNAUTHORIZED, "invalid_api_key", message)
}

fn presented(headers: &HeaderMap) -> Option<&str> {
    let bearer = || {
        let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
        let (scheme, key) = value.split_once(' ')?;
        let is_bearer = scheme.eq_ignore_ascii_case("bearer");
        is_bearer.then(|| key.trim())
    };
    let plain = || headers.get("x-api-key")?.to_str().ok();
    bearer().or_else(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_comes_in_either_header() {
        let headers = |name: &'static str, value: &'static str| {
            HeaderMap::from_iter([(
                header::HeaderName::from_static(name),
                HeaderValue::from_static(value),
            )])
        };
        assert_eq!(
            presented(&headers("authorization", "Bearer poq-a")),
            Some("poq-a")
        );
        assert_eq!(
            presented(&headers("authorization", "bearer  poq-a ")),
            Some("poq-a")
        );
        assert_eq!(presented(&headers("x-api-key", "poq-a")), Some("poq-a"));
        assert_eq!(presented(&headers("authorization", "Basic poq-a")), None);
        assert_eq!(presented(&HeaderMap::new()), None);
    }
}
