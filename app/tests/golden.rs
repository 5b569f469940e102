//! App hashes and encodings that must not change by accident. A change here is a change of
//! consensus: see CONTRIBUTING.md.

mod support;

use poq_proto::v1::*;
use prost::Message;
use support::{Chain, MODEL, SCORER, STAKE, Wallet, any, send};
use tendermint_proto::google::protobuf::Any;

/// One line per step, so that a review shows at which message the states begin to differ.
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

/// Every stored value during a task's life, as bytes.
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

/// A chain whose registries change by one message after the other, and the app hash after each.
fn registry() -> (Chain, Vec<String>) {
    let params = Params {
        unbonding_window: 110,
        jail_window: 5,
        jail_after_misses: 1,
        max_inference_attempts: 1,
        ..support::params()
    };
    let mut chain = Chain::without_outputs(params.clone(), 1, 6);
    let mut hashes = Vec::new();
    let authority = chain.user.address.clone();
    let operator = chain.evaluators[0].address.clone();
    let role = Role::Evaluator.into();
    let of_evaluator = |chain: &mut Chain, step: &str, message: Any| {
        let tx = chain.evaluators[0].sign(vec![message]);
        note(chain, tx, step)
    };
    let of_user = |chain: &mut Chain, step: &str, message: Any| {
        let tx = chain.user.sign(vec![message]);
        note(chain, tx, step)
    };

    let (owner, amount) = (operator.clone(), 2 * STAKE);
    let message = any(&MsgAddStake {
        operator: owner,
        role,
        amount,
    });
    hashes.push(of_evaluator(&mut chain, "add stake", message));
    let update = MsgUpdateNode {
        operator: operator.clone(),
        role,
        payout: Wallet::new(99, 0).address,
        models: vec![SCORER.into()],
        ..MsgUpdateNode::default()
    };
    hashes.push(of_evaluator(&mut chain, "update node", any(&update)));
    let (owner, amount) = (operator.clone(), STAKE);
    let message = any(&MsgUnbond {
        operator: owner,
        role,
        amount,
    });
    hashes.push(of_evaluator(&mut chain, "unbond", message));
    let register = MsgRegisterValidator {
        operator: operator.clone(),
        public_key: chain.evaluators[0].consensus_key(),
        stake: STAKE,
        ..MsgRegisterValidator::default()
    };
    hashes.push(of_evaluator(
        &mut chain,
        "register validator",
        any(&register),
    ));
    let power = MsgSetValidatorPower {
        authority: authority.clone(),
        operator,
        power: 7,
    };
    hashes.push(of_user(&mut chain, "set validator power", any(&power)));
    let model = MsgSetModel {
        authority: authority.clone(),
        model: Some(Model {
            base_price: 2_000,
            ..support::model()
        }),
    };
    hashes.push(of_user(&mut chain, "set model", any(&model)));
    let scorer = MsgSetEvaluatorModel {
        authority: authority.clone(),
        evaluator_model: Some(EvaluatorModel {
            audit_tolerance: 2_000,
            ..support::scorer()
        }),
    };
    hashes.push(of_user(&mut chain, "set evaluator model", any(&scorer)));
    let update = MsgUpdateParams {
        authority,
        params: Some(Params {
            max_open_tasks: 9,
            ..params
        }),
    };
    hashes.push(of_user(&mut chain, "update params", any(&update)));
    let key = chain.validators[0].consensus_key();
    let offender = poq_app::modules::validators::consensus_address(&key);
    chain.offenders.push(offender.to_vec());
    chain.block(&[]);
    hashes.push(format!("evidence: {}", hex::encode(chain.app_hash)));
    chain.submit();
    chain.blocks(4);
    hashes.push(format!("jail: {}", hex::encode(chain.app_hash)));
    (chain, hashes)
}

fn note(chain: &mut Chain, tx: Vec<u8>, step: &str) -> String {
    let result = chain.block(&[tx]).remove(0);
    assert_eq!(result.code, 0, "{step}: {}", result.log);
    format!("{step}: {}", hex::encode(chain.app_hash))
}

#[test]
fn app_hashes_of_the_registries_should_not_change() {
    insta::assert_snapshot!(registry().1.join("\n"));
}

#[test]
fn stored_values_of_the_registries_should_not_change() {
    let (chain, _) = registry();
    let evaluator = &chain.evaluators[0];
    let address = poq_app::modules::validators::consensus_address(&evaluator.consensus_key());
    let release = chain.node(Role::Evaluator, &evaluator.address).unbonding[0].release_height;
    let mut values = Vec::new();
    for key in [
        format!("nodes/evaluator/node/{}", evaluator.address),
        format!("nodes/inference/node/{}", chain.inference[0].address),
        format!("validators/validator/{}", evaluator.address),
        format!("validators/validator/{}", chain.validators[0].address),
        format!("validators/address/{}", hex::encode(address)),
        format!("validators/active/{}", evaluator.address),
        format!(
            "stake/release/{release:020}/evaluator/{}",
            evaluator.address
        ),
        format!("models/model/{MODEL}"),
    ] {
        let (proven, _) = chain.app.prove(key.as_bytes(), None).unwrap();
        values.push(format!("{key} = {}", hex::encode(proven.value.unwrap())));
    }
    insta::assert_snapshot!(values.join("\n"));
}

/// Clients tell results apart by these numbers.
#[test]
fn result_codes_should_not_change() {
    let codes = poq_proto::code::ALL.iter();
    let lines: Vec<_> = codes
        .map(|(name, code)| format!("{} {} {name}", code.codespace, code.number))
        .collect();
    insta::assert_snapshot!(lines.join("\n"));
}

/// Clients search and subscribe by these names.
#[test]
fn names_of_events_should_not_change() {
    let source = include_str!("../../proto/src/event.rs");
    let names: Vec<_> = source
        .lines()
        .filter_map(|line| line.strip_prefix("pub const "))
        .map(|line| line.replace(": &str", "").replace(';', ""))
        .collect();
    assert!(names.len() > 40);
    insta::assert_snapshot!(names.join("\n"));
}
