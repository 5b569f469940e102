//! Nobody chooses the nodes of a task: neither by the contents of the block that draws nor by the
//! payout account of an answer.

mod support;

use poq_proto::code;
use poq_proto::v1::{
    Assignment, Committee, Model, MsgAddStake, MsgRegisterEvaluator, MsgRegisterInferenceNode,
    MsgSetEvaluatorModel, MsgSetModel, MsgUnbond, MsgUpdateNode, MsgUpdateParams, Params, Role,
};
use support::{Chain, MODEL, SCORER, STAKE, Wallet, any, send, submit_message};
use tendermint_proto::google::protobuf::Any;

const GOOD: i32 = 4_000_000;
const EVALUATORS: u8 = 12;

/// A chain whose next block draws a committee for the first task and an inference node for the
/// second.
fn before_draws() -> (Chain, u64, u64) {
    let mut chain = Chain::new(3, EVALUATORS);
    let first = chain.submit();
    let ask = any(&submit_message(&chain.user));
    let ask = chain.user.sign(vec![ask]);
    let answer = chain.answer_tx(first, "Paris.");
    for result in chain.block(&[ask, answer]) {
        assert_eq!(result.code, 0, "{}", result.log);
    }
    (chain, first, first + 1)
}

/// The draws of the next block if it contains a message.
fn drawn(message: impl FnOnce(&mut Chain) -> Option<Vec<u8>>) -> (Committee, Assignment) {
    let (mut chain, first, second) = before_draws();
    let txs: Vec<Vec<u8>> = message(&mut chain).into_iter().collect();
    for result in chain.block(&txs) {
        assert_eq!(result.code, 0, "{}", result.log);
    }
    let committee = chain.task(first).committees.remove(0);
    (committee, chain.task(second).assignments.remove(0))
}

fn by(wallet: &mut Wallet, message: Any) -> Option<Vec<u8>> {
    Some(wallet.sign(vec![message]))
}

fn add_stake(chain: &mut Chain, role: Role, amount: u64) -> Option<Vec<u8>> {
    let wallet = match role {
        Role::Inference => &mut chain.inference[0],
        _ => &mut chain.evaluators[0],
    };
    let operator = wallet.address.clone();
    let role = role.into();
    by(
        wallet,
        any(&MsgAddStake {
            operator,
            role,
            amount,
        }),
    )
}

fn unbond(wallet: &mut Wallet, role: Role) -> Option<Vec<u8>> {
    let message = MsgUnbond {
        operator: wallet.address.clone(),
        role: role.into(),
        amount: STAKE,
    };
    by(wallet, any(&message))
}

fn update(wallet: &mut Wallet, role: Role, payout: String) -> Option<Vec<u8>> {
    let models = match role {
        Role::Inference => vec![MODEL.into()],
        _ => vec![SCORER.into()],
    };
    let message = MsgUpdateNode {
        operator: wallet.address.clone(),
        role: role.into(),
        payout,
        models,
        ..MsgUpdateNode::default()
    };
    by(wallet, any(&message))
}

#[test]
fn nothing_in_a_block_moves_its_draws() {
    type Make = fn(&mut Chain) -> Option<Vec<u8>>;
    let kinds: [Make; 13] = [
        |chain| add_stake(chain, Role::Evaluator, 1),
        |chain| add_stake(chain, Role::Inference, 12_345),
        |chain| unbond(&mut chain.evaluators[1], Role::Evaluator),
        |chain| unbond(&mut chain.inference[1], Role::Inference),
        |chain| {
            let fresh = Wallet::new(99, 99).address;
            update(&mut chain.inference[0], Role::Inference, fresh)
        },
        |chain| {
            let fresh = Wallet::new(99, 99).address;
            update(&mut chain.evaluators[2], Role::Evaluator, fresh)
        },
        |chain| {
            let message = MsgRegisterEvaluator {
                operator: chain.user.address.clone(),
                evaluator_models: vec![SCORER.into()],
                stake: 5 * STAKE,
                ..MsgRegisterEvaluator::default()
            };
            by(&mut chain.user, any(&message))
        },
        |chain| {
            let message = MsgRegisterInferenceNode {
                operator: chain.user.address.clone(),
                models: vec![MODEL.into()],
                stake: 5 * STAKE,
                ..MsgRegisterInferenceNode::default()
            };
            by(&mut chain.user, any(&message))
        },
        |chain| {
            let message = MsgSetModel {
                authority: chain.user.address.clone(),
                model: Some(Model {
                    base_price: 7,
                    ..support::model()
                }),
            };
            by(&mut chain.user, any(&message))
        },
        |chain| {
            let message = MsgSetEvaluatorModel {
                authority: chain.user.address.clone(),
                evaluator_model: Some(support::scorer()),
            };
            by(&mut chain.user, any(&message))
        },
        |chain| {
            let message = MsgUpdateParams {
                authority: chain.user.address.clone(),
                params: Some(Params {
                    committee_size: 3,
                    stake_cap: STAKE / 2,
                    min_evaluator_stake: STAKE / 2,
                    ..support::params()
                }),
            };
            by(&mut chain.user, any(&message))
        },
        |chain| {
            let to = chain.evaluators[0].address.clone();
            let message = send(&chain.user, &to, 5);
            by(&mut chain.user, message)
        },
        |chain| {
            let message = any(&submit_message(&chain.user));
            by(&mut chain.user, message)
        },
    ];
    let expected = drawn(|_| None);
    assert_eq!(expected.0.seats.len(), 5);
    for (place, kind) in kinds.into_iter().enumerate() {
        assert_eq!(drawn(kind), expected, "{place}");
    }
}

/// Before draws came first, each amount resulted in another draw of all seats (ADR 33).
#[test]
fn whoever_tries_amounts_of_stake_gets_one_committee() {
    let expected = drawn(|_| None);
    for amount in (1..10_000).step_by(199) {
        let found = drawn(|chain| add_stake(chain, Role::Evaluator, amount));
        assert_eq!(found, expected, "{amount}");
    }
}

#[test]
fn a_node_cannot_name_somebody_elses_node_as_its_payout() {
    let mut chain = Chain::new(1, EVALUATORS);
    let evaluator = chain.evaluators[0].address.clone();
    let tx = update(&mut chain.inference[0], Role::Inference, evaluator.clone());
    let result = &chain.block(&[tx.unwrap()])[0];
    assert_eq!(result.code, code::PAYOUT_TAKEN.number, "{}", result.log);
    // The payout account of an evaluator is refused too.
    let safe = Wallet::new(99, 99).address;
    let tx = update(&mut chain.evaluators[0], Role::Evaluator, safe.clone());
    assert_eq!(chain.block(&[tx.unwrap()])[0].code, 0);
    let tx = update(&mut chain.inference[0], Role::Inference, safe);
    let result = &chain.block(&[tx.unwrap()])[0];
    assert_eq!(result.code, code::PAYOUT_TAKEN.number, "{}", result.log);
}

/// The payout account changes between the answer and the draw of the committee, and again before
/// the payout. Neither change has an effect.
#[test]
fn an_answer_is_paid_to_the_account_of_its_moment() {
    let mut chain = Chain::new(1, EVALUATORS);
    let task = chain.submit();
    chain.send_answer(task, "Paris.");
    let own = chain.inference[0].address.clone();
    let later = Wallet::new(99, 99).address;
    let tx = update(&mut chain.inference[0], Role::Inference, later.clone());
    assert_eq!(chain.block(&[tx.unwrap()])[0].code, 0);
    chain.commit(task, GOOD, &[]);
    chain.reveal(task, GOOD, &[]);
    let record = chain.task(task);
    assert_eq!(record.answer.unwrap().payout, own);
    assert_eq!(record.settlement.unwrap().inference.unwrap().payout, own);
    chain.blocks(3);
    assert_eq!(chain.balance(&later), 0);
    chain.assert_money_is_conserved();
}
