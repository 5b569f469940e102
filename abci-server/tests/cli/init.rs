use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use serde_json::Value;

use crate::support::{Network, Run, eventually, free_ports, poqd, text};

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn params_of(genesis: &Value) -> &Value {
    &genesis["app_state"]["params"]
}

/// A genesis without an owner of the validator is refused before anything runs.
#[test]
fn a_chain_without_an_owner_of_its_validator_does_not_start() {
    let home = tempfile::tempdir().unwrap();
    let command = |words: &str| {
        let mut command = poqd(words);
        command.arg("--home").arg(home.path());
        command
    };
    command("init alice --chain-id poq-test-1").finish();
    let socket = format!("unix://{}/abci.sock", home.path().display());
    let error = command("start --with-comet --grpc-address=")
        .args(["--abci", &socket])
        .failure();
    assert!(error.contains("genesis.json"), "{error}");
    assert!(error.contains("poqd genesis --help"), "{error}");
}

#[test]
fn a_new_home_has_everything_and_keeps_its_keys() {
    let home = tempfile::tempdir().unwrap();
    let init = |words: &str| {
        let mut command = poqd("init alice --chain-id poq-test-1");
        command
            .args(words.split_whitespace())
            .arg("--home")
            .arg(home.path());
        command
    };
    let created = init("").json();
    assert_eq!(created["node_id"].as_str().unwrap().len(), 40);

    let config = home.path().join("config");
    let genesis = json(&config.join("genesis.json"));
    assert_eq!(genesis["chain_id"], "poq-test-1");
    // The application bounds blocks and is offered the whole mempool.
    let consensus = &genesis["consensus_params"];
    assert_eq!(consensus["block"]["max_bytes"], "104857600");
    assert_eq!(params_of(&genesis)["max_block_bytes"], 4_194_304);
    assert_eq!(consensus["version"]["app"], "1");
    assert_eq!(genesis["validators"][0]["name"], "alice");
    let params = params_of(&genesis);
    assert_eq!(params["denom"], "upoq");
    // proto3 JSON: 64-bit integers are strings, enums are names.
    assert!(params["answer_window"].is_string());
    assert_eq!(params["aggregation"], "AGGREGATION_WEIGHTED_MEDIAN");
    let client = fs::read_to_string(config.join("client.toml")).unwrap();
    assert!(client.contains("chain-id = \"poq-test-1\""));
    assert!(config.join("app.toml").is_file());

    // The validator has no owner yet.
    assert!(created["operator"].is_null());
    assert!(genesis["app_state"]["validators"].is_null());

    assert!(init("").failure().contains("--overwrite"));
    let again = init("--overwrite").json();
    assert_eq!(again["node_id"], created["node_id"]);
    let validators = json(&config.join("genesis.json"))["validators"].clone();
    assert_eq!(
        validators[0]["address"],
        genesis["validators"][0]["address"]
    );

    let operator = "poq1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnchxknv";
    let error = init("--overwrite --operator cosmos1x").failure();
    assert!(error.contains("bech32"), "{error}");
    init(&format!("--overwrite --operator {operator}")).json();
    let genesis = json(&config.join("genesis.json"));
    let owner = &genesis["app_state"]["validators"][0];
    assert_eq!(owner["operator"], operator);
    assert_eq!(owner["stake"], "200000000");
    assert_eq!(
        owner["public_key"],
        genesis["validators"][0]["pub_key"]["value"]
    );
    // Its votes carry VRF outputs from the first block on.
    let extensions = &genesis["consensus_params"]["abci"]["vote_extensions_enable_height"];
    assert_eq!(extensions, "1");
    let path = config.join("priv_vrf_key.json");
    assert_eq!(owner["vrf_key"], json(&path)["keys"][0]["public_key"]);
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_chain_has_the_money_and_the_addresses_that_it_is_made_with() {
    let home = tempfile::tempdir().unwrap();
    let run = |words: &str| {
        let mut command = poqd(words);
        command.arg("--home").arg(home.path());
        command
    };
    let init = "init alice --chain-id other-1 --overwrite";
    run("keys add me --keyring-backend test").json();
    let address = || {
        let shown = run("keys show me --address --keyring-backend test").finish();
        text(&shown.stdout).trim().to_owned()
    };
    assert!(address().starts_with("poq1"));
    run(&format!(
        "{init} --denom ucoin --bech32-prefix coin --minimum-gas-price 0.025ucoin"
    ))
    .json();
    let genesis = json(&home.path().join("config/genesis.json"));
    let params = params_of(&genesis);
    assert_eq!(params["denom"], "ucoin");
    assert_eq!(params["bech32_prefix"], "coin");
    assert_eq!(params["gas_price"], "25000");
    let metadata = &genesis["app_state"]["denom_metadata"];
    assert_eq!(metadata.as_array().unwrap().len(), 1);
    assert_eq!(
        [&metadata[0]["base"], &metadata[0]["display"]],
        ["ucoin", "coin"]
    );
    // Addresses have the chain's prefix, also in the list.
    let own = address();
    assert!(own.starts_with("coin1"), "{own}");
    let listed = run("keys list --keyring-backend test").json();
    assert_eq!(listed[0]["address"], own);
    let flags = format!("--denom ucoin --bech32-prefix coin --operator {own}");
    run(&format!("{init} {flags}")).json();
    let set = run("config set client.bech32-prefix third").finish();
    assert!(set.status.success());
    assert!(address().starts_with("third1"));
    for (flags, reason) in [
        ("--denom U!", "denom"),
        ("--bech32-prefix Poq", "bech32_prefix"),
        ("--minimum-gas-price 1atom", "--denom atom"),
        ("--minimum-gas-price 0.0000001upoq", "millionth"),
        (
            "--operator coin1qqqsyqcyq5rqwzqfpg9scrgwpugpzysnzs23v9",
            "coin",
        ),
    ] {
        let error = run(&format!("{init} {flags}")).failure();
        assert!(error.contains(reason), "{flags}: {error}");
    }
}

#[test]
fn keys_for_the_beacon_are_shown_and_made() {
    let home = tempfile::tempdir().unwrap();
    let run = |words: &str| {
        let mut command = poqd(words);
        command.arg("--home").arg(home.path());
        command
    };
    let none = run("vrf-key show").json();
    assert_eq!(none["public_keys"], serde_json::json!([]));
    run("init alice --chain-id poq-test-1").json();
    let first = run("vrf-key show").json()["public_keys"].clone();
    let both = run("vrf-key add").json()["public_keys"].clone();
    assert_eq!((both.as_array().unwrap().len(), &both[0]), (2, &first[0]));
    assert_eq!(run("vrf-key show").json()["public_keys"], both);
    let path = home.path().join("config/priv_vrf_key.json");
    fs::write(&path, "{}").unwrap();
    let error = run("vrf-key add").failure();
    assert!(error.contains("priv_vrf_key.json"), "{error}");
}

#[test]
fn a_genesis_that_the_application_refuses_is_not_written() {
    let home = tempfile::tempdir().unwrap();
    let template = home.path().join("template.json");
    for (bad, reason) in [
        (r#"{"params": {"denom": "upoq"}}"#, "bech32_prefix"),
        (r#"{"parameters": {}}"#, "parameters"),
        ("", "EOF"),
    ] {
        fs::write(&template, bad).unwrap();
        let error = poqd("init alice --chain-id poq-test-1 --genesis-template")
            .arg(&template)
            .arg("--home")
            .arg(home.path().join("node"))
            .failure();
        assert!(error.contains(reason), "{error}");
        assert!(!home.path().join("node/config/genesis.json").exists());
    }
}

#[test]
fn a_network_is_described_completely() {
    let network = Network::new();
    let description = json(&network.path().join("network.json"));
    assert_eq!(description, network.description);
    let genesis = json(&network.node().join("config/genesis.json"));
    let nodes = genesis["app_state"]["nodes"].as_array().unwrap();
    assert_eq!(nodes.len(), 6);
    assert_eq!(
        nodes[0]["operator"],
        description["inference_nodes"][0]["address"]
    );
    let validators = genesis["app_state"]["validators"].as_array().unwrap();
    assert_eq!(validators.len(), 1);
    assert_eq!(
        validators[0]["operator"],
        description["validators"][0]["address"]
    );
    assert_eq!(
        validators[0]["public_key"],
        genesis["validators"][0]["pub_key"]["value"]
    );
    assert_eq!(
        genesis["app_state"]["params"]["authority"],
        description["authority"]["address"]
    );
    assert_eq!(description["gateway"]["name"], "gateway");
    // Ten accounts: user, authority, validator, inference node, five evaluators and gateway.
    assert_eq!(
        genesis["app_state"]["accounts"].as_array().unwrap().len(),
        10
    );
    let listed = network.user("keys list").json();
    let addresses: Vec<_> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|key| &key["address"])
        .collect();
    assert!(addresses.contains(&&description["user"]["address"]));
    assert!(addresses.contains(&&description["authority"]["address"]));
}

#[test]
fn networks_are_only_replaced_when_told_so() {
    let folder = tempfile::tempdir().unwrap();
    let template = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../testnet/config/genesis-template.json"
    );
    let base = free_ports();
    let init = |words: &str| {
        let mut command = poqd("testnet init-files --inference-nodes 0 --evaluators 0");
        command
            .args(words.split_whitespace())
            .args(["--genesis-template", template]);
        command
            .args(["--base-port", &base.to_string(), "--output-dir"])
            .arg(folder.path());
        command
    };
    fs::write(folder.path().join("notes"), "mine").unwrap();
    let first = init("--validators 3").json();
    let error = init("--validators 1").failure();
    assert!(error.contains("--overwrite"), "{error}");
    let second = init("--validators 1 --overwrite").json();
    assert_ne!(first["user"]["address"], second["user"]["address"]);
    assert!(!folder.path().join("node3").exists());
    assert_eq!(
        fs::read_to_string(folder.path().join("notes")).unwrap(),
        "mine"
    );

    let peers = |config: &str| config.matches('@').count();
    init("--validators 3 --overwrite").json();
    for node in ["node1", "node2", "node3"] {
        let config = fs::read_to_string(folder.path().join(node).join("config/config.toml"));
        let config = config.unwrap();
        let line = config
            .lines()
            .find(|line| line.starts_with("persistent_peers ="));
        assert_eq!(peers(line.unwrap()), 2);
    }
}

#[test]
fn ports_beyond_the_last_one_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let error = poqd("testnet init-files --base-port 65500 --genesis-template none --output-dir")
        .arg(folder.path().join("net"))
        .failure();
    assert!(error.contains("--base-port"), "{error}");
    assert!(!folder.path().join("net").exists());
}

#[test]
fn what_start_lacks_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let start = |home: &Path| {
        let mut command = poqd("start --with-comet --home");
        command.arg(home);
        command
    };
    let error = start(&folder.path().join("nothing")).failure();
    assert!(error.contains("poqd init"), "{error}");

    let network = Network::new();
    let fake = folder.path().join("cometbft");
    fs::write(&fake, "#!/bin/sh\necho 1.0.0\n").unwrap();
    fs::set_permissions(&fake, fs::Permissions::from_mode(0o755)).unwrap();
    let error = start(&network.node())
        .arg("--cometbft")
        .arg(&fake)
        .failure();
    assert!(
        error.contains("is CometBFT 1.0.0, but 0.38 is needed"),
        "{error}"
    );

    let p2p = network.get("/validators/0/p2p");
    let abci = format!("127.0.0.1:{}", free_ports());
    let abci_flag = format!("tcp://{abci}");
    for (address, flags, name) in [
        (&abci, &["--abci", &abci_flag][..], "--abci"),
        (&p2p, &[], "p2p.laddr"),
    ] {
        let _taken = TcpListener::bind(address).unwrap();
        let error = start(&network.node()).args(flags).failure();
        assert!(error.contains(address) && error.contains(name), "{error}");
    }
    let open = ["--abci", "tcp://0.0.0.0:0"];
    let error = start(&network.node()).args(open).failure();
    assert!(error.contains("--allow-remote-abci"), "{error}");
    let long = format!("unix:///{}", "x".repeat(200));
    let error = start(&network.node()).args(["--abci", &long]).failure();
    assert!(error.contains("201 bytes"), "{error}");
}

/// ABCI has no authentication, so only the node's own user may reach it.
#[test]
fn a_node_serves_abci_to_its_own_user_alone() {
    let network = Network::new();
    let mut node = network.start();
    let socket = network.node().join("abci.sock");
    let mode = fs::metadata(&socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    // A second node on the same home is refused.
    let error = poqd("start --home")
        .arg(network.node())
        .arg("--abci")
        .arg(format!("unix://{}", socket.display()))
        .failure();
    assert!(error.contains("another process uses it"), "{error}");
    node.signal(nix::sys::signal::Signal::SIGTERM);
    assert_eq!(node.ended(), Some(0), "{}", node.log());
    assert!(!socket.exists());
}

#[test]
fn a_home_with_a_long_path_works_as_well() {
    let network = Network::new();
    let home = network.path().join("x".repeat(120));
    fs::rename(network.node(), &home).unwrap();
    std::os::unix::fs::symlink(&home, network.node()).unwrap();
    let log = network.path().join("long.log");
    let mut command = poqd("start --with-comet --home");
    command.arg(&home).stderr(fs::File::create(&log).unwrap());
    let mut child = command.spawn().unwrap();
    eventually("a block", || {
        assert_eq!(
            child.try_wait().unwrap(),
            None,
            "{}",
            text(&fs::read(&log).unwrap())
        );
        let status = network.user("status --output json").finish();
        let status: Value = serde_json::from_slice(&status.stdout).ok()?;
        (status["latest_height"] != "0").then_some(())
    });
    child.kill().unwrap();
    child.wait().unwrap();
    let log = text(&fs::read(&log).unwrap());
    assert!(log.contains("too long for a socket"), "{log}");
}
