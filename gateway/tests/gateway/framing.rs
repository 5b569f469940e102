//! Requests as bytes on a connection: smuggled, oversized, slow.

use std::time::Duration;

use axum::http::StatusCode;
use poq_worker::program::http_server::Limits;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::world::{SOON, World, question};

/// What a gateway says until it closes the connection.
async fn said(address: std::net::SocketAddr, request: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // The gateway may close the connection before it has read everything.
    let _ = stream.write_all(request.as_bytes()).await;
    let mut answer = Vec::new();
    let _ = timeout(SOON, stream.read_to_end(&mut answer))
        .await
        .unwrap();
    String::from_utf8(answer).unwrap()
}

fn status(answer: &str) -> Option<&str> {
    answer.strip_prefix("HTTP/1.1 ")?.get(..3)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_smuggled_behind_a_body() {
    let world = World::with_nodes(1).await;
    let address = world.serve_with(Limits::default()).await;
    let body = question("Why?").to_string();
    let chunked = format!("{:x}\r\n{body}\r\n0\r\n\r\n", body.len());
    let start = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer {}\r\n",
        world.key
    );
    let smuggled = format!(
        "GET /v1/models HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\n\r\n",
        world.key
    );
    let (length, encoding) = (
        format!("content-length: {}\r\n", chunked.len()),
        "transfer-encoding: chunked\r\n",
    );
    // The chunks count, and the connection ends after them.
    for headers in [
        format!("{length}{encoding}"),
        format!("{encoding}{length}"),
        encoding.to_owned(),
    ] {
        let answer = said(address, &format!("{start}{headers}\r\n{chunked}{smuggled}")).await;
        assert!(!answer.contains("\"object\":\"list\""), "{answer}");
        assert!(answer.contains("connection: close"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
    }
    let orders = world.nodes[0].orders();
    for headers in [
        "content-length: 5\r\ncontent-length: 6\r\n".to_owned(),
        "content-length: +5\r\n".to_owned(),
        "content-length: -1\r\n".to_owned(),
        "transfer-encoding: chunked, identity\r\n".to_owned(),
        "transfer-encoding: nonsense\r\n".to_owned(),
        format!("transfer-encoding: identity\r\n{length}"),
    ] {
        let answer = said(address, &format!("{start}{headers}\r\n{chunked}")).await;
        assert_eq!(status(&answer), Some("400"), "{headers}: {answer}");
    }
    assert_eq!(world.nodes[0].orders(), orders);
    world.settle(0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn headers_have_a_limit() {
    let world = World::with_nodes(1).await;
    let address = world.serve_with(Limits::default()).await;
    let start = "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n";
    let large = format!("{start}x-large: {}\r\n\r\n", "a".repeat(1 << 20));
    let many = format!("{start}{}\r\n", "x-one: a\r\n".repeat(1_000));
    for request in [large, many] {
        let answer = said(address, &request).await;
        assert!(
            answer.is_empty() || matches!(status(&answer), Some("400" | "431")),
            "{answer}"
        );
    }
    assert_eq!(world.nodes[0].orders(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_body_that_does_not_come_is_not_waited_for() {
    let world = World::with_nodes(1).await;
    let limits = Limits {
        request: Duration::from_millis(300),
        ..Limits::default()
    };
    let address = world.serve_with(limits).await;
    let request = format!(
        "POST /v1/responses HTTP/1.1\r\nhost: x\r\nx-api-key: {}\r\ncontent-length: 500\r\n\r\n{{",
        world.key
    );
    let answer = said(address, &request).await;
    assert_eq!(status(&answer), Some("408"), "{answer}");
    assert_eq!(world.nodes[0].orders(), 0);
    assert_eq!(world.charged(), 0);
    assert_eq!(world.ask(&question("Why?")).await.status, StatusCode::OK);
}
