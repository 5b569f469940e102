//! Explanations and repeated draws of tasks, and queries of old states.

use serde_json::Value;

use crate::support::{Network, Run, eventually, number, text};

/// Asks, and waits until an inference node is drawn.
fn submit(network: &Network) -> String {
    let submitted = network
        .user("tx poq submit-task --from user --yes")
        .arg("Why is the sky blue?")
        .json();
    let id = submitted["task_id"].as_str().unwrap().to_owned();
    eventually("the draw of an inference node", || {
        let task = network.user(&format!("query poq task {id}")).json();
        (task["task"]["status"] == "TASK_STATUS_ASSIGNED").then_some(())
    });
    id
}

#[test]
fn a_draw_is_verified_and_a_task_explained() {
    let network = Network::new();
    let _node = network.start();
    let id = submit(&network);
    let operator = network.get("/inference_nodes/0/address");

    let shown = network
        .user(&format!("query poq draw {id} --role inference --verify"))
        .json();
    let draw = &shown["draws"][0];
    assert_eq!(draw["matches"], true, "{draw}");
    assert_eq!(draw["recorded"][0]["operator"], operator.as_str());
    assert_eq!(draw["repeated"], draw["recorded"]);
    assert_eq!(
        draw["pools"][0]["candidates"][0]["operator"],
        operator.as_str()
    );
    assert!(draw["proof"]["values"].as_u64().unwrap() > 10);
    let none = network.user(&format!("query poq draw {id} --role evaluator"));
    assert!({ none }.failure().contains("had no draw 0"));

    let task = network.user(&format!("query poq task {id}")).json();
    let record = &task["task"]["assignments"][0];
    assert_eq!(record["operator"], operator.as_str());
    let explained = &task["explanation"]["draws"][0];
    assert_eq!(explained["drawn"][0], operator.as_str());
    assert_eq!(explained["height"], draw["height"]);
    assert_eq!(explained["beacon"], draw["beacon"]);
    let output = network.user(&format!("query poq task {id}")).finish();
    let text = text(&output.stdout);
    assert!(
        text.contains("is drawn to answer") && text.contains("poqd query poq draw"),
        "{text}"
    );
}

#[test]
fn old_states_are_kept_as_long_as_configured() {
    let network = Network::new();
    let settings = network.node().join("config/app.toml");
    let toml = std::fs::read_to_string(&settings).unwrap();
    let kept = toml.lines().map(|line| match line {
        line if line.starts_with("keep-versions = ") => "keep-versions = 10\n".to_owned(),
        line => format!("{line}\n"),
    });
    std::fs::write(&settings, kept.collect::<String>()).unwrap();
    let _node = network.start();
    let id = submit(&network);
    let task = network.user(&format!("query poq task {id}")).json();
    let height: u64 = task["task"]["submitted_height"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();

    let status = |words: &str| -> u64 {
        let status: Value = network.user(words).json();
        number(&status["latest_height"])
    };
    eventually("a pruned height", || {
        (status("status") > height + 15).then_some(())
    });
    for words in [
        format!("query poq task {id} --height {height}"),
        format!("query poq draw {id} --verify"),
        format!("query store params/params --height {height}"),
        format!("query poq nodes inference --height {height}"),
        format!("query bank total --height {height}"),
    ] {
        let error = network.user(&words).failure();
        assert!(
            error.contains("is not kept, the oldest kept is"),
            "{words}: {error}"
        );
    }
    let future = network.user("query poq params --height 1000000").failure();
    assert!(future.contains("does not exist yet"), "{future}");
    let newest = status("status") - 1;
    network
        .user(&format!("query poq task {id} --height {newest}"))
        .json();
    let aside = network
        .user("query txs --query message.sender='a' --height 1")
        .failure();
    assert!(aside.contains("--height"), "{aside}");
}
