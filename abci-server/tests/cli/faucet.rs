use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::{Child, Stdio};

use serde_json::{Value, json};

use crate::support::{Network, Run, eventually, free_ports};

/// Killed when dropped.
struct Faucet {
    child: Child,
    address: String,
}

impl Drop for Faucet {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Faucet {
    fn start(network: &Network) -> Self {
        let address = format!("127.0.0.1:{}", free_ports());
        let child = network
            .user(&format!(
                "faucet --from user --amount 500upoq --per-minute 2 --listen {address} \
                 --cors-origins https://a.example"
            ))
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let faucet = Self { child, address };
        eventually("the faucet's answer", || {
            TcpStream::connect(&faucet.address).ok()
        });
        faucet
    }

    /// Sends a request and returns status and body of the answer.
    fn request(&self, line: &str, body: &str) -> (u16, Value) {
        let answer = self.raw(line, body);
        let status = answer.split(' ').nth(1).unwrap().parse().unwrap();
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        (status, serde_json::from_str(body).unwrap())
    }

    fn raw(&self, line: &str, body: &str) -> String {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        let length = body.len();
        write!(
            stream,
            "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\norigin: https://a.example\r\n\
             content-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        answer
    }

    fn ask(&self, body: &Value) -> (u16, Value) {
        self.request("POST /", &body.to_string())
    }
}

#[test]
fn coins_are_given_within_limits() {
    let network = Network::new();
    let _node = network.start();
    let faucet = Faucet::start(&network);
    let (status, health) = eventually("a healthy faucet", || {
        let answer = faucet.request("GET /health", "");
        (answer.0 == 200).then_some(answer)
    });
    assert_eq!((status, &health["gift"]), (200, &json!("500upoq")));

    let friend = network.get("/authority/address");
    let other = network.get("/evaluators/0/address");
    let (status, given) = faucet.ask(&json!({"address": friend}));
    assert_eq!(
        (status, &given["amount"]),
        (200, &json!("500upoq")),
        "{given}"
    );
    // 64-bit integers are strings, as everywhere.
    assert!(given["height"].is_string(), "{given}");
    let hash = given["hash"].as_str().unwrap();
    assert_eq!(network.user(&format!("query tx {hash}")).json()["code"], 0);

    for (body, code, reason) in [
        (json!({"address": friend}), 429, "too many"),
        (json!({"address": "poq1nobody"}), 400, "poq1nobody"),
        (json!({"address": other, "denom": "atom"}), 400, "atom"),
        (json!({"who": other}), 400, "address"),
    ] {
        let (status, answer) = faucet.ask(&body);
        assert_eq!(status, code, "{answer}");
        assert!(
            answer["error"].as_str().unwrap().contains(reason),
            "{answer}"
        );
    }
    assert_eq!(
        faucet.ask(&json!({"address": other, "denom": "upoq"})).0,
        200
    );
    // The limit is two per minute.
    let third = network.get("/evaluators/1/address");
    assert_eq!(faucet.ask(&json!({"address": third})).0, 429);
    assert_eq!(faucet.request("GET /x", "").0, 404);

    // A page of this origin may ask.
    let preflight = faucet.raw("OPTIONS /", "");
    for header in [
        "access-control-allow-origin: https://a.example",
        "access-control-allow-methods: GET, POST",
    ] {
        assert!(preflight.contains(header), "{preflight}");
    }
    assert!(
        faucet
            .raw("GET /health", "")
            .contains("access-control-allow-origin: https://a.example")
    );
}

/// Silent connections do not keep others out forever.
#[test]
fn a_silent_connection_is_closed() {
    let network = Network::new();
    let _node = network.start();
    let faucet = Faucet::start(&network);
    let mut silent = TcpStream::connect(&faucet.address).unwrap();
    silent.write_all(b"POST / HTTP/1.1\r\nhost").unwrap();
    silent
        .set_read_timeout(Some(std::time::Duration::from_secs(60)))
        .unwrap();
    let mut answer = Vec::new();
    silent.read_to_end(&mut answer).unwrap();
    assert!(!String::from_utf8_lossy(&answer).contains("200 OK"));
}
