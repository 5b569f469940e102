use std::fs;
use std::os::unix::fs::PermissionsExt;

use serde_json::{Value, json};

use crate::support::{Run, poqd};

#[test]
fn a_genesis_is_made_step_by_step() {
    let home = tempfile::tempdir().unwrap();
    let run = |words: &str| {
        let mut command = poqd(words);
        command.arg("--home").arg(home.path());
        command
    };
    let path = home.path().join("config/genesis.json");
    let genesis = || -> Value { serde_json::from_slice(&fs::read(&path).unwrap()).unwrap() };
    assert!(run("genesis validate").failure().contains("poqd init"));
    run("init alice --chain-id poq-test-1").json();
    let address = |name: &str| {
        let key = run(&format!("keys add {name} --keyring-backend test")).json();
        key["address"].as_str().unwrap().to_owned()
    };
    let (alice, bob) = (address("alice"), address("bob"));
    address("carol");

    let genesis_command = |words: &str| run(&format!("genesis --keyring-backend test {words}"));
    genesis_command("add-account alice 5000000000upoq,7atom").json();
    let summary = genesis_command(&format!("add-account {bob} 1upoq")).json();
    assert_eq!(summary["accounts"], 2);
    let accounts = genesis()["app_state"]["accounts"].clone();
    assert_eq!(accounts[0]["address"], alice.as_str());
    assert_eq!(
        accounts[0]["coins"][0],
        json!({"denom": "atom", "amount": "7"})
    );

    // A refused change leaves the file as it was.
    let before = fs::read(&path).unwrap();
    for (words, reason) in [
        ("add-account alice 1upoq", "twice"),
        ("add-account nobody 1upoq", "nobody"),
        ("add-account carol 1u", "denom"),
        ("add-node evaluator bob --models m --stake 1upoq", "m"),
        ("add-node evaluator bob --models m --stake 1atom", "atom"),
        ("add-model missing.json", "missing.json"),
    ] {
        let error = genesis_command(words).failure();
        assert!(error.contains(reason), "{words}: {error}");
    }
    assert_eq!(fs::read(&path).unwrap(), before);

    // The application counts heights from 1.
    let mut later = genesis();
    later["initial_height"] = json!("5");
    fs::write(&path, later.to_string()).unwrap();
    let error = genesis_command("validate").failure();
    assert!(error.contains("initial_height"), "{error}");
    fs::write(&path, &before).unwrap();

    let template = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../testnet/config/genesis-template.json"
    );
    let template: Value = serde_json::from_slice(&fs::read(template).unwrap()).unwrap();
    let file = home.path().join("model.json");
    for (kind, command) in [
        ("evaluator_models", "add-evaluator-model"),
        ("models", "add-model"),
    ] {
        for entry in template[kind].as_array().unwrap() {
            fs::write(&file, entry.to_string()).unwrap();
            genesis_command(&format!("{command} {}", file.display())).json();
            let twice = genesis_command(&format!("{command} {}", file.display())).failure();
            assert!(twice.contains("already"), "{twice}");
        }
    }
    let model = template["models"][0]["id"].as_str().unwrap();
    genesis_command(&format!(
        "add-node inference bob --models {model} --stake 2000000000upoq"
    ))
    .json();
    assert_eq!(genesis()["app_state"]["nodes"][0]["operator"], bob.as_str());
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o644);

    // The node's own validator gets an owner, but no second entry.
    let summary = genesis_command("add-validator alice --stake 2000000000upoq").json();
    assert_eq!(summary["validators"], 1);
    let now = genesis();
    assert_eq!(
        now["app_state"]["validators"][0]["public_key"],
        now["validators"][0]["pub_key"]["value"]
    );
    let checked = genesis_command("validate").json();
    assert_eq!(checked["chain_id"], "poq-test-1");
}
