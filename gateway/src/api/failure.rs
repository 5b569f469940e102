//! Errors in OpenAI's form.

use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use crate::ask::Misfit;
use crate::keys::Exceeded;
use crate::relay::Failure;
use crate::store;

/// The field of the prompt, as long as it is not known which surface has read it.
pub(super) const PROMPT: &str = "messages";
/// Seconds after which a client should try again.
const SOON: u32 = 3;
/// Seconds after which a client should try again when nothing changes soon.
pub(super) const LATER: u32 = 30;

/// An error as a client gets it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ApiError {
    status: StatusCode,
    code: &'static str,
    message: String,
    param: Option<String>,
    retry_after: Option<u32>,
    /// OpenAI's clients repeat a request with one of some statuses unless this forbids it.
    is_final: bool,
}

impl ApiError {
    /// An error without a parameter.
    pub(crate) fn new(status: StatusCode, code: &'static str, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            param: None,
            retry_after: None,
            is_final: false,
        }
    }

    /// 400 for a field that is not known or not served.
    pub(crate) fn unsupported(param: impl Into<String>) -> Self {
        let param = param.into();
        let message = format!("`{param}` is not supported; leave it out");
        Self::new(StatusCode::BAD_REQUEST, "unsupported_parameter", message).param(param)
    }

    /// 400 for a value that a field cannot have.
    pub(crate) fn invalid(param: impl Into<String>, reason: impl std::fmt::Display) -> Self {
        let param = param.into();
        let message = format!("`{param}` {reason}");
        Self::new(StatusCode::BAD_REQUEST, "invalid_value", message).param(param)
    }

    /// 404 for a model that is not in the registry.
    pub(crate) fn no_model(id: &str) -> Self {
        let message = format!("the chain has no model `{id}`; see GET /v1/models");
        Self::new(StatusCode::NOT_FOUND, "model_not_found", message).param("model")
    }

    /// Names the field.
    pub(crate) fn param(self, param: impl Into<String>) -> Self {
        Self {
            param: Some(param.into()),
            ..self
        }
    }

    /// An error about the prompt names the field that the client has it in.
    pub(crate) fn prompt_in(self, field: &str) -> Self {
        match self.param.as_deref() {
            Some(PROMPT) => self.param(field),
            _ => self,
        }
    }

    /// Says when to try again.
    pub(crate) fn retry_after(self, seconds: u32) -> Self {
        Self {
            retry_after: Some(seconds),
            ..self
        }
    }

    fn finally(self) -> Self {
        Self {
            is_final: true,
            ..self
        }
    }

    /// The object in a body or in a stream.
    pub(crate) fn body(&self) -> Value {
        let kind = match self.status {
            StatusCode::TOO_MANY_REQUESTS => "requests",
            StatusCode::PAYMENT_REQUIRED => "insufficient_quota",
            StatusCode::UNAUTHORIZED => "authentication_error",
            status if status.is_client_error() => "invalid_request_error",
            _ => "server_error",
        };
        json!({ "error": {
            "message": self.message, "type": kind, "param": self.param, "code": self.code,
        } })
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, seconds.into());
        }
        if self.is_final {
            let no = HeaderValue::from_static("false");
            headers.insert("x-should-retry", no);
        }
        if self.status == StatusCode::UNAUTHORIZED {
            let scheme = HeaderValue::from_static("Bearer");
            headers.insert(header::WWW_AUTHENTICATE, scheme);
        }
        response
    }
}

impl From<Failure> for ApiError {
    fn from(failure: Failure) -> Self {
        use StatusCode as S;
        let message = failure.to_string();
        match failure {
            Failure::Busy => {
                Self::new(S::TOO_MANY_REQUESTS, "nodes_busy", message).retry_after(SOON)
            }
            Failure::NoNode(_) => {
                Self::new(S::SERVICE_UNAVAILABLE, "no_node", message).retry_after(SOON)
            }
            Failure::Opening => {
                Self::new(S::SERVICE_UNAVAILABLE, "session_opening", message).retry_after(SOON)
            }
            Failure::Halted => {
                Self::new(S::SERVICE_UNAVAILABLE, "chain_halted", message).retry_after(LATER)
            }
            Failure::Poor | Failure::NoCredit(_) => {
                Self::new(S::PAYMENT_REQUIRED, "insufficient_quota", message)
            }
            Failure::Misfit(misfit) => misfit.into(),
            Failure::Declined {
                is_quality: true, ..
            } => Self::new(S::FORBIDDEN, "quality_declined", message).param("poq.min_quality"),
            Failure::Declined { .. } => {
                Self::new(S::BAD_REQUEST, "context_length_exceeded", message).param(PROMPT)
            }
            Failure::Lost => {
                Self::new(S::SERVICE_UNAVAILABLE, "node_lost", message).retry_after(SOON)
            }
            Failure::InvalidReceipt(_) => {
                Self::new(S::BAD_GATEWAY, "invalid_receipt", message).finally()
            }
            Failure::Late => Self::new(S::GATEWAY_TIMEOUT, "node_timeout", message).finally(),
            Failure::Internal => Self::new(S::INTERNAL_SERVER_ERROR, "internal", message).finally(),
        }
    }
}

impl From<Misfit> for ApiError {
    fn from(misfit: Misfit) -> Self {
        let message = misfit.to_string();
        match misfit {
            Misfit::Prompt { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "context_length_exceeded", message).param(PROMPT)
            }
            Misfit::Price { .. } => {
                Self::new(StatusCode::BAD_REQUEST, "max_price_too_low", message)
                    .param("poq.max_price")
            }
        }
    }
}

impl From<Exceeded> for ApiError {
    fn from(exceeded: Exceeded) -> Self {
        let (code, message) = ("rate_limit_exceeded", exceeded.to_string());
        match exceeded {
            Exceeded::Requests { seconds } => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, code, message)
                    .retry_after(seconds.min(LATER))
            }
            Exceeded::Answers => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, code, message).retry_after(SOON)
            }
            Exceeded::Budget => {
                Self::new(StatusCode::PAYMENT_REQUIRED, "insufficient_quota", message)
            }
        }
    }
}

impl From<store::Error> for ApiError {
    fn from(error: store::Error) -> Self {
        tracing::error!("{error}");
        Failure::Internal.into()
    }
}
