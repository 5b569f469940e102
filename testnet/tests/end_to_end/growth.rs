//! Commands of a second terminal: workers join a running network, and others stop.

use poq_proto::v1::Role;
use poq_testnet::{Control, Network, ProcessStatus, Request, Result, Spec, obey, request};
use serde_json::json;

use crate::fixture::{Fixture, PATIENCE, short};

#[tokio::test]
async fn workers_join_and_leave_a_running_network() {
    let shorter = |spec: &mut Spec| {
        // The chain waits this long for a stopped worker.
        spec.genesis["params"]["answer_window"] = json!("20");
        spec.genesis["params"]["commit_window"] = json!("10");
    };
    let mut fixture = Fixture::start("growth", [1, 1, 1], shorter).await;
    let network = &mut fixture.network;
    let control = Control::bind(network.root()).unwrap();
    for (role, name) in [
        (Role::Evaluator, "evaluator-2"),
        (Role::Inference, "inference-2"),
    ] {
        let added = ask(network, &control, Request::Add { role }).await.unwrap();
        assert_eq!(added[0].name, name);
        assert!(added[0].pid.is_some());
    }
    network.wait_healthy(PATIENCE, |_, _| {}).await.unwrap();

    // Only the new workers are left.
    for name in ["inference-1", "evaluator-1"] {
        let stop = || Request::Stop { name: name.into() };
        let stopped = ask(network, &control, stop()).await.unwrap();
        assert_eq!((&*stopped[0].name, stopped[0].pid), (name, None));
        let error = ask(network, &control, stop()).await.unwrap_err();
        assert!(error.to_string().contains(name), "{error}");
    }
    let user = fixture.user().await;
    let question = short("What is the capital of France?");
    let receipt = fixture.ask(&user, &question).await.unwrap();
    assert_eq!(receipt.inference.name, "inference-2");
    assert_eq!(receipt.committee[0].name, "evaluator-2");
    fixture.shut_down().await;
}

/// Sends a request and executes it, like two terminals.
async fn ask(
    network: &mut Network,
    control: &Control,
    what: Request,
) -> Result<Vec<ProcessStatus>> {
    let root = network.root().to_owned();
    let first_terminal = async { obey(network, control.accept().await.unwrap()).await };
    let second_terminal = request(&root, &what);
    tokio::join!(first_terminal, second_terminal).1
}
