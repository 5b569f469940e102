use std::fs;

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::support::{Network, Run, poqd, text};

#[test]
fn an_exported_state_starts_a_new_chain() {
    let network = Network::new();
    let mut node = network.start();
    let user = network.get("/user/address");
    let friend = network.get("/authority/address");
    network
        .user("tx poq submit-task hi --from user --yes --max-fee 500000upoq")
        .json();
    network
        .user(&format!(
            "tx bank multi-send {friend}=77upoq {user}=1upoq --from user --yes"
        ))
        .json();
    let supply = network.user("query bank total --denom upoq").json();
    let balance = |address: &str| -> u128 {
        let words = format!("query bank balance {address} upoq");
        let amount = network.user(&words).json()["balance"]["amount"].clone();
        amount.as_str().unwrap().parse().unwrap()
    };
    let (users, friends) = (balance(&user), balance(&friend));
    let export = || {
        let mut command = poqd("export --chain-id poq-test-2 --home");
        command.arg(network.node());
        command
    };
    assert!(export().failure().contains("stop the node"));
    node.signal(Signal::SIGTERM);
    node.ended();

    let exported = export().finish();
    let notes = text(&exported.stderr);
    assert!(notes.contains("task 1 is over and refunded"), "{notes}");
    let genesis: Value = serde_json::from_slice(&exported.stdout).unwrap();
    assert_eq!(genesis["chain_id"], "poq-test-2");
    assert_eq!(genesis["app_state"]["nodes"].as_array().unwrap().len(), 6);

    let of_old = fs::read(network.node().join("config/genesis.json")).unwrap();
    let of_old: Value = serde_json::from_slice(&of_old).unwrap();
    for pointer in [
        "/app_state/validators/0/vrf_key",
        "/consensus_params/abci/vote_extensions_enable_height",
    ] {
        assert!(of_old.pointer(pointer).is_some_and(Value::is_string));
        assert_eq!(genesis.pointer(pointer), of_old.pointer(pointer));
    }

    let data = network.node().join("data");
    fs::remove_dir_all(&data).unwrap();
    fs::create_dir(&data).unwrap();
    fs::write(
        data.join("priv_validator_state.json"),
        r#"{"height": "0", "round": 0, "step": 0}"#,
    )
    .unwrap();
    fs::write(network.node().join("config/genesis.json"), &exported.stdout).unwrap();
    let checked = poqd("genesis validate --home").arg(network.node()).json();
    assert_eq!(checked["validators"], 1);
    let _node = network.start();
    assert_eq!(balance(&user), users + 500_000);
    assert_eq!(balance(&friend), friends);
    assert_eq!(network.user("query bank total --denom upoq").json(), supply);
    let validators = network.user("query poq validators").json();
    assert!(validators["validators"][0]["stake"].is_string());
}
