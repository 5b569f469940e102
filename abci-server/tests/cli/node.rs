use serde_json::Value;

use crate::support::{Network, Run, eventually, poqd, text};

fn string(value: &Value) -> &str {
    value
        .as_str()
        .unwrap_or_else(|| panic!("{value} is not a string"))
}

#[test]
fn transactions_are_included_and_queried() {
    let network = Network::new();
    let _node = network.start();
    let user = network.get("/user/address");
    let friend = network.get("/authority/address");

    let balance = |address: &str| {
        let answer = network
            .user(&format!("query bank balance {address} upoq"))
            .json();
        string(&answer["balance"]["amount"])
            .parse::<u128>()
            .unwrap()
    };
    let before = balance(&friend);
    let sent = network
        .user(&format!(
            "tx bank send {friend} 1000upoq --from user --yes --memo hello"
        ))
        .json();
    assert_eq!(sent["code"], 0);
    assert_eq!(balance(&friend), before + 1000);
    let hash = string(&sent["hash"]);
    assert_eq!(
        network.user(&format!("query tx {hash}")).json()["height"],
        sent["height"]
    );
    let height = string(&sent["height"]);
    let block = network.user(&format!("query block {height}")).json();
    assert_eq!(string(&block["block"]["header"]["height"]), height);
    let account = network.user(&format!("query auth account {user}")).json();
    assert_eq!(account["sequence"], "1");
    // The sender may also be given by its address, and gas, fee or price by flags.
    for fee in [
        "--gas 200000 --fees 5000upoq",
        "--gas-prices 0.1upoq",
        "--fees 5000upoq",
    ] {
        network
            .user(&format!(
                "tx bank send {friend} 1upoq --from {user} --yes {fee}"
            ))
            .json();
    }
    let early = network
        .user(&format!("query bank balance {friend} upoq --height 1"))
        .json();
    assert_eq!(string(&early["balance"]["amount"]), before.to_string());
}

/// Validators often do not index transactions.
#[test]
fn a_transaction_is_awaited_on_a_node_without_an_index() {
    let network = Network::new();
    let set = |key: &str, value: &str| {
        let mut command = poqd(&format!("config set comet.{key} {value} --home"));
        assert!(command.arg(network.node()).finish().status.success());
    };
    set("tx_index.indexer", "null");
    set(
        "rpc.cors_allowed_origins",
        "https://a.example,https://b.example",
    );
    let _node = network.start();
    let friend = network.get("/authority/address");
    let send =
        |words: &str| network.user(&format!("tx bank send {friend} {words} --from user --yes"));
    let sent = send("1000upoq").json();
    assert_eq!(sent["code"], 0);
    let height = string(&sent["height"]);
    let block = network.user(&format!("query block {height}")).json();
    let txs = block["block"]["data"]["txs"].as_array().unwrap();
    let index = sent["index"].as_u64().unwrap() as usize;
    assert!(index < txs.len(), "{sent}");
    assert!(!sent["events"].as_array().unwrap().is_empty());
    let hash = string(&sent["hash"]);
    let error = network.user(&format!("query tx {hash}")).failure();
    for part in ["indexing is disabled", "--node", "comet.tx_index.indexer"] {
        assert!(error.contains(part), "{error}");
    }

    // The RPC allows the configured origins.
    let rpc = network.get("/validators/0/rpc");
    for (origin, is_allowed) in [("https://b.example", true), ("https://c.example", false)] {
        let answer = http(&rpc, origin);
        let header = format!("Access-Control-Allow-Origin: {origin}");
        assert_eq!(answer.contains(&header), is_allowed, "{answer}");
    }
}

/// Requests the status over HTTP like a web page of this origin.
fn http(rpc: &str, origin: &str) -> String {
    use std::io::{Read, Write};
    let address = rpc.strip_prefix("http://").unwrap();
    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(
        stream,
        "GET /status HTTP/1.1\r\nhost: x\r\norigin: {origin}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

/// Runs the guide's commands on the home of a worker, whose settings have the node and the keyring.
#[test]
fn the_commands_of_the_guide_work_on_the_home_of_a_worker() {
    let network = Network::new();
    let _node = network.start();
    let home = network.path().join("evaluator-1");
    let config = format!(
        "[chain]\nid = \"poq-local-1\"\nnode = \"{}\"\nkey = \"evaluator-1\"\nkeyring = \"test\"\n",
        network.get("/validators/0/rpc")
    );
    std::fs::write(home.join("config.toml"), config).unwrap();
    let guide = include_str!("../../../docs/guide.md");
    let run = |name: &str| {
        let lines = guide
            .lines()
            .map(|line| line.split('#').next().unwrap().trim());
        let mut lines = lines.filter(|line| line.starts_with("poqd tx poq") && line.contains(name));
        let line = lines.next().unwrap_or_else(|| panic!("no {name}"));
        let line = line.replace(".testnet/", &format!("{}/", network.path().display()));
        poqd(line.strip_prefix("poqd ").unwrap())
    };
    assert_eq!(run("add-stake").json()["code"], 0);
    // No node is jailed, so the chain refuses the message.
    let error = run("unjail").failure();
    assert!(error.contains("is not jailed"), "{error}");
}

#[test]
fn a_task_is_submitted_and_proven() {
    let network = Network::new();
    let _node = network.start();
    let prompt = "Why is the sky blue?";
    let submitted = network
        .user("tx poq submit-task --from user --yes")
        .arg(prompt)
        .json();
    let id = string(&submitted["task_id"]).to_owned();
    eventually("the draw of an inference node", || {
        let task = network.user(&format!("query poq task {id}")).json();
        assert_eq!(task["task"]["prompt_bytes"], prompt.len());
        (task["task"]["status"] == "TASK_STATUS_ASSIGNED").then_some(())
    });
    assert_eq!(
        network.user(&format!("query poq payload {id}")).json()["prompt"],
        prompt
    );
    let operator = network.get("/inference_nodes/0/address");
    let duties = network
        .user(&format!("query poq duties inference {operator}"))
        .json();
    assert_eq!(duties["duties"][0]["task_id"], id.as_str());
    let found = network
        .user("query txs --query")
        .arg(format!("poq_task_submitted.task='{id}'"))
        .json();
    assert_eq!(found["total"], 1);
    assert_eq!(found["txs"][0]["hash"], submitted["hash"]);

    let proven = network.user("query store params/params --prove").json();
    assert_eq!(proven["proof"]["valid"], true);
    assert!(string(&proven["value"]).len() > 100);
    let absent = network.user("query store no/such/key --prove").json();
    assert_eq!(
        (&absent["value"], &absent["proof"]["valid"]),
        (&Value::Null, &true.into())
    );
}

#[test]
fn queries_of_every_kind_answer() {
    let network = Network::new();
    let _node = network.start();
    let evaluator = network.get("/evaluators/0/address");
    for (query, field) in [
        ("poq params", "/params/denom"),
        ("poq models", "/models/0/id"),
        ("poq model smollm2-135m-instruct", "/model/id"),
        ("poq evaluator-models", "/evaluator_models/0/id"),
        (
            "poq evaluator-model judge-minilm-nc-2",
            "/evaluator_model/id",
        ),
        ("poq nodes inference", "/nodes/0/operator"),
        (&format!("poq node evaluator {evaluator}"), "/node/stake"),
        ("poq beacon", "/beacon"),
        ("bank total", "/supply/0/amount"),
        ("bank total --denom upoq", "/amount/amount"),
        (&format!("bank balances {evaluator}"), "/balances/0/denom"),
    ] {
        let answer = network.user(&format!("query {query}")).json();
        assert!(
            answer.pointer(field).is_some_and(Value::is_string),
            "{query}: {answer}"
        );
    }
    assert_eq!(
        network.user("query poq tasks").json(),
        serde_json::json!({})
    );
    let text_form = network.user("query poq params").finish();
    assert!(text(&text_form.stdout).contains("  denom: upoq\n"));
}

#[test]
fn failures_have_codes() {
    let network = Network::new();
    let _node = network.start();
    let friend = network.get("/authority/address");
    let failure = |words: &str| -> Value {
        let error = network.user(words).args(["--output", "json"]).failure();
        serde_json::from_str(error.lines().last().unwrap()).unwrap()
    };
    let send = |words: &str| failure(&format!("tx bank send {friend} {words} --from user --yes"));
    let poor = send("99999999999999999upoq --gas 200000");
    assert_eq!(
        (&poor["code"], &poor["codespace"]),
        (&5.into(), &"sdk".into())
    );
    assert_eq!(poor["hash"].as_str().map(str::len), Some(64));
    assert!(string(&poor["log"]).contains("99999999999999999upoq"));
    // Refused by the simulation.
    assert_eq!(send("99999999999999999upoq")["code"], 5);
    assert_eq!(send("1upoq --gas 200000 --fees 1upoq")["code"], 13);
    assert_eq!(send("1upoq --gas 200000 --timeout-height 1")["code"], 30);
    assert!(string(&send("1upoq --fees 1atom")["error"]).contains("atom"));
    assert!(string(&send("1upoq --chain-id other-1")["error"]).contains("other-1"));
    let unknown = failure("query poq task 99");
    assert_eq!(
        (&unknown["code"], &unknown["codespace"]),
        (&101.into(), &"poq".into())
    );
    let nobody = failure(&format!("tx bank send {friend} 1upoq --from nobody --yes"));
    assert!(string(&nobody["error"]).contains("nobody"));
    let unconfirmed = failure(&format!("tx bank send {friend} 1upoq --from user"));
    assert!(string(&unconfirmed["error"]).contains("--yes"));
    let unreachable = failure("status --node http://127.0.0.1:1");
    assert!(string(&unreachable["error"]).contains("http://127.0.0.1:1"));
    // Scripts can distinguish errors by the exit status.
    for (words, code) in [
        ("frobnicate", 2),
        ("status --node http://127.0.0.1:1", 3),
        (
            "tx bank send FRIEND 99999999999999999upoq --gas 200000 --from user --yes",
            4,
        ),
        ("query poq task 99", 5),
        ("tx bank send FRIEND 1upoq --from nobody --yes", 1),
    ] {
        let words = words.replace("FRIEND", &friend);
        let output = network.user(&words).finish();
        assert_eq!(output.status.code(), Some(code), "{words}");
    }
}
