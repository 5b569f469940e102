//! Processes that die while they work.

use std::time::Duration;

use poq_proto::event;
use poq_proto::v1::Role;
use poq_testnet::{Error, Question, Step, is_running};
use serde_json::json;
use tokio::sync::oneshot;

use crate::fixture::{Fixture, PATIENCE, short};

/// Every fault is healed or punished, and each task ends with a payout.
#[tokio::test]
async fn the_network_survives_dead_processes() {
    let shorter = |spec: &mut poq_testnet::Spec| {
        // The chain waits this long for a dead worker.
        spec.genesis["params"]["answer_window"] = json!("40");
        spec.genesis["params"]["commit_window"] = json!("30");
    };
    let mut fixture = Fixture::start("faults", [4, 2, 5], shorter).await;
    a_dead_inference_node_is_replaced(&mut fixture).await;
    a_silent_evaluator_is_slashed(&mut fixture).await;
    a_killed_validator_catches_up(&mut fixture).await;
    fixture.shut_down().await;
}

/// The node is killed in the middle of a long answer.
async fn a_dead_inference_node_is_replaced(fixture: &mut Fixture) {
    let user = fixture.user().await;
    let question = Question {
        prompt: "Tell me a long story about the sea.".into(),
        max_answer_bytes: 4096,
        max_tokens: 0,
    };
    let submitted = question.submit(&user).await.unwrap();
    let (client, description) = (fixture.client(), fixture.network.description().clone());
    let (tell, victim) = oneshot::channel();
    let mut tell = Some(tell);
    let mut missed = Vec::new();
    let receipt = submitted.receipt(client.clone(), &description, |seen| match &seen.step {
        Step::Assigned { operator, .. } => {
            if let Some(tell) = tell.take() {
                tell.send(operator.clone()).unwrap();
            }
        }
        Step::Missed { operator } => missed.push(operator.clone()),
        _ => {}
    });
    let kill = async {
        let operator = victim.await.unwrap();
        let name = description.name(&operator).to_owned();
        fixture.network.kill(&name).await.unwrap();
        (operator, name)
    };
    let (receipt, (operator, name)) = tokio::join!(receipt, kill);
    let receipt = receipt.unwrap();
    assert_eq!(missed, std::slice::from_ref(&operator));
    assert_ne!(receipt.inference.operator, operator);
    assert!(receipt.inference.payout > 0, "{receipt}");
    let node = client.node(Role::Inference, &operator).await.unwrap();
    assert_eq!(
        (node.duties_missed, node.slashed > 0),
        (1, true),
        "{node:?}"
    );
    fixture.network.start(&name).unwrap();
}

async fn a_silent_evaluator_is_slashed(fixture: &mut Fixture) {
    let client = fixture.client();
    let silent = fixture.network.description().evaluators[2].clone();
    let before = client
        .node(Role::Evaluator, &silent.account.address)
        .await
        .unwrap();
    let supply = client.supply("upoq").await.unwrap();
    fixture.network.stop(&silent.name).await.unwrap();

    let user = fixture.user().await;
    let receipt = fixture
        .ask(&user, &short("What is the capital of Italy?"))
        .await
        .unwrap();
    for seat in &receipt.committee {
        assert_eq!(
            seat.raw_score.is_none(),
            seat.name == silent.name,
            "{receipt}"
        );
        assert_eq!(seat.payout == 0, seat.name == silent.name, "{receipt}");
    }
    let after = client
        .node(Role::Evaluator, &silent.account.address)
        .await
        .unwrap();
    let lost = before.stake - after.stake;
    let slash = u64::from(client.params().await.unwrap().slash_no_commit);
    assert_eq!(lost, before.stake * slash / 1_000_000);
    assert_eq!(
        client.supply("upoq").await.unwrap(),
        supply - u128::from(lost)
    );
    assert!(after.reputation < before.reputation);
    let slashed = client
        .block_results(Some(receipt.heights.revealing))
        .await
        .unwrap();
    let slashed = slashed
        .events
        .iter()
        .find(|found| found.kind == event::NODE_SLASHED);
    assert_eq!(
        slashed.unwrap().get(event::NODE),
        Some(silent.account.address.as_str())
    );

    fixture.network.start(&silent.name).unwrap();
}

/// The node and its CometBFT are killed at once and cannot write anything.
async fn a_killed_validator_catches_up(fixture: &mut Fixture) {
    let last = fixture.network.description().validators.len() - 1;
    let name = fixture.network.description().validators[last].name.clone();
    let pids = fixture.network.pids(&name).unwrap();
    assert_eq!(pids.len(), 2, "the node and CometBFT");
    fixture.network.kill(&name).await.unwrap();
    for pid in pids {
        assert!(!is_running(pid), "{pid}");
    }

    let user = fixture.user().await;
    let question = short("What is the capital of Spain?");
    let asked = fixture.ask(&user, &question).await;
    // The evaluator that uses the dead node may be silent; the task still ends.
    let height = match asked {
        Ok(receipt) => receipt.heights.finalised,
        Err(Error::Refunded { .. }) => fixture.client().status().await.unwrap().latest_height,
        Err(error) => panic!("{error}"),
    };
    fixture.network.start(&name).unwrap();
    fixture
        .network
        .wait_height(last, height + 1, PATIENCE)
        .await
        .unwrap();
    for height in [height / 2, height] {
        fixture.assert_equal_hashes(height).await;
    }

    // The validator takes part again.
    tokio::time::sleep(Duration::from_secs(2)).await;
    let newest = fixture.client().status().await.unwrap().latest_height;
    fixture.assert_equal_hashes(newest).await;
    let status = fixture
        .network
        .client(last)
        .unwrap()
        .status()
        .await
        .unwrap();
    assert!(!status.catching_up && status.voting_power > 0, "{status:?}");
}
