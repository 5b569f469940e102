//! Where one request ends and the next begins on a connection.

use axum::extract::Request;
use axum::http::{HeaderValue, header};
use axum::middleware::Next;
use axum::response::Response;

/// Middleware that has the connection closed after a chunked body. A proxy in front may have taken the
/// length of such a body from a second header, which the server has dropped by then; so what follows the
/// body may be another client's request (RFC 9112, section 6.3).
pub(super) async fn close_after_chunks(request: Request, next: Next) -> Response {
    let is_chunked = request.headers().contains_key(header::TRANSFER_ENCODING);
    let mut response = next.run(request).await;
    if is_chunked {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(header::CONNECTION, close);
    }
    response
}
