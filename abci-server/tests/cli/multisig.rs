//! Multisignature accounts on a chain of one validator.

use std::fs;
use std::path::PathBuf;

use serde_json::Value;

use crate::support::{Network, Run};

fn write(network: &Network, name: &str, json: &Value) -> PathBuf {
    let file = network.path().join(name);
    fs::write(&file, json.to_string()).unwrap();
    file
}

#[test]
fn two_of_three_keys_send_what_one_cannot() {
    let network = Network::new();
    let _node = network.start();
    let run = |words: &str| network.user(words);
    for name in ["a", "b"] {
        run(&format!("keys add {name}")).json();
    }
    // Only the public key of a friend is known.
    let friend = "031b84c5567b126440995d3ed5aaba0565d71e1834604819ff9c17f5e9d5dd078f";
    run(&format!("keys add c --pubkey {friend}")).json();
    let joint = run("keys add joint --multisig c,a,b --multisig-threshold 2").json();
    assert_eq!(joint["threshold"], 2);
    let again = run("keys add same --multisig a,b,c --multisig-threshold 2").json();
    assert_eq!(again["address"], joint["address"]);
    let joint = joint["address"].as_str().unwrap();
    let send = format!("tx bank send {joint} 1000000upoq --from user --yes");
    assert_eq!(run(&send).json()["code"], 0);

    let user = network.get("/user/address");
    let back = format!("tx bank send {user} 1000upoq --from joint");
    let error = run(&format!("{back} --yes")).failure();
    assert!(error.contains("poqd tx multisign"), "{error}");
    let tx = run(&format!("{back} --generate-only")).json();
    let file = write(&network, "tx.json", &tx);
    let file = file.display();
    let sign = |name: &str| {
        let signature = run(&format!("tx sign {file} --multisig joint --from {name}")).json();
        write(&network, &format!("{name}.json"), &signature)
    };
    let (a, b) = (sign("a"), sign("b"));
    let (a, b) = (a.display(), b.display());

    let error = run(&format!("tx sign {file} --multisig joint --from c")).failure();
    assert!(
        error.contains("the secret of `c` is not in this keyring"),
        "{error}"
    );
    let error = run(&format!("tx sign {file} --multisig joint --from user")).failure();
    assert!(
        error.contains("`user` is not one of the keys of `joint`"),
        "{error}"
    );
    let error = run(&format!("tx multisign {file} joint {a}")).failure();
    assert!(error.contains("1 keys have signed, 2 must"), "{error}");
    let error = run(&format!("tx multisign {file} a {a} {b}")).failure();
    assert!(error.contains("`a` is a single key"), "{error}");
    let error = run(&format!("tx multisign {file} joint {file} {b}")).failure();
    assert!(error.contains("is not the JSON of signatures"), "{error}");

    let signed = run(&format!("tx multisign {file} joint {a} {b}")).json();
    let signed = write(&network, "signed.json", &signed);
    let sent = run(&format!("tx broadcast {}", signed.display())).json();
    assert_eq!(sent["code"], 0, "{sent}");
    let account = run(&format!("query auth account {joint}")).json();
    assert_eq!(account["sequence"].as_str(), Some("1"), "{account}");

    // Combining them again fails: the signatures are for the previous sequence.
    let error = run(&format!("tx multisign {file} joint {a} {b}")).failure();
    assert!(error.contains("has signed for sequence 0"), "{error}");
}
