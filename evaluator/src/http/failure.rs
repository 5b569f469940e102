//! Errors in text-embeddings-inference's form.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use poq_reference_evaluator as reference;
use serde::Serialize;

use crate::scorer::Error;

/// Value of `retry-after` in seconds.
const RETRY_AFTER: header::HeaderValue = header::HeaderValue::from_static("5");

/// TEI's kinds of errors; each has a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub(super) enum ErrorType {
    /// The model has stopped: 503.
    Unhealthy,
    /// The model failed: 424.
    Backend,
    /// The queue is full: 429.
    Overloaded,
    /// The request is over a limit: 413; or malformed: HTTP's status for it.
    Validation,
    /// A text cannot be tokenized: 422.
    Tokenizer,
    /// The request has no texts, or a blank prompt: 400.
    Empty,
}

/// A failed request.
#[derive(Debug)]
pub(super) struct Failure {
    status: StatusCode,
    error_type: ErrorType,
    error: String,
}

#[derive(Serialize)]
struct Body<'a> {
    error: &'a str,
    error_type: ErrorType,
}

impl Failure {
    /// With the kind's default status.
    pub(super) fn new(error_type: ErrorType, error: impl Into<String>) -> Self {
        let status = match error_type {
            ErrorType::Unhealthy => StatusCode::SERVICE_UNAVAILABLE,
            ErrorType::Backend => StatusCode::FAILED_DEPENDENCY,
            ErrorType::Overloaded => StatusCode::TOO_MANY_REQUESTS,
            ErrorType::Validation => StatusCode::PAYLOAD_TOO_LARGE,
            ErrorType::Tokenizer => StatusCode::UNPROCESSABLE_ENTITY,
            ErrorType::Empty => StatusCode::BAD_REQUEST,
        };
        Self {
            status,
            error_type,
            error: error.into(),
        }
    }

    /// A malformed request.
    pub(super) fn invalid(status: StatusCode, error: impl Into<String>) -> Self {
        Self {
            status,
            ..Self::new(ErrorType::Validation, error)
        }
    }

    /// The model has stopped.
    pub(super) fn unhealthy() -> Self {
        Self::new(
            ErrorType::Unhealthy,
            "the model has stopped; restart the server",
        )
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        let body = Json(Body {
            error: &self.error,
            error_type: self.error_type,
        });
        let mut response = (self.status, body).into_response();
        if self.error_type == ErrorType::Overloaded {
            let headers = response.headers_mut();
            headers.insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}

impl From<JsonRejection> for Failure {
    fn from(rejection: JsonRejection) -> Self {
        Self::invalid(rejection.status(), rejection.body_text())
    }
}

impl From<QueryRejection> for Failure {
    fn from(rejection: QueryRejection) -> Self {
        Self::invalid(rejection.status(), rejection.body_text())
    }
}

impl From<Arc<Error>> for Failure {
    fn from(error: Arc<Error>) -> Self {
        let error_type = match *error {
            Error::TooLong { .. } => ErrorType::Validation,
            Error::Reference(reference::Error::Text { .. }) => ErrorType::Tokenizer,
            _ => ErrorType::Backend,
        };
        Self::new(error_type, error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_have_their_status() {
        let reason = String::new();
        for (error, status) in [
            (Error::TooLong { tokens: 9, most: 8 }, 413),
            (Error::NotANumber, 424),
            (reference::Error::Text { bytes: 1, reason }.into(), 422),
        ] {
            assert_eq!(Failure::from(Arc::new(error)).status.as_u16(), status);
        }
        assert_eq!(Failure::unhealthy().status.as_u16(), 503);
    }
}
