use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Network, Run, feed, poqd, text};

const MNEMONIC: &str = "economy stock theory fatal elder harbor betray wasp final emotion task \
    crumble siren bottom lizard educate guess current outdoor pair theory focus wife stone";

fn read(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn transactions_are_signed_encoded_and_decoded_without_a_node() {
    let home = tempfile::tempdir().unwrap();
    let run = |words: &str| {
        let mut command = poqd(words);
        command.arg("--home").arg(home.path());
        command
    };
    let mut add = run("keys add user --recover --keyring-backend test");
    assert!(feed(&mut add, MNEMONIC).status.success());
    let unsigned = json!({
        "body": {
            "messages": [{"@type": "/poq.v1.MsgCancelTask", "user": "poq1x", "task_id": "7"}],
            "memo": "", "timeout_height": "0",
            "extension_options": [], "non_critical_extension_options": []
        },
        "auth_info": {
            "signer_infos": [],
            "fee": {"amount": [], "gas_limit": "5", "payer": "", "granter": ""}
        },
        "signatures": []
    });
    let file = home.path().join("tx.json");
    fs::write(&file, unsigned.to_string()).unwrap();

    let flags = "--from user --keyring-backend test --chain-id poq-test-1";
    let signed = run(&format!(
        "tx sign {} {flags} --offline --account-number 3 --sequence 9",
        file.display()
    ))
    .json();
    assert_eq!(signed["auth_info"]["signer_infos"][0]["sequence"], "9");
    assert_eq!(
        signed["auth_info"]["signer_infos"][0]["mode_info"]["single"]["mode"],
        "SIGN_MODE_DIRECT"
    );
    fs::write(&file, signed.to_string()).unwrap();

    let encoded = run(&format!("tx encode {}", file.display())).finish();
    let decoded = run("tx decode").arg(text(&encoded.stdout).trim()).json();
    assert_eq!(decoded, signed);

    let error = run(&format!("tx sign {} --offline {flags}", file.display())).finish();
    assert!(text(&error.stderr).contains("--account-number"));
    let error = run("tx decode AAAA").failure();
    assert!(error.contains("transaction"), "{error}");
    fs::write(
        &file,
        signed.to_string().replace("MsgCancelTask", "MsgDance"),
    )
    .unwrap();
    let error = run(&format!("tx encode {}", file.display())).failure();
    assert!(error.contains("/poq.v1.MsgDance"), "{error}");
}

#[test]
fn a_generated_transaction_is_signed_and_broadcast() {
    let network = Network::new();
    let metrics = format!("127.0.0.1:{}", crate::support::free_ports());
    let _node = network.start_with(&["--metrics-address".as_ref(), metrics.as_ref()]);
    let user = network.get("/user/address");
    let friend = network.get("/authority/address");
    let send = format!("tx bank send {friend} 1000upoq");

    let dry = network
        .user(&format!("{send} --from user --dry-run"))
        .json();
    let (used, limit) = (dry["gas_used"].as_u64(), dry["gas_limit"].as_u64());
    assert!(used.is_some() && used < limit, "{dry}");

    // An address is enough for what nobody signs.
    let unsigned = network
        .user(&format!(
            "{send} --from {user} --generate-only --memo later"
        ))
        .json();
    let message = &unsigned["body"]["messages"][0];
    assert_eq!(message["@type"], "/cosmos.bank.v1beta1.MsgSend");
    assert_eq!(message["from_address"], user.as_str());
    let file = network.path().join("tx.json");
    fs::write(&file, unsigned.to_string()).unwrap();
    let signed = network
        .user(&format!("tx sign {} --from user", file.display()))
        .json();
    fs::write(&file, signed.to_string()).unwrap();
    let sent = network
        .user(&format!("tx broadcast {}", file.display()))
        .json();
    assert_eq!(sent["code"], 0);
    // The same transaction cannot happen twice.
    let again = network
        .user(&format!("tx broadcast {}", file.display()))
        .json();
    assert_eq!(
        (&again["hash"], &again["height"]),
        (&sent["hash"], &sent["height"])
    );
    assert_eq!(read(&file)["body"]["memo"], "later");

    let accepted = network
        .user(&format!("{send} --from user --yes --broadcast-mode sync"))
        .json();
    assert_eq!(accepted["hash"].as_str().map(str::len), Some(64));
    assert_eq!(accepted.get("height"), None);

    let page = http_get(&metrics);
    for name in [
        "poqd_height ",
        "poqd_abci_seconds_count{method=\"commit\"}",
        "poqd_txs_total{code=\"0\",codespace=\"\"}",
    ] {
        assert!(page.contains(name), "{name}: {page}");
    }
}

fn http_get(address: &str) -> String {
    use std::io::{Read, Write};
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}
