//! Errors as HTTP responses.

use axum::Json;
use axum::extract::rejection::JsonRejection;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::settings::Invalid;
use crate::compute::Error as ComputeError;
use crate::generator::Error as GeneratorError;

/// An error in OpenAI's form.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    message: String,
    param: Option<&'static str>,
    code: Option<&'static str>,
}

impl Failure {
    /// A failure with a status and a remedy.
    pub(super) fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self {
            status,
            message: message.into(),
            param: None,
            code: None,
        }
    }

    /// Names the invalid setting.
    pub(super) fn param(self, param: &'static str) -> Self {
        Self {
            param: Some(param),
            ..self
        }
    }

    /// Adds OpenAI's error code.
    pub(super) fn code(self, code: &'static str) -> Self {
        Self {
            code: Some(code),
            ..self
        }
    }

    /// The response's body.
    pub(super) fn body(&self) -> Value {
        let kind = match self.status {
            StatusCode::TOO_MANY_REQUESTS => "requests",
            status if status.is_client_error() => "invalid_request_error",
            _ => "server_error",
        };
        json!({ "error": {
            "message": self.message, "type": kind, "param": self.param, "code": self.code,
        } })
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(self.body())).into_response();
        let headers = response.headers_mut();
        match self.status {
            StatusCode::SERVICE_UNAVAILABLE | StatusCode::TOO_MANY_REQUESTS => {
                headers.insert(header::RETRY_AFTER, HeaderValue::from_static("5"));
            }
            StatusCode::UNAUTHORIZED => {
                let scheme = HeaderValue::from_static("Bearer");
                headers.insert(header::WWW_AUTHENTICATE, scheme);
            }
            _ => {}
        }
        response
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        // OpenAI answers 400 to every malformed request.
        let status = match rejection.status() {
            StatusCode::UNPROCESSABLE_ENTITY => StatusCode::BAD_REQUEST,
            status => status,
        };
        Self::new(status, rejection.body_text())
    }
}

impl From<Invalid> for Failure {
    fn from(invalid: Invalid) -> Self {
        let message = format!("{}: {}", invalid.param, invalid.message);
        Self::new(StatusCode::BAD_REQUEST, message).param(invalid.param)
    }
}

impl From<ComputeError> for Failure {
    fn from(error: ComputeError) -> Self {
        let message = error.to_string();
        match error {
            ComputeError::Busy => {
                Self::new(StatusCode::TOO_MANY_REQUESTS, message).code("rate_limit_exceeded")
            }
            ComputeError::Expired | ComputeError::Preempted | ComputeError::ShuttingDown => {
                Self::new(StatusCode::SERVICE_UNAVAILABLE, message)
            }
            ComputeError::Generator(GeneratorError::PromptTooLong { .. }) => {
                Self::new(StatusCode::BAD_REQUEST, message)
                    .param("messages")
                    .code("context_length_exceeded")
            }
            ComputeError::Generator(GeneratorError::Conversation(_)) => {
                Self::new(StatusCode::BAD_REQUEST, message).param("messages")
            }
            ComputeError::Generator(_) => Self::new(StatusCode::INTERNAL_SERVER_ERROR, message),
        }
    }
}
