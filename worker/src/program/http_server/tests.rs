use axum::body::{Body, Bytes};
use axum::routing::{get, post};
use futures::StreamExt;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::task::JoinHandle;

use super::*;

const SOON: Duration = Duration::from_millis(100);
const NEVER: Duration = Duration::from_secs(600);

struct Running {
    address: SocketAddr,
    shutdown: CancellationToken,
    server: JoinHandle<io::Result<()>>,
}

async fn start(limits: Limits) -> Running {
    let slow = async || {
        sleep(SOON * 3).await;
        "slow"
    };
    let parts = async || {
        let parts = futures::stream::iter(["a", "b", "c"]).then(async |part| {
            sleep(SOON).await;
            Ok::<_, io::Error>(part)
        });
        Body::from_stream(parts)
    };
    let router = Router::new()
        .route("/", get(async || "here"))
        .route("/slow", get(slow))
        .route("/parts", get(parts))
        .route("/json", get(async || Json(u64::MAX)))
        .route("/body", post(async |body: Bytes| body))
        .route(
            "/peer",
            get(async |Extension(Peer(peer)): Extension<Peer>| peer.ip().to_string()),
        );
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let shutdown = CancellationToken::new();
    let server = tokio::spawn(serve(listener, router, limits, shutdown.clone()));
    Running {
        address,
        shutdown,
        server,
    }
}

/// Everything the server answers to `request` until it closes the connection.
async fn said(address: SocketAddr, text: &str) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

fn asked(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
}

fn limits() -> Limits {
    Limits {
        headers: NEVER,
        request: NEVER,
        ..Limits::default()
    }
}

#[tokio::test]
async fn who_says_nothing_is_cut_off() {
    let server = start(Limits {
        headers: SOON,
        ..limits()
    })
    .await;
    for beginning in ["", "GET / HT", "GET / HTTP/1.1\r\nhost: x\r\n"] {
        let answer = timeout(NEVER, said(server.address, beginning))
            .await
            .unwrap();
        assert!(!answer.contains("here"), "{answer}");
    }
    assert!(said(server.address, &asked("/")).await.ends_with("here"));
}

#[tokio::test]
async fn a_request_has_its_time_and_a_stream_more() {
    let server = start(Limits {
        request: SOON * 2,
        ..limits()
    })
    .await;
    let half = "POST /body HTTP/1.1\r\nhost: x\r\ncontent-length: 9\r\n\r\nhalf";
    for late in [asked("/slow"), half.to_owned()] {
        let answer = said(server.address, &late).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
    }
    let answer = said(server.address, &asked("/parts")).await;
    assert!(
        answer.starts_with("HTTP/1.1 200") && answer.contains("c\r\n"),
        "{answer}"
    );
}

#[tokio::test]
async fn more_requests_than_there_are_places_are_told_to_come_back() {
    let server = start(Limits {
        requests: 1,
        ..limits()
    })
    .await;
    let (slow, here) = (asked("/slow"), asked("/"));
    let beside = async {
        sleep(SOON).await;
        said(server.address, &here).await
    };
    let (slow, refused) = tokio::join!(said(server.address, &slow), beside);
    assert!(slow.ends_with("slow"), "{slow}");
    assert!(refused.starts_with("HTTP/1.1 503"), "{refused}");
    assert!(refused.contains("retry-after: 5"), "{refused}");
    assert!(said(server.address, &here).await.ends_with("here"));
}

#[tokio::test]
async fn integers_of_64_bits_are_text_in_json() {
    let server = start(limits()).await;
    let answer = said(server.address, &asked("/json")).await;
    assert!(
        answer.contains("content-type: application/json"),
        "{answer}"
    );
    assert!(answer.ends_with("\"18446744073709551615\""), "{answer}");
}

#[tokio::test]
async fn a_request_knows_where_it_comes_from() {
    let server = start(limits()).await;
    let answer = said(server.address, &asked("/peer")).await;
    assert!(answer.ends_with("127.0.0.1"), "{answer}");
}

/// A transport whose first byte is not HTTP.
#[derive(Clone)]
struct Greeting;

impl Transport for Greeting {
    type Stream = TcpStream;

    async fn open(&self, mut stream: TcpStream) -> io::Result<TcpStream> {
        match stream.read_u8().await? {
            b'!' => Ok(stream),
            _ => Err(io::ErrorKind::InvalidData.into()),
        }
    }
}

#[tokio::test]
async fn a_transport_opens_every_connection_or_is_cut_off() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let address = listener.local_addr().unwrap();
    let router = Router::new().route("/", get(async || "here"));
    let limits = Limits {
        headers: SOON,
        ..limits()
    };
    let shutdown = CancellationToken::new();
    tokio::spawn(serve_over(Greeting, listener, router, limits, shutdown));
    let greeted = format!("!{}", asked("/"));
    assert!(said(address, &greeted).await.ends_with("here"));
    assert!(!said(address, "?").await.contains("here"));
    assert_eq!(timeout(NEVER, said(address, "")).await.unwrap(), "");
}

#[tokio::test]
async fn a_connection_waits_for_its_place() {
    let server = start(Limits {
        connections: 1,
        ..limits()
    })
    .await;
    let silent = TcpStream::connect(server.address).await.unwrap();
    let here = asked("/");
    let waiting = said(server.address, &here);
    tokio::pin!(waiting);
    assert!(timeout(SOON * 2, waiting.as_mut()).await.is_err());
    drop(silent);
    assert!(waiting.await.ends_with("here"));
}

#[tokio::test]
async fn an_address_has_its_connections_and_no_more() {
    let server = start(Limits {
        per_address: Some(1),
        ..limits()
    })
    .await;
    let silent = TcpStream::connect(server.address).await.unwrap();
    // The other connection may be accepted later than it is made.
    let mut refused = TcpStream::connect(server.address).await.unwrap();
    let mut answer = String::new();
    let _ = refused.write_all(asked("/").as_bytes()).await;
    let _ = refused.read_to_string(&mut answer).await;
    assert_eq!(answer, "");
    drop(silent);
    let served = async {
        loop {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            let mut answer = String::new();
            let _ = stream.write_all(asked("/").as_bytes()).await;
            let _ = stream.read_to_string(&mut answer).await;
            if answer.ends_with("here") {
                return;
            }
            sleep(SOON).await;
        }
    };
    timeout(NEVER, served).await.unwrap();
}

#[tokio::test]
async fn headers_have_a_size() {
    let server = start(limits()).await;
    let cookie = |bytes: usize| {
        let value = "a".repeat(bytes);
        asked("/").replace("host: x", &format!("host: x\r\ncookie: {value}"))
    };
    let answer = said(server.address, &cookie(10_000)).await;
    assert!(answer.ends_with("here"), "{answer}");
    let mut stream = TcpStream::connect(server.address).await.unwrap();
    // The server may close the connection before it has read all.
    let _ = stream.write_all(cookie(1 << 20).as_bytes()).await;
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    assert!(!answer.ends_with(b"here"));
}

#[tokio::test]
async fn what_was_asked_before_the_end_is_answered() {
    let server = start(limits()).await;
    let slow = asked("/slow");
    let stop = async {
        sleep(SOON).await;
        server.shutdown.cancel();
    };
    let (answer, ()) = tokio::join!(said(server.address, &slow), stop);
    assert!(answer.ends_with("slow"), "{answer}");
    server.server.await.unwrap().unwrap();
    assert!(TcpStream::connect(server.address).await.is_err());
}
