//! Evaluators that run evaluator models of two kinds in one process.

use std::collections::{BTreeMap, BTreeSet};

use futures::future::try_join_all;
use poq_proto::v1::{Committee, TaskStatus};
use serde_json::{Value, json};

use crate::fixture::{Fixture, PROMPTS, short};

const FIRST: &str = "ms-marco-minilm-l-12-v2";
const SECOND: &str = "bge-small-en-v1.5";

#[tokio::test]
async fn seats_of_two_kinds_of_models_are_scored_by_one_process_each() {
    let fixture = Fixture::start("plural", [1, 1, 5], |spec| {
        let entries = [
            include_str!("../../../evaluator/registry/ms-marco-minilm-l-12-v2.json"),
            include_str!("../../../evaluator/registry/bge-small-en-v1.5.json"),
        ];
        let entries = entries.map(|entry| serde_json::from_str::<Value>(entry).unwrap());
        spec.genesis["evaluator_models"] = entries.to_vec().into();
        spec.genesis["models"][0]["evaluator_models"] =
            json!([{ "id": FIRST, "weight": 1 }, { "id": SECOND, "weight": 1 }]);
    })
    .await;

    let (client, user) = (fixture.client(), fixture.user().await);
    let questions = PROMPTS.map(short);
    let asked = questions
        .iter()
        .map(|question| fixture.ask(&user, question));
    let receipts = try_join_all(asked).await.unwrap();
    let mut tolerances = BTreeMap::new();
    for model in [FIRST, SECOND] {
        let entry = client.evaluator_model(model).await.unwrap();
        tolerances.insert(model.to_owned(), entry.audit_tolerance);
    }
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
            assert!(spread <= tolerances[model], "{model}: {of_model:?}");
        }
        if let (Some(first), Some(second)) = (scores.get(FIRST), scores.get(SECOND)) {
            mixed += 1;
            let difference = first.first().unwrap().abs_diff(*second.first().unwrap());
            assert!(difference > 10 * tolerances[FIRST], "{first:?} {second:?}");
            // The scores of the second model are cosines.
            assert!(second.iter().all(|score| score.abs() <= 1_000_000));
        }
    }
    // Each of 20 seats has either model with probability one half.
    assert!(mixed > 0, "all committees are of one model");
    fixture.shut_down().await;
}

/// Raw scores by evaluator model; every seat must have one.
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
