//! The JSON-RPC endpoint of one CometBFT node, with this crate's errors.

use std::time::Duration;

use tendermint_rpc::client::CompatMode;
use tendermint_rpc::error::ErrorDetail;
use tendermint_rpc::{HttpClient, HttpClientUrl};

use crate::{Error, Result};

/// Time limit of one request, from connecting to the last byte of the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

/// An RPC endpoint; clones share its connections.
#[derive(Clone, Debug)]
pub(crate) struct Rpc {
    http: HttpClient,
    url: String,
}

impl Rpc {
    /// Accepts `http://`, `https://` and `tcp://`; connects on the first request.
    pub(crate) fn new(url: &str) -> Result<Self> {
        let url = match url.trim().strip_prefix("tcp://") {
            Some(rest) => format!("http://{rest}"),
            None => url.trim().to_owned(),
        };
        let invalid = |error: tendermint_rpc::Error| Error::Url {
            url: url.clone(),
            reason: message(&error),
        };
        let http = HttpClientUrl::try_from(url.as_str())
            .and_then(|parsed| {
                HttpClient::builder(parsed)
                    .compat_mode(CompatMode::V0_38)
                    .timeout(REQUEST_TIMEOUT)
                    .build()
            })
            .map_err(invalid)?;
        Ok(Self { http, url })
    }

    /// The node's address, `http://` or `https://`.
    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// The HTTP client for requests; pass their results to [`Self::check`].
    pub(crate) fn http(&self) -> &HttpClient {
        &self.http
    }

    /// The URL of the node's WebSocket.
    pub(crate) fn websocket_url(&self) -> String {
        let base = self.url.trim_end_matches('/');
        // `http` becomes `ws`, `https` becomes `wss`.
        format!("{}/websocket", base.replacen("http", "ws", 1))
    }

    /// Converts the HTTP client's errors to this crate's.
    pub(crate) fn check<T>(
        &self,
        method: &'static str,
        result: std::result::Result<T, tendermint_rpc::Error>,
    ) -> Result<T> {
        result.map_err(|error| match error.detail() {
            ErrorDetail::Response(response) => Error::Rpc {
                url: self.url.clone(),
                method,
                reason: response.source.to_string(),
            },
            ErrorDetail::HttpRequestFailed(_) => Error::Rpc {
                url: self.url.clone(),
                method,
                reason: message(&error),
            },
            ErrorDetail::Http(_) => Error::Unreachable {
                url: self.url.clone(),
                reason: message(&error),
            },
            _ => Error::Decode {
                what: method.into(),
                reason: message(&error),
            },
        })
    }
}

/// The error's own text: its `Display` includes the `Debug` form of the trace.
pub(crate) fn message(error: &tendermint_rpc::Error) -> String {
    error.trace().to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_all_schemes() {
        let websocket = |url: &str| Rpc::new(url).unwrap().websocket_url();
        assert_eq!(websocket("http://host:1"), "ws://host:1/websocket");
        assert_eq!(websocket("tcp://host:1/"), "ws://host:1/websocket");
        assert_eq!(websocket("https://host/rpc"), "wss://host/rpc/websocket");
    }

    #[test]
    fn bad_addresses_are_refused() {
        for url in [
            "",
            "host:26657",
            "ftp://host",
            "unix:///socket",
            "ws://host:1",
        ] {
            let error = Rpc::new(url).unwrap_err();
            assert!(matches!(error, Error::Url { .. }), "{url}: {error}");
        }
    }
}
