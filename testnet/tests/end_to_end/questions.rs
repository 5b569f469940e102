//! The undisturbed path: several questions at once, up to their receipts.

use std::collections::BTreeMap;

use cosmos_sdk_proto::cosmos::bank::v1beta1::{QueryBalanceRequest, QueryBalanceResponse};
use futures::future::try_join_all;
use poq_client::{Answer, Client, Order, Sender};
use poq_proto::event;
use poq_proto::v1::{QueryValidatorsRequest, QueryValidatorsResponse, Role};
use poq_testnet::{Account, Description, Network, Question, Receipt};
use serde_json::Value;
use sha2::{Digest, Sha256};
use tendermint_rpc::query::Query;
use tendermint_rpc::{Client as _, HttpClient};
use tokio::process::Command;

use crate::fixture::{Fixture, PROMPTS, short, verify_receipt};

#[tokio::test]
async fn questions_in_parallel_are_answered_scored_and_paid() {
    let mut fixture = Fixture::start("questions", [4, 2, 5], |_| {}).await;
    let client = fixture.client();
    let description = fixture.network.description().clone();
    let before = Money::read(&client, &description).await;

    let user = fixture.user().await;
    let questions = PROMPTS.map(short);
    let asked = questions
        .iter()
        .map(|question| fixture.ask(&user, question));
    let receipts = try_join_all(asked).await.unwrap();

    for (receipt, prompt) in receipts.iter().zip(PROMPTS) {
        check_receipt(receipt, prompt);
    }
    assert!(
        receipts[0].answer.contains("Paris"),
        "{}",
        receipts[0].answer
    );
    let tolerance = u64::from(
        client
            .evaluator_model(EVALUATOR)
            .await
            .unwrap()
            .audit_tolerance,
    );
    assert!(receipts.iter().all(|receipt| spread(receipt) <= tolerance));

    let after = Money::read(&client, &description).await;
    check_payouts(&receipts, &description, &before, &after);
    check_events(&client, &description, &receipts).await;
    for receipt in &receipts {
        fixture.assert_equal_hashes(receipt.heights.submitted).await;
        fixture.assert_equal_hashes(receipt.heights.finalised).await;
    }
    check_command_line(&fixture.network).await;
    check_answers_without_a_word(&fixture, &user).await;
    fixture.shut_down().await;
}

/// Two tokens are less than the first character of the model's answer, so the answer is empty. It is
/// valid, and nobody is slashed for it.
async fn check_answers_without_a_word(fixture: &Fixture, user: &Sender) {
    let cut = Question {
        prompt: "😀".into(),
        max_answer_bytes: 64,
        max_tokens: 2,
    };
    for _ in 0..4 {
        let receipt = fixture.ask(user, &cut).await.unwrap();
        assert!(receipt.answer.len() <= 64, "{receipt}");
    }
    for node in fixture
        .client()
        .nodes(Role::Inference, "", 10)
        .await
        .unwrap()
    {
        assert_eq!((node.slashed, node.duties_missed), (0, 0), "{node:?}");
    }
}

/// The guide's commands print the answer, as text and as JSON.
async fn check_command_line(network: &Network) {
    let user = &network.description().user;
    let run = async |words: &[&str]| {
        let mut command = Command::new(network.programs().poqd());
        command
            .args(words)
            .env("POQD_HOME", network.root().join(&user.home));
        let output = command.output().await.unwrap();
        assert!(output.status.success(), "{output:?}");
        String::from_utf8(output.stdout).unwrap()
    };
    let told = run(&["ask", PROMPTS[0], "--yes", "--from", &user.key]).await;
    assert!(
        told.contains("Paris") && told.contains("quality "),
        "{told}"
    );
    let mut words = vec!["tx", "poq", "submit-task", PROMPTS[0], "--yes"];
    words.extend(["--wait", "final", "--from", &user.key, "--output", "json"]);
    let told: Value = serde_json::from_str(&run(&words).await).unwrap();
    let answer = told["answer_text"].as_str().unwrap();
    assert!(answer.contains("Paris"), "{told}");
    assert_eq!(told["status"], "TASK_STATUS_FINAL");
    // The answer is available after the task is over.
    let id = told["id"].as_str().unwrap();
    let later = run(&["query", "poq", "answer", id]).await;
    assert_eq!(later, format!("{answer}\n"));
    // So is its receipt, with both texts.
    let file = network.root().join("receipt.json");
    let path = file.to_str().unwrap();
    run(&["receipt", "get", "task", id, "--out", path]).await;
    let report = verify_receipt(network, &file).await;
    assert_eq!(report["task"]["status"], "TASK_STATUS_FINAL");
    let checks = report["checks"].as_array().unwrap();
    assert!(
        checks.iter().all(|check| check["result"] == "yes"),
        "{report}"
    );
}

const EVALUATOR: &str = "judge-minilm-nc-2";

fn check_receipt(receipt: &Receipt, prompt: &str) {
    let digest = |text: &str| hex::encode(Sha256::digest(text));
    assert_eq!(receipt.prompt, prompt);
    assert_eq!(receipt.prompt_sha256, digest(prompt));
    assert!(!receipt.answer.is_empty());
    assert_eq!(receipt.answer_sha256, digest(&receipt.answer));
    assert_eq!(receipt.committee.len(), 5);
    assert!(
        receipt.committee.iter().all(|seat| seat.quality.is_some()),
        "{receipt}"
    );
    assert!(receipt.quality > 0, "{receipt}");
    let heights = &receipt.heights;
    let order = [
        heights.submitted,
        heights.answered,
        heights.revealing,
        heights.settled,
        heights.finalised,
    ];
    assert!(order.is_sorted(), "{receipt}");
    let evaluators: u64 = receipt.committee.iter().map(|seat| seat.payout).sum();
    let paid = receipt.inference.payout + evaluators + receipt.protocol;
    assert!(paid <= receipt.price, "{receipt}");
    assert_eq!(paid + receipt.refund, receipt.escrow, "{receipt}");
}

/// The largest difference of two raw scores of one evaluator model for one answer, micro-logits.
fn spread(receipt: &Receipt) -> u64 {
    let of_model = receipt
        .committee
        .iter()
        .filter(|seat| seat.model == EVALUATOR);
    let scores = || of_model.clone().filter_map(|seat| seat.raw_score);
    let extremes = scores().max().zip(scores().min());
    extremes.map_or(0, |(most, least)| u64::from(most.abs_diff(least)))
}

/// All coins of the chain.
struct Money {
    supply: u128,
    /// By address.
    balances: BTreeMap<String, u128>,
    /// Earnings of the validators, paid and unpaid.
    protocol: u128,
    stakes: u128,
}

impl Money {
    /// Reads all balances at one height, because fees move with every block. Without open tasks the escrow
    /// is empty.
    async fn read(client: &Client, network: &Description) -> Self {
        let height = Some(client.height().await.unwrap());
        let balance = async |address: &str| -> u128 {
            let request = QueryBalanceRequest {
                address: address.into(),
                denom: network.denom.clone(),
            };
            let path = "/cosmos.bank.v1beta1.Query/Balance";
            let answer: Answer<QueryBalanceResponse> =
                client.query(path, &request, height).await.unwrap();
            answer.value.balance.unwrap().amount.parse().unwrap()
        };
        let mut balances = BTreeMap::new();
        for account in accounts(network) {
            balances.insert(account.address.clone(), balance(&account.address).await);
        }
        let mut stakes = 0;
        for role in [Role::Inference, Role::Evaluator] {
            let nodes = client.nodes(role, "", 0).await.unwrap();
            stakes += nodes
                .iter()
                .map(|node| u128::from(node.stake))
                .sum::<u128>();
        }
        let request = QueryValidatorsRequest::default();
        let path = "/poq.v1.Query/Validators";
        let validators: Answer<QueryValidatorsResponse> =
            client.query(path, &request, height).await.unwrap();
        let validators = validators.value.validators;
        stakes += validators
            .iter()
            .map(|validator| u128::from(validator.stake))
            .sum::<u128>();
        let waiting = balance(&protocol_account()).await;
        let earned: u64 = validators.iter().map(|validator| validator.earned).sum();
        let supply = client.supply(&network.denom).await.unwrap();
        assert_eq!(balances.values().sum::<u128>() + waiting + stakes, supply);
        Self {
            supply,
            balances,
            protocol: waiting + u128::from(earned),
            stakes,
        }
    }

    fn gain(&self, before: &Self, address: &str) -> i128 {
        self.balances[address] as i128 - before.balances[address] as i128
    }
}

fn accounts(network: &Description) -> impl Iterator<Item = &Account> {
    let workers = network.inference_nodes.iter().chain(&network.evaluators);
    let validators = network.validators.iter().map(|node| &node.account);
    validators
        .chain(workers.map(|worker| &worker.account))
        .chain([&network.user, &network.authority])
}

/// Address of the protocol's account: the first 20 bytes of a digest of its name. It has no key.
fn protocol_account() -> String {
    let digest = Sha256::digest("poq/module/protocol");
    bech32::encode::<bech32::Bech32>(bech32::Hrp::parse("poq").unwrap(), &digest[..20]).unwrap()
}

fn check_payouts(receipts: &[Receipt], network: &Description, before: &Money, after: &Money) {
    let paid_to = |name: &str| -> u64 {
        let parts = receipts.iter().flat_map(|receipt| {
            let inference = (&receipt.inference.name, receipt.inference.payout);
            let seats = receipt
                .committee
                .iter()
                .map(|seat| (&seat.name, seat.payout));
            seats.chain([inference])
        });
        parts
            .filter(|(paid, _)| *paid == name)
            .map(|(_, amount)| amount)
            .sum()
    };
    for worker in network.inference_nodes.iter().chain(&network.evaluators) {
        let gain = after.gain(before, &worker.account.address);
        assert_eq!(gain, i128::from(paid_to(&worker.name)), "{}", worker.name);
    }
    let spent: u64 = receipts
        .iter()
        .map(|receipt| receipt.escrow - receipt.refund)
        .sum();
    let fees = -after.gain(before, &network.user.address) - i128::from(spent);
    assert!(fees > 0, "{fees}");
    let protocol: u64 = receipts.iter().map(|receipt| receipt.protocol).sum();
    let earned = (after.protocol - before.protocol) as i128;
    assert_eq!(earned, i128::from(protocol) + fees);
    assert_eq!(after.supply, before.supply);
    assert_eq!(after.stakes, before.stakes);
}

/// All events of a task are found by task, by user and by node.
async fn check_events(client: &Client, network: &Description, receipts: &[Receipt]) {
    let count = async |query: String| {
        client
            .tx_search(&query, 1, 100, Order::Ascending)
            .await
            .unwrap()
            .total
    };
    let attribute = |kind: &str, key: &str, value: &str| format!("{kind}.{key}='{value}'");
    let tasks = receipts.len() as u32;
    let user = attribute(event::TASK_SUBMITTED, event::USER, &network.user.address);
    assert_eq!(count(user).await, tasks);
    let evaluator = &network.evaluators[0].account.address;
    let committed = attribute(event::TASK_COMMITTED, event::NODE, evaluator);
    // An evaluator may commit to several tasks in one transaction.
    assert!((1..=tasks).contains(&count(committed).await));

    let rpc = HttpClient::new(client.url()).unwrap();
    let block_of = async |query: String| {
        let query: Query = query.parse().unwrap();
        let found = rpc
            .block_search(query, 1, 10, Order::Ascending)
            .await
            .unwrap();
        found
            .blocks
            .first()
            .map(|found| found.block.header.height.value())
    };
    for receipt in receipts {
        let task = receipt.task.to_string();
        for kind in [event::TASK_SUBMITTED, event::TASK_ANSWERED] {
            assert_eq!(
                count(attribute(kind, event::TASK, &task)).await,
                1,
                "{kind}"
            );
        }
        let heights = &receipt.heights;
        for (kind, height) in [
            (event::TASK_ASSIGNED, heights.submitted + 1),
            (event::TASK_SEATED, heights.answered + 1),
            (event::TASK_REVEALING, heights.revealing),
            (event::TASK_SETTLED, heights.settled),
            (event::TASK_FINAL, heights.finalised),
        ] {
            let query = attribute(kind, event::TASK, &task);
            assert_eq!(block_of(query).await, Some(height), "{kind}");
        }
    }
}
