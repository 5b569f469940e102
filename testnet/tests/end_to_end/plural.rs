//! Evaluators that run two evaluator models in one process.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::OpenOptions;
use std::io::Write;

use futures::future::try_join_all;
use poq_proto::v1::{Committee, TaskStatus};
use poq_testnet::{Network, Spec, cache};
use serde_json::json;

use crate::fixture::{Fixture, PROMPTS, short};

const FIRST: &str = "ms-marco-minilm-l-12-v2";
/// The same files under another id, which reads in windows of a few words, so that scores differ.
const SECOND: &str = "short-windows";

#[tokio::test]
async fn seats_of_two_evaluator_models_are_scored_by_one_process_each() {
    let mut fixture = Fixture::create("plural", [1, 1, 5], add_model).await;
    run_both_models(&fixture.network);
    fixture.start_all().await;

    let (client, user) = (fixture.client(), fixture.user().await);
    let questions = PROMPTS.map(short);
    let asked = questions
        .iter()
        .map(|question| fixture.ask(&user, question));
    let receipts = try_join_all(asked).await.unwrap();
    let tolerance = client.evaluator_model(FIRST).await.unwrap().audit_tolerance;
    let mut mixed = 0;
    for receipt in &receipts {
        let task = client.task(receipt.task).await.unwrap();
        assert_eq!(task.status(), TaskStatus::Final, "{receipt}");
        let scores = scores(task.committees.last().unwrap());
        for (model, of_model) in &scores {
            let spread = of_model
                .last()
                .unwrap()
                .abs_diff(*of_model.first().unwrap());
            assert!(spread <= tolerance, "{model}: {of_model:?}");
        }
        if let (Some(first), Some(second)) = (scores.get(FIRST), scores.get(SECOND)) {
            mixed += 1;
            let difference = first.first().unwrap().abs_diff(*second.first().unwrap());
            assert!(difference > 10 * tolerance, "{first:?} {second:?}");
        }
    }
    // Each of 20 seats is of either model with a probability of one half.
    assert!(mixed > 0, "all committees are of one model");
    fixture.shut_down().await;
}

/// A second evaluator model, for half of the seats.
fn add_model(spec: &mut Spec) {
    let mut second = spec.genesis["evaluator_models"][0].clone();
    second["id"] = json!(SECOND);
    second["max_tokens"] = json!(16);
    second["max_windows"] = json!(4);
    let models = spec.genesis["evaluator_models"].as_array_mut();
    models.unwrap().push(second);
    spec.genesis["models"][0]["evaluator_models"] =
        json!([{ "id": FIRST, "weight": 1 }, { "id": SECOND, "weight": 1 }]);
}

/// Every evaluator is registered for both models; now each also has both.
fn run_both_models(network: &Network) {
    let folder = cache().join("models").join(FIRST);
    for evaluator in &network.description().evaluators {
        let home = network.root().join(&evaluator.account.home);
        let config = OpenOptions::new()
            .append(true)
            .open(home.join("config.toml"));
        write!(
            config.unwrap(),
            "\n[[models]]\nid = {SECOND:?}\nfolder = {folder:?}\n"
        )
        .unwrap();
    }
}

/// Raw scores by evaluator model; every seat has one.
fn scores(committee: &Committee) -> BTreeMap<String, BTreeSet<i32>> {
    let mut scores: BTreeMap<String, BTreeSet<i32>> = BTreeMap::new();
    for seat in &committee.seats {
        let reveal = seat.reveal.as_ref();
        let raw_score = reveal.unwrap_or_else(|| panic!("{seat:?}")).raw_score;
        let of_model = scores.entry(seat.evaluator_model.clone()).or_default();
        of_model.insert(raw_score);
    }
    scores
}
