//! A running chain changes the evaluator models that score its answers.

use std::fs;
use std::time::Duration;

use futures::future::try_join_all;
use poq_client::{Fee, any};
use poq_proto::v1::{
    EvaluatorModel, MsgSetEvaluatorModel, MsgSetModel, MsgUpdateNode, Role, WeightedEvaluatorModel,
};
use poq_testnet::Receipt;
use serde_json::{Value, json};

use crate::fixture::{Fixture, PATIENCE, PROMPTS, send, short};

const OLD: &str = include_str!("../../../evaluator/registry/ms-marco-minilm-l-12-v2.json");
const NEW: &str = include_str!("../../../evaluator/registry/judge-minilm-nc-2.json");

const FEE: Fee = Fee::Gas(400_000);

/// The authority registers a judge, evaluators run it beside the old one, and the language model switches
/// to it. A task that was asked before keeps the old judge.
#[tokio::test]
async fn a_running_network_changes_its_judge() {
    let old: EvaluatorModel = serde_json::from_str(OLD).unwrap();
    let new: EvaluatorModel = serde_json::from_str(NEW).unwrap();
    let mut fixture = Fixture::start("judges", [1, 1, 2], |spec| {
        spec.genesis["evaluator_models"] = json!([serde_json::from_str::<Value>(OLD).unwrap()]);
        spec.genesis["models"][0]["evaluator_models"] = json!([{ "id": old.id, "weight": 1 }]);
    })
    .await;
    let authority = fixture.network.description().authority.clone();
    let authority = fixture.network.sender(&authority).await.unwrap();
    let message = MsgSetEvaluatorModel {
        authority: authority.address().into(),
        evaluator_model: Some(new.clone()),
    };
    send(&authority, any(&message), FEE).await;
    for worker in fixture.network.description().evaluators.clone() {
        let name = worker.name.clone();
        fixture.network.stop(&name).await.unwrap();
        let config = fixture.network.root().join(&name).join("config.toml");
        let text = fs::read_to_string(&config).unwrap();
        let table = format!("\n[[models]]\nid = \"{}\"\n", new.id);
        fs::write(&config, text + &table).unwrap();
        let operator = fixture.network.sender(&worker.account).await.unwrap();
        let message = MsgUpdateNode {
            operator: operator.address().into(),
            role: Role::Evaluator.into(),
            // Sorted, as in the state.
            models: vec![new.id.clone(), old.id.clone()],
            ..MsgUpdateNode::default()
        };
        send(&operator, any(&message), FEE).await;
        fixture.network.start(&name).unwrap();
    }
    fixture
        .network
        .wait_healthy(PATIENCE, |_, _| {})
        .await
        .unwrap();

    let (client, user) = (fixture.client(), fixture.user().await);
    let before = short(PROMPTS[0]).submit(&user).await.unwrap();
    // By now every node had time to get the files of the new judge.
    let registered = client.evaluator_model(&new.id).await.unwrap();
    let delay = client.params().await.unwrap().model_activation_delay;
    let usable = registered.registered_height + delay;
    while client.height().await.unwrap() < usable {
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    let mut model = client.models("", 1).await.unwrap().remove(0);
    model.evaluator_models = vec![WeightedEvaluatorModel {
        id: new.id.clone(),
        weight: 1,
    }];
    let message = MsgSetModel {
        authority: authority.address().into(),
        model: Some(model),
    };
    send(&authority, any(&message), FEE).await;
    let before = fixture.receipt(before).await.unwrap();
    let questions = PROMPTS[1..3].iter().map(|prompt| short(prompt));
    let questions: Vec<_> = questions.collect();
    let after = questions
        .iter()
        .map(|question| fixture.ask(&user, question));
    let after = try_join_all(after).await.unwrap();

    assert_scored(&before, &old.id);
    for receipt in &after {
        assert_scored(receipt, &new.id);
    }
    fixture.shut_down().await;
}

/// Asserts that every seat was of this evaluator model and revealed its score.
fn assert_scored(receipt: &Receipt, model: &str) {
    assert!(!receipt.committee.is_empty(), "{receipt}");
    for seat in &receipt.committee {
        assert_eq!(seat.model, model, "{receipt}");
        assert!(seat.raw_score.is_some(), "{receipt}");
    }
}
