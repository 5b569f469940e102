//! Who may use the gateway, and the id of a request.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use poq_worker::program::callers::{self, Callers, caller};
use poq_worker::program::http_server::Peer;
use rand::RngCore;
use rand::rngs::OsRng;

use super::Api;
use super::failure::{ApiError, LATER};
use crate::keys::{Rate, digest};
use crate::store::keys::{self, Key};
use crate::store::now;

/// Wrong keys of one address: 20 a minute.
const WRONG_KEYS: callers::Rate = callers::Rate {
    burst: 20.0,
    per_second: 20.0 / 60.0,
};

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

/// Counts wrong keys by address, so that nobody tries many.
pub(crate) struct Door {
    wrong_keys: Callers,
    is_behind_proxy: bool,
}

impl Door {
    /// Behind a proxy, it says where requests come from.
    pub(crate) fn new(is_behind_proxy: bool) -> Self {
        Self {
            wrong_keys: Callers::new(WRONG_KEYS),
            is_behind_proxy,
        }
    }

    fn caller(&self, request: &Request) -> IpAddr {
        let peer = request.extensions().get::<Peer>();
        // Only a test has no peer.
        let peer = peer.map_or(Ipv4Addr::UNSPECIFIED.into(), |Peer(peer)| peer.ip());
        caller(peer, request.headers(), self.is_behind_proxy)
    }

    /// Refuses an address that has sent too many wrong keys.
    fn enter(&self, address: IpAddr, now: Instant) -> Result<(), ApiError> {
        let Some(wait) = self.wrong_keys.wait(address, now) else {
            return Ok(());
        };
        let status = StatusCode::TOO_MANY_REQUESTS;
        let message =
            "too many wrong API keys came from this address; check the key, and try again later";
        let seconds = u32::try_from(wait.as_secs()).map_or(LATER, |seconds| seconds + 1);
        let error = ApiError::new(status, "rate_limit_exceeded", message);
        Err(error.retry_after(seconds.min(LATER)))
    }
}

/// Middleware that refuses requests without a valid key, and tells a limited key its limit.
pub(super) async fn authorize(
    State(api): State<Arc<Api>>,
    mut request: Request,
    next: Next,
) -> Response {
    let key = match identified(&api, &request) {
        Ok(key) => Arc::new(key),
        Err(error) => return error.into_response(),
    };
    request.extensions_mut().insert(key.clone());
    let mut response = next.run(request).await;
    if let Some(rate) = api.usage.rate(&key, now()) {
        tell(response.headers_mut(), rate);
    }
    response
}

/// The valid key of a request.
fn identified(api: &Api, request: &Request) -> Result<Key, ApiError> {
    let secret = presented(request.headers())
        .ok_or_else(|| refused("send the API key as `Authorization: Bearer KEY`"))?;
    let (address, time) = (api.door.caller(request), Instant::now());
    api.door.enter(address, time)?;
    let digest = digest(secret);
    let found = api.relay.store.read(|db| keys::find(db, digest))?;
    found.filter(|key| key.is_valid(now())).ok_or_else(|| {
        api.door.wrong_keys.admit(address, time);
        refused("the API key is not valid, or has ended")
    })
}

/// The headers by which OpenAI's clients know a limit.
fn tell(headers: &mut HeaderMap, rate: Rate) {
    let values = [
        ("x-ratelimit-limit-requests", rate.limit.to_string()),
        ("x-ratelimit-remaining-requests", rate.remaining.to_string()),
        ("x-ratelimit-reset-requests", format!("{}s", rate.reset)),
    ];
    for (name, value) in values {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(name, value);
        }
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
    fn wrong_keys_count_against_who_sent_them() {
        let from = |peer: &str, forwarded: Option<&str>| {
            let mut request = Request::new(axum::body::Body::empty());
            let peer = Peer(format!("{peer}:1").parse().unwrap());
            request.extensions_mut().insert(peer);
            if let Some(address) = forwarded {
                let headers = request.headers_mut();
                headers.insert("x-forwarded-for", address.parse().unwrap());
            }
            request
        };
        let start = Instant::now();
        for is_behind_proxy in [false, true] {
            let door = Door::new(is_behind_proxy);
            let loud = door.caller(&from("10.0.0.1", Some("9.9.9.9, 1.1.1.1")));
            for _ in 0..20 {
                door.enter(loud, start).unwrap();
                door.wrong_keys.admit(loud, start);
            }
            assert!(door.enter(loud, start).is_err());
            let same_peer = door.caller(&from("10.0.0.1", Some("2.2.2.2")));
            assert_eq!(door.enter(same_peer, start).is_ok(), is_behind_proxy);
            let same_client = door.caller(&from("10.0.0.2", Some("1.1.1.1")));
            assert_eq!(door.enter(same_client, start).is_err(), is_behind_proxy);
            let later = start + std::time::Duration::from_secs(4);
            door.enter(loud, later).unwrap();
        }
    }

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
