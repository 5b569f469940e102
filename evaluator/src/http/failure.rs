//! Errors in text-embeddings-inference's form.

use std::sync::Arc;

use axum::Json;
use axum::extract::rejection::{JsonRejection, QueryRejection};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use poq_reference_evaluator as reference;
use serde::Serialize;

use crate::scorer::Error;

/// Seconds after which a full queue is likely to have room.
const RETRY_AFTER: header::HeaderValue = header::HeaderValue::from_static("5");

/// TEI's kinds of errors, which lead to a status.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum ErrorType {
    /// The model has stopped: 503.
    Unhealthy,
    /// The model failed: 424.
    Backend,
    /// The queue is full: 429.
    Overloaded,
    /// The request is over a limit: 413, or is none: what HTTP has for it.
    Validation,
    /// A text cannot be tokenized: 422.
    Tokenizer,
    /// The request has no texts, or asks nothing: 400.
    Empty,
}

/// A request that gets no scores.
#[derive(Debug)]
pub struct Failure {
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
    /// With the kind's own status.
    pub fn new(error_type: ErrorType, error: impl Into<String>) -> Self {
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

    /// A request that is none.
    pub fn invalid(status: StatusCode, error: impl Into<String>) -> Self {
        Self {
            status,
            ..Self::new(ErrorType::Validation, error)
        }
    }

    /// The model has stopped.
    pub fn unhealthy() -> Self {
        Self::new(
            ErrorType::Unhealthy,
            "the model has stopped; start it again",
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
