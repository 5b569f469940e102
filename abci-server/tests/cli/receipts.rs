//! Receipts of a real chain, whose node and user are played by their keys.

use std::path::Path;

use poq_client::Key;
use poq_proto::v1::{
    self, Chat, ChatMessage, ChatRole, Finish, MsgSettleSessions, SettleItem, Terms,
};
use poq_proto::{Leaf, Voucher, merkle};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::sessions::{offer_sessions, open_session, status};
use crate::support::{Network, Run, poqd, text};

const CHAIN: &str = "poq-local-1";
const ANSWER: &str = "Because of Rayleigh scattering.";

/// The key whose secret is a small number: those of the session tests.
fn key(secret: u8) -> Key {
    let mut bytes = [0; 32];
    bytes[31] = secret;
    Key::from_bytes(&bytes).unwrap()
}

/// The only answer of session 1.
fn leaf(terms: &Terms) -> Leaf {
    let chat = Chat {
        model: "smollm2-135m-instruct".into(),
        messages: vec![ChatMessage {
            role: ChatRole::User.into(),
            text: "Why is the sky blue?".into(),
        }],
        max_answer_bytes: 512,
        ..Chat::default()
    };
    let price = terms.price(chat.prompt_bytes(), ANSWER.len() as u64);
    Leaf {
        number: 0,
        request: chat.digest(),
        answer: Sha256::digest(ANSWER).into(),
        prompt_bytes: chat.prompt_bytes() as u32,
        answer_bytes: ANSWER.len() as u32,
        prompt_tokens: 6,
        answer_tokens: 7,
        min_quality: 0,
        finish: Finish::Stop,
        price,
        total: price,
    }
}

/// What a gateway answers to the chat, and later says about the receipt: the total comes with the path.
fn of_the_gateway(leaf: &Leaf, path: Option<&[&str]>) -> Value {
    let leaf = match path {
        Some(_) => *leaf,
        None => leaf.receipt(),
    };
    let signature = key(1).sign_digest(&leaf.receipt_digest(CHAIN, 1)).unwrap();
    json!({
        "choices": [{ "message": { "content": ANSWER } }],
        "poq": {
            "receipt": "1-0",
            "leaf": v1::Leaf::from(&leaf),
            "signature": hex::encode(signature),
            "path": path,
        },
    })
}

fn settlement(leaf: &Leaf) -> MsgSettleSessions {
    let voucher = Voucher {
        session: 1,
        number: 1,
        request: [0; 32],
        count: 1,
        root: merkle::root_of_path(&leaf.encode(), 0, 1, &[]).unwrap(),
        amount: leaf.price,
        authorized: leaf.price,
    };
    let signature = key(2).sign_digest(&voucher.digest(CHAIN)).unwrap();
    MsgSettleSessions {
        items: vec![SettleItem {
            voucher: Some(v1::Voucher::from(&voucher)),
            signature: signature.to_vec(),
            unacknowledged: 0,
        }],
        ..MsgSettleSessions::default()
    }
}

fn write(file: &Path, value: &impl serde::Serialize) {
    std::fs::write(file, serde_json::to_vec(value).unwrap()).unwrap();
}

fn read(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap()
}

/// Runs `receipt verify` and returns whether it succeeded, and its report.
fn verify(file: &Path, anchor: &[&str]) -> (bool, Value) {
    let mut command = poqd("receipt verify --output json");
    let output = command.arg(file).args(anchor).finish();
    let report = serde_json::from_slice(&output.stdout);
    let report = report.unwrap_or_else(|_| panic!("{}", text(&output.stderr)));
    (output.status.success(), report)
}

/// Asserts that the receipt has the verdict if the hash of its header, and then that of its validators,
/// is trusted, and that it is not verified without one or with another.
fn check(network: &Network, file: &Path, expected: &str) {
    let header = &read(file)["state"]["signed_header"]["header"];
    let height = header["height"].as_str().unwrap();
    let block = network.user(&format!("query block {height}")).json();
    let hash = block["block_id"]["hash"].as_str().unwrap();
    let validators = header["validators_hash"].as_str().unwrap();
    for anchor in [
        ["--trusted-hash", hash],
        ["--trusted-validators", validators],
    ] {
        let (success, report) = verify(file, &anchor);
        assert_eq!(report["verdict"], expected, "{report}");
        assert_eq!(success, expected == "verified", "{report}");
    }
    let (success, report) = verify(file, &[]);
    assert_eq!((success, &report["verdict"]), (false, &json!("untrusted")));
    let (success, report) = verify(file, &["--trusted-hash", &"07".repeat(32)]);
    assert_eq!((success, &report["verdict"]), (false, &json!("failed")));
}

#[test]
fn a_task_and_an_answer_have_receipts_that_verify_offline() {
    let network = Network::new();
    let node = network.start();
    let path = |name: &str| network.path().join(name);
    let get = |words: &str, file: &Path| {
        let mut command = network.user(&format!("receipt get {words} --out"));
        let output = command.arg(file).finish();
        assert!(output.status.success(), "{}", text(&output.stderr));
    };

    let prompt = "Why?";
    let mut submit = network.user("tx poq submit-task --from user --yes");
    let id = submit.arg(prompt).json()["task_id"].clone();
    let task = path("task.json");
    get(&format!("task {}", id.as_str().unwrap()), &task);
    assert_eq!(read(&task)["subject"]["task"]["prompt"], prompt);
    check(&network, &task, "verified");

    offer_sessions(&network);
    open_session(&network);
    let record = status(&network, 1, "SESSION_STATUS_OPEN");
    let terms: Terms = serde_json::from_value(record["terms"].clone()).unwrap();
    let leaf = leaf(&terms);
    let (said, answer) = (path("said.json"), path("answer.json"));
    let words = format!("answer {}", said.display());
    write(&said, &of_the_gateway(&leaf, None));
    get(&words, &answer);
    check(&network, &answer, "provisional");

    write(&path("settlement.json"), &settlement(&leaf));
    let mut settle = poqd("tx poq settle-sessions --from inference-1 --keyring-backend test --yes");
    settle
        .args(["--node", &network.get("/validators/0/rpc"), "--home"])
        .arg(path("inference-1"))
        .arg(path("settlement.json"));
    assert_eq!(settle.json()["code"], 0);
    status(&network, 1, "SESSION_STATUS_REVEALING");
    write(&said, &of_the_gateway(&leaf, Some(&[])));
    get(&words, &answer);
    check(&network, &answer, "verified");

    // The chain may be gone, and nobody can show another text or price.
    drop(node);
    let validators = &read(&answer)["state"]["signed_header"]["header"]["validators_hash"];
    let anchor = ["--trusted-validators", validators.as_str().unwrap()];
    assert!(verify(&answer, &anchor).0);
    for (place, lie) in [
        ("/subject/answer/answer", json!("Because of magic.")),
        ("/subject/answer/leaf/price", json!("1")),
        ("/subject/answer/session", json!("2")),
    ] {
        let mut changed = read(&answer);
        *changed.pointer_mut(place).unwrap() = lie;
        write(&said, &changed);
        let (success, report) = verify(&said, &anchor);
        assert_eq!(
            (success, &report["verdict"]),
            (false, &json!("failed")),
            "{place}"
        );
    }
}
