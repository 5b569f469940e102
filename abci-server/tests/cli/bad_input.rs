//! Malformed requests and damaged files: the node reports them and loses nothing.

use std::ffi::OsStr;
use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::support::{Network, Run};

/// Deterministic bytes without structure.
fn noise(length: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[0]
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// The answer of the node's RPC to a call; `None` if it closes the connection.
fn call(network: &Network, method: &str, params: &Value) -> Option<Value> {
    let rpc = network.get("/validators/0/rpc");
    let mut stream = TcpStream::connect(rpc.trim_start_matches("http://")).unwrap();
    stream
        .set_read_timeout(Some(Duration::from_secs(60)))
        .unwrap();
    let body = json!({ "jsonrpc": "2.0", "id": 1, "method": method, "params": params }).to_string();
    let head = format!(
        "POST / HTTP/1.1\r\nHost: node\r\nContent-Type: application/json\r\n\
         Content-Length: {}\r\nConnection: close\r\n\r\n",
        body.len()
    );
    let mut answer = Vec::new();
    // The node may close the connection before it has read everything.
    let sent = stream.write_all((head + &body).as_bytes());
    let read = stream.read_to_end(&mut answer);
    let answer = String::from_utf8(answer).unwrap();
    let json = answer.split("\r\n\r\n").nth(1).and_then(|body| {
        // The body may be in chunks.
        serde_json::from_str(&body[body.find('{')?..=body.rfind('}')?]).ok()
    });
    assert!(
        json.is_some() || sent.is_err() || read.is_err() || answer.contains(" 4"),
        "{answer}"
    );
    json
}

#[test]
fn bytes_of_any_size_leave_the_node_as_it_was() {
    let network = Network::new();
    let mut node = network.start();
    for length in [0, 1, 100, 100_000, 1 << 20, 4 << 20, 64 << 20] {
        let tx = STANDARD.encode(noise(length));
        let answer = call(&network, "broadcast_tx_sync", &json!({ "tx": tx }));
        let Some(answer) = answer else { continue };
        let code = answer["result"]["code"].as_u64();
        assert!(
            answer["error"].is_object() || code.is_some_and(|code| code != 0),
            "{length} bytes: {answer}"
        );
    }
    for path in [
        "",
        "/",
        "/poq.v1.Query/Task",
        "/store/poq/key",
        "/no.such/Method",
        "\u{1F980}",
    ] {
        for length in [1, 1_000, 500_000] {
            let data = hex::encode(noise(length));
            let params = json!({ "path": path, "data": data });
            let Some(answer) = call(&network, "abci_query", &params) else {
                continue;
            };
            let code = answer["result"]["response"]["code"].as_u64();
            assert!(
                answer["error"].is_object()
                    || code.is_some_and(|code| code != 0)
                    || path == "/store/poq/key",
                "{path:?}: {answer}"
            );
        }
    }
    for height in [-1, i64::MAX] {
        let params = json!({ "path": "/poq.v1.Query/Params", "height": height.to_string() });
        let answer = call(&network, "abci_query", &params).unwrap();
        assert!(
            answer["error"].is_object() || answer["result"]["response"]["code"] != 0,
            "{answer}"
        );
    }
    // It still works.
    let friend = network.get("/authority/address");
    let sent = network
        .user(&format!("tx bank send {friend} 1000upoq --from user --yes"))
        .json();
    assert_eq!(sent["code"], 0);
    node.assert_lives();
}

#[test]
fn a_database_in_use_is_named() {
    let network = Network::new();
    let _node = network.start();
    let error = crate::support::poqd("start --abci tcp://127.0.0.1:0 --home")
        .arg(network.node())
        .failure();
    assert!(error.contains("is in use by another process"), "{error}");
}

#[test]
fn a_damaged_database_is_named() {
    let network = Network::new();
    let mut node = network.start();
    node.signal(Signal::SIGTERM);
    assert_eq!(node.ended(), Some(0), "{}", node.log());
    let entries = fs::read_dir(network.node().join("data/app")).unwrap();
    let manifest = entries
        .map(|entry| entry.unwrap().path())
        .find(|path| path.to_string_lossy().contains("MANIFEST"));
    fs::write(manifest.unwrap(), noise(1_000)).unwrap();
    let mut node = network.spawn(&[]);
    assert_eq!(node.ended(), Some(1));
    let log = node.log();
    assert!(
        log.contains("is damaged") && log.contains("restore it"),
        "{log}"
    );
}

#[test]
fn a_missing_or_wrong_cometbft_is_named() {
    let network = Network::new();
    let missing = network.path().join("nowhere/cometbft");
    let old = network.path().join("cometbft");
    fs::write(&old, "#!/bin/sh\necho 0.34.27\n").unwrap();
    fs::set_permissions(&old, PermissionsExt::from_mode(0o755)).unwrap();
    for (program, reason) in [(&missing, "nowhere/cometbft"), (&old, "0.34.27")] {
        let mut node = network.spawn(&[OsStr::new("--cometbft"), program.as_os_str()]);
        assert_eq!(node.ended(), Some(1));
        let log = node.log();
        assert!(log.contains("Error: ") && log.contains(reason), "{log}");
    }
}
