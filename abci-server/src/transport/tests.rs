//! Tests of the server over real sockets.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Duration;

use prost::Message;
use tendermint_abci::Application;
use tendermint_proto::v0_38::abci::{
    Request, RequestCheckTx, RequestEcho, RequestFlush, Response, ResponseCheckTx,
    request::Value as Asked, response::Value as Answered,
};

use super::frame::FrameReader;
use super::socket::Stream;
use super::{Address, Error, Listener, MAX_CONNECTIONS, MAX_MESSAGE_BYTES, Server};

const LIMIT: usize = 8 << 20;

/// Answers CheckTx with the length of the transaction and counts the calls.
#[derive(Clone, Default)]
struct Counter(Arc<AtomicUsize>);

impl Application for Counter {
    fn check_tx(&self, request: RequestCheckTx) -> ResponseCheckTx {
        self.0.fetch_add(1, Ordering::SeqCst);
        ResponseCheckTx {
            gas_used: request.tx.len() as i64,
            ..Default::default()
        }
    }
}

/// A client that behaves like CometBFT.
struct Peer {
    stream: Stream,
    responses: FrameReader<Stream>,
}

impl Peer {
    fn connect(server: &Server) -> Self {
        let stream = match server.address() {
            Address::Tcp(endpoint) => Stream::Tcp(TcpStream::connect(endpoint).unwrap()),
            Address::Unix(path) => Stream::Unix(UnixStream::connect(path).unwrap()),
        };
        let peer = Self {
            responses: FrameReader::new(stream.try_clone().unwrap(), LIMIT),
            stream,
        };
        peer.patience(Duration::from_secs(20));
        peer
    }

    /// Sets the read timeout.
    fn patience(&self, timeout: Duration) {
        match &self.stream {
            Stream::Tcp(stream) => stream.set_read_timeout(Some(timeout)).unwrap(),
            Stream::Unix(stream) => stream.set_read_timeout(Some(timeout)).unwrap(),
        }
    }

    /// Closes the sending half of the connection.
    fn finish(&self) {
        match &self.stream {
            Stream::Tcp(stream) => stream.shutdown(Shutdown::Write).unwrap(),
            Stream::Unix(stream) => stream.shutdown(Shutdown::Write).unwrap(),
        }
    }

    fn send(&mut self, value: Asked) {
        let request = Request { value: Some(value) };
        self.send_raw(&request.encode_length_delimited_to_vec());
    }

    fn send_raw(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).unwrap();
    }

    fn flush(&mut self) {
        self.send(Asked::Flush(RequestFlush {}));
    }

    fn receive(&mut self) -> Answered {
        let bytes = self.responses.next().unwrap().expect("an answer");
        Response::decode(bytes).unwrap().value.unwrap()
    }

    /// Sends one request in a batch of its own and checks the answer.
    fn echo(&mut self, text: &str) {
        self.send(Asked::Echo(RequestEcho {
            message: text.into(),
        }));
        self.flush();
        assert!(matches!(self.receive(), Answered::Echo(echo) if echo.message == text));
        assert!(matches!(self.receive(), Answered::Flush(_)));
    }

    /// Whether the server has closed the connection.
    fn is_closed(&mut self) -> bool {
        match self.responses.next() {
            Ok(None) => true,
            Err(Error::Io(error)) => error.kind() == ErrorKind::ConnectionReset,
            _ => false,
        }
    }
}

fn check_tx(bytes: usize) -> Asked {
    Asked::CheckTx(RequestCheckTx {
        tx: vec![1; bytes].into(),
        r#type: 0,
    })
}

fn tcp_server(app: Counter) -> Server {
    let listener = Listener::bind(&"tcp://127.0.0.1:0".parse().unwrap()).unwrap();
    Server::with_limit(listener, app, LIMIT).unwrap()
}

#[test]
fn round_trips_over_tcp_and_unix() {
    let server = tcp_server(Counter::default());
    Peer::connect(&server).echo("over TCP");
    server.stop().unwrap();

    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("abci.sock");
    let listener = Listener::bind(&Address::Unix(path.clone())).unwrap();
    let server = Server::start(listener, Counter::default()).unwrap();
    Peer::connect(&server).echo("over a Unix socket");
    server.stop().unwrap();
    assert!(!path.exists());
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    let app = Counter::default();
    let server = tcp_server(app.clone());
    let mut peer = Peer::connect(&server);
    let sizes: Vec<usize> = (0..2_000).map(|index| index * 7 % 501).collect();
    for size in &sizes {
        peer.send(check_tx(*size));
    }
    peer.flush();
    for size in &sizes {
        assert!(matches!(peer.receive(), Answered::CheckTx(tx) if tx.gas_used == *size as i64));
    }
    assert!(matches!(peer.receive(), Answered::Flush(_)));
    assert_eq!(app.0.load(Ordering::SeqCst), sizes.len());
}

#[test]
fn answers_wait_for_a_flush() {
    let server = tcp_server(Counter::default());
    let mut peer = Peer::connect(&server);
    peer.send(check_tx(1));
    peer.patience(Duration::from_millis(200));
    let early = peer.stream.read(&mut [0]);
    assert_eq!(early.unwrap_err().kind(), ErrorKind::WouldBlock);
    peer.patience(Duration::from_secs(20));
    peer.flush();
    assert!(matches!(peer.receive(), Answered::CheckTx(_)));
}

#[test]
fn requests_may_arrive_in_parts_and_be_large() {
    let server = tcp_server(Counter::default());
    let mut peer = Peer::connect(&server);
    let request = Request {
        value: Some(check_tx(4 << 20)),
    };
    let bytes = request.encode_length_delimited_to_vec();
    for part in [&bytes[..1], &bytes[1..2], &bytes[2..77], &bytes[77..]] {
        peer.send_raw(part);
        thread::sleep(Duration::from_millis(5));
    }
    peer.flush();
    assert!(matches!(peer.receive(), Answered::CheckTx(tx) if tx.gas_used == 4 << 20));
}

#[test]
fn a_truncated_request_ends_only_its_connection() {
    let app = Counter::default();
    let server = tcp_server(app.clone());
    let mut other = Peer::connect(&server);
    let mut peer = Peer::connect(&server);
    let request = Request {
        value: Some(check_tx(100)),
    };
    let bytes = request.encode_length_delimited_to_vec();
    peer.send_raw(&bytes[..bytes.len() - 1]);
    peer.finish();
    assert!(peer.is_closed());
    assert_eq!(app.0.load(Ordering::SeqCst), 0);
    other.echo("still served");
}

#[test]
fn an_oversized_request_ends_only_its_connection() {
    let server = tcp_server(Counter::default());
    let mut other = Peer::connect(&server);
    let mut peer = Peer::connect(&server);
    let mut prefix = Vec::new();
    prost::encoding::encode_varint(LIMIT as u64 + 1, &mut prefix);
    peer.send_raw(&prefix);
    assert!(peer.is_closed());
    other.echo("still served");
}

#[test]
fn garbage_gets_an_exception_or_ends_its_connection() {
    let server = tcp_server(Counter::default());
    // A framed message that is not a request.
    let mut peer = Peer::connect(&server);
    peer.send_raw(&[4, 0xff, 0xff, 0xff, 0xff]);
    assert!(
        matches!(peer.receive(), Answered::Exception(exception) if exception.error.contains("decoded"))
    );
    peer.echo("in step again");
    // Bytes without valid framing.
    let mut peer = Peer::connect(&server);
    peer.send_raw(&[0xff; 64]);
    assert!(peer.is_closed());
    // An HTTP request from a browser.
    let mut peer = Peer::connect(&server);
    peer.send_raw(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n");
    peer.finish();
    while !peer.is_closed() {}
    Peer::connect(&server).echo("still served");
}

#[test]
fn an_empty_request_gets_an_exception_at_once() {
    let server = tcp_server(Counter::default());
    let mut peer = Peer::connect(&server);
    peer.send_raw(&[0]);
    assert!(
        matches!(peer.receive(), Answered::Exception(exception) if exception.error.contains("empty"))
    );
    peer.echo("still served");
}

#[test]
fn many_connections_are_served_at_once_and_no_more_than_the_limit() {
    let server = tcp_server(Counter::default());
    let mut peers: Vec<_> = (0..MAX_CONNECTIONS)
        .map(|_| Peer::connect(&server))
        .collect();
    for (index, peer) in peers.iter_mut().enumerate() {
        peer.echo(&index.to_string());
    }
    let mut refused = Peer::connect(&server);
    assert!(refused.is_closed());
    peers.truncate(1);
    // The server notices the closed connections on their own threads.
    let mut served = false;
    for _ in 0..200 {
        let mut peer = Peer::connect(&server);
        let request = Request {
            value: Some(Asked::Flush(RequestFlush {})),
        };
        let sent = peer
            .stream
            .write_all(&request.encode_length_delimited_to_vec());
        served = sent.is_ok() && matches!(peer.responses.next(), Ok(Some(_)));
        if served {
            break;
        }
        thread::sleep(Duration::from_millis(10));
    }
    assert!(served);
}

#[test]
fn stopping_closes_idle_connections() {
    let server = tcp_server(Counter::default());
    let mut peer = Peer::connect(&server);
    peer.echo("before");
    let address = server.address().clone();
    server.stop().unwrap();
    assert!(peer.is_closed());
    Listener::bind(&address).unwrap();
}

#[test]
fn a_taken_address_is_named() {
    let server = tcp_server(Counter::default());
    let error = Listener::bind(server.address()).unwrap_err().to_string();
    assert!(error.contains(&server.address().to_string()), "{error}");
    assert!(error.contains("another process uses it"), "{error}");

    let folder = tempfile::tempdir().unwrap();
    let address = Address::Unix(folder.path().join("abci.sock"));
    let first = Listener::bind(&address).unwrap();
    assert!(matches!(
        Listener::bind(&address),
        Err(Error::Listen { .. })
    ));
    drop(first);
}

#[test]
fn the_socket_of_a_killed_process_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("abci.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
    assert!(path.exists());
    Listener::bind(&Address::Unix(path.clone())).unwrap();

    // Other files must not be removed.
    let file = folder.path().join("file");
    std::fs::write(&file, "precious").unwrap();
    assert!(Listener::bind(&Address::Unix(file.clone())).is_err());
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "precious");
}

#[test]
fn the_default_limit_is_that_of_cometbft() {
    assert_eq!(MAX_MESSAGE_BYTES, 104_857_600);
}
