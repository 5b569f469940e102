use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Network, Run, feed, number, poqd, text};

/// A valid VRF key.
const VRF_KEY: &str = "iLImSY7h99T6Xa5NrNT0vCtf21Q4zqI66PymOK8mRkg=";

/// A compressed secp256k1 key, as hex and as in proto3 JSON.
const SESSION_KEY: [&str; 2] = [
    "0279be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798",
    "Anm+Zn753LusVaBilc6HCwcCm/zbLc4o2VnygVsW+BeY",
];

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
    let user = run("keys show user --keyring-backend test").json()["address"].clone();
    let unsigned = json!({
        "body": {
            "messages": [{"@type": "/poq.v1.MsgCancelTask", "user": user, "task_id": "7"}],
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

    // A key cannot sign for another account.
    let add = run("keys add other --keyring-backend test").finish();
    assert!(add.status.success());
    let flags_of_other = flags.replace("user", "other");
    let error = run(&format!(
        "tx sign {} {flags_of_other} --offline --account-number 3 --sequence 9",
        file.display()
    ))
    .failure();
    assert!(
        error.contains(user.as_str().unwrap()) && error.contains("not by `other`"),
        "{error}"
    );

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
    assert!(
        number(&dry["gas_used"]) < number(&dry["gas_limit"]),
        "{dry}"
    );

    // An unsigned transaction needs only an address.
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
    // The same transaction cannot be executed twice.
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

#[test]
fn every_message_can_be_generated() {
    let network = Network::new();
    let _node = network.start();
    let user = network.get("/user/address");
    let evaluator = network.get("/evaluators/0/address");
    let key = "BwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc=";
    let path = |name: &str, content: &str| {
        let path = network.path().join(name);
        fs::write(&path, content).unwrap();
        path.display().to_string()
    };
    let answers = path(
        "answers",
        r#"{"items": [{"task_id": "7", "answer": "Paris"}]}"#,
    );
    let commits = path(
        "commits",
        r#"{"items": [{"task_id": "7", "commitment": "AA=="}]}"#,
    );
    let reveals = path(
        "reveals",
        r#"{"items": [{"task_id": "7", "raw_score": -5}]}"#,
    );
    let settlements = path(
        "settlements",
        r#"{"items": [{"voucher": {"session": "7", "amount": "5"}}]}"#,
    );
    let leaves = path(
        "leaves",
        r#"{"items": [{"session": "7", "answer": "Paris"}]}"#,
    );
    let [session_key, session_key_json] = SESSION_KEY;
    let inference = network.get("/inference_nodes/0/address");
    let model = network.user("query poq models").json()["models"][0].clone();
    let model = path("model", &model.to_string());
    let judge = network.user("query poq evaluator-models").json();
    let judge = path("judge", &judge["evaluator_models"][0].to_string());
    let params = path(
        "params",
        &network.user("query poq params").json().to_string(),
    );
    for (words, kind, pointer, expected) in [
        (
            &*format!("poq cancel-task 7 --from {user}"),
            "CancelTask",
            "/task_id",
            "7",
        ),
        (
            &format!("poq submit-task hi --from {user}"),
            "SubmitTask",
            "/prompt",
            "hi",
        ),
        (
            &format!("poq register-inference-node --models b,a,b --stake 5upoq --from {user}"),
            "RegisterInferenceNode",
            "/models/1",
            "b",
        ),
        (
            &format!("poq register-evaluator --evaluator-models m --stake 5upoq --from {user}"),
            "RegisterEvaluator",
            "/stake",
            "5",
        ),
        (
            &format!("poq register-validator --stake 5upoq --public-key {key} --from {user}"),
            "RegisterValidator",
            "/public_key",
            key,
        ),
        (
            &format!("poq update-node evaluator --payout {user} --from {evaluator}"),
            "UpdateNode",
            "/models/0",
            "judge-bge-nc-2",
        ),
        (
            &format!("poq add-stake validator 5upoq --from {user}"),
            "AddStake",
            "/role",
            "ROLE_VALIDATOR",
        ),
        (
            &format!("poq unbond evaluator 5upoq --from {user}"),
            "Unbond",
            "/amount",
            "5",
        ),
        (
            &format!("poq unjail inference --from {user}"),
            "Unjail",
            "/role",
            "ROLE_INFERENCE",
        ),
        (
            &format!("poq set-validator-power {evaluator} 9 --from {user}"),
            "SetValidatorPower",
            "/power",
            "9",
        ),
        (
            &format!("poq enable-vote-extensions 90 --from {user}"),
            "EnableVoteExtensions",
            "/height",
            "90",
        ),
        (
            &format!("poq set-vrf-key --vrf-key {VRF_KEY} --from {user}"),
            "SetVrfKey",
            "/vrf_key",
            VRF_KEY,
        ),
        (
            &format!("poq set-model {model} --from {user}"),
            "SetModel",
            "/model/id",
            "smollm2-135m-instruct",
        ),
        (
            &format!("poq set-evaluator-model {judge} --from {user}"),
            "SetEvaluatorModel",
            "/evaluator_model/id",
            "judge-bge-nc-2",
        ),
        (
            &format!("poq update-params --set answer_window=99 --from {user}"),
            "UpdateParams",
            "/params/answer_window",
            "99",
        ),
        (
            &format!("poq update-params {params} --from {user}"),
            "UpdateParams",
            "/params/denom",
            "upoq",
        ),
        (
            &format!("poq submit-answers {answers} --from {user}"),
            "SubmitAnswers",
            "/items/0/answer",
            "Paris",
        ),
        (
            &format!("poq commit-scores {commits} --from {user}"),
            "CommitScores",
            "/items/0/commitment",
            "AA==",
        ),
        (
            &format!("poq reveal-scores {reveals} --from {user}"),
            "RevealScores",
            "/operator",
            &user,
        ),
        (
            &format!(
                "poq open-sessions --nodes 2 --escrow 5upoq --session-key {session_key} --blocks 9 \
                 --from {user}"
            ),
            "OpenSessions",
            "/session_key",
            session_key_json,
        ),
        (
            &format!(
                "poq open-sessions --escrow 5upoq --session-key {session_key} --blocks 9 --scoring \
                 all --from {user}"
            ),
            "OpenSessions",
            "/scoring",
            "SESSION_SCORING_ALL",
        ),
        (
            &format!("poq close-sessions 7 8 --from {user}"),
            "CloseSessions",
            "/sessions/1",
            "8",
        ),
        (
            &format!("poq settle-sessions {settlements} --from {user}"),
            "SettleSessions",
            "/items/0/voucher/amount",
            "5",
        ),
        (
            &format!("poq reveal-leaves {leaves} --from {user}"),
            "RevealLeaves",
            "/operator",
            &user,
        ),
        (
            &format!(
                "poq update-node inference --stream-url https://a --stream-key {session_key} --from \
                 {inference}"
            ),
            "UpdateNode",
            "/stream/key",
            session_key_json,
        ),
    ] {
        let tx = network
            .user(&format!("tx {words} --generate-only --gas 5"))
            .json();
        let message = &tx["body"]["messages"][0];
        assert_eq!(message["@type"], format!("/poq.v1.Msg{kind}"));
        assert_eq!(
            message.pointer(pointer),
            Some(&json!(expected)),
            "{message}"
        );
        // Duties are free of fees.
        let duties = ["submit-answers", "-scores", "settle-sessions", "reveal-leaves"];
        let is_duty = duties.iter().any(|duty| words.contains(duty));
        let gas = if is_duty { "0" } else { "5" };
        assert_eq!(tx["auth_info"]["fee"]["gas_limit"], gas, "{words}");
    }
    let multi = format!("tx bank multi-send {user}=5upoq {evaluator}=7upoq --from {user}");
    let tx = network
        .user(&format!("{multi} --generate-only --gas 5"))
        .json();
    let message = &tx["body"]["messages"][0];
    assert_eq!(message["inputs"][0]["coins"][0]["amount"], "12");
    let own_key = format!("tx poq register-validator --stake 5upoq --from {user} --generate-only");
    let missing = network.user(&format!("{own_key} --gas 5")).failure();
    assert!(missing.contains("--public-key"), "{missing}");
}
