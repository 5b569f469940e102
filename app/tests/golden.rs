//! App hashes and encodings that must not change by accident. A change here is a change of
//! consensus: see CONTRIBUTING.md.

mod support;

use poq_proto::v1::MsgRegisterEvaluator;
use prost::Message;
use support::{Chain, SCORER, STAKE, any, send};

/// One line per step, so that a review shows from which message on the states differ.
#[test]
fn app_hashes_should_not_change() {
    let mut chain = Chain::new(2, 6);
    let mut hashes = Vec::new();
    let mut note = |step: &str, chain: &Chain| {
        hashes.push(format!("{step}: {}", hex::encode(chain.app_hash)));
    };
    note("first block", &chain);
    chain.block(&[]);
    note("empty block", &chain);
    let message = send(&chain.user, &chain.inference[0].address, 5);
    let tx = chain.user.sign(vec![message]);
    assert_eq!(chain.block(&[tx])[0].code, 0);
    note("send", &chain);
    let register = MsgRegisterEvaluator {
        operator: chain.user.address.clone(),
        evaluator_models: vec![SCORER.into()],
        stake: STAKE,
        ..MsgRegisterEvaluator::default()
    };
    let tx = chain.user.sign(vec![any(&register)]);
    assert_eq!(chain.block(&[tx])[0].code, 0);
    note("register evaluator", &chain);
    let id = chain.submit();
    note("submit task", &chain);
    chain.answer(id, "Paris.");
    note("submit answers", &chain);
    let silent = vec![chain.task(id).committees[0].seats[0].operator.clone()];
    chain.commit(id, 4_000_000, &silent);
    note("commit scores", &chain);
    chain.blocks(2);
    note("slash for silence", &chain);
    chain.reveal(id, 4_000_000, &[]);
    note("reveal scores and settle", &chain);
    chain.blocks(2);
    note("pay out", &chain);
    insta::assert_snapshot!(hashes.join("\n"));
}

/// Every stored value of a task's life, as bytes.
#[test]
fn stored_values_should_not_change() {
    let mut chain = Chain::new(1, 5);
    let id = chain.submit();
    chain.answer(id, "Paris.");
    let mut values = Vec::new();
    for key in [
        "auth/account/".to_owned() + &chain.user.address,
        "auth/next-number".into(),
        format!("bank/balance/{}/upoq", chain.user.address),
        "bank/supply/upoq".into(),
        "chain/id".into(),
        "chain/beacon".into(),
        "params/params".into(),
        "models/model/llm".into(),
        "models/evaluator-model/cross-encoder".into(),
        format!("nodes/inference/node/{}", chain.inference[0].address),
        format!("nodes/inference/payout/{}", chain.inference[0].address),
        "nodes/inference/slot/0000000".into(),
        "nodes/inference/next-slot".into(),
        "nodes/inference/index/llm/0/000000".into(),
        "tasks/next-id".into(),
        format!("tasks/task/{id:020}"),
        format!("tasks/due/{:020}/{id:020}", chain.task(id).due_height),
        format!("tasks/user/{}/{id:020}", chain.user.address),
        format!("tasks/open/{}", chain.user.address),
        format!(
            "tasks/duty/evaluator/{}/{id:020}",
            chain.evaluators[0].address
        ),
    ] {
        let (proven, _) = chain.app.prove(key.as_bytes(), None).unwrap();
        values.push(format!("{key} = {}", hex::encode(proven.value.unwrap())));
    }
    insta::assert_snapshot!(values.join("\n"));
}

#[test]
fn transaction_bytes_should_not_change() {
    let chain = Chain::new(1, 1);
    let message = send(&chain.user, &chain.inference[0].address, 5);
    insta::assert_snapshot!(hex::encode(message.encode_to_vec()));
}
