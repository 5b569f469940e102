//! The stakes and settings of nodes.

use poq_proto::code;
use poq_proto::v1::*;
use tendermint_proto::google::protobuf::Any;

use crate::support::{self, Chain, FUNDS, MODEL, SCORER, STAKE, Wallet, any, find, params};
use crate::{GOOD, check, evaluator, inference, run, user};

pub(crate) fn unbond(wallet: &Wallet, role: Role, amount: u64) -> Any {
    any(&MsgUnbond {
        operator: wallet.address.clone(),
        role: role.into(),
        amount,
    })
}

pub(crate) fn add_stake(wallet: &Wallet, role: Role, amount: u64) -> Any {
    any(&MsgAddStake {
        operator: wallet.address.clone(),
        role: role.into(),
        amount,
    })
}

pub(crate) fn unjail(wallet: &Wallet, role: Role) -> Any {
    any(&MsgUnjail {
        operator: wallet.address.clone(),
        role: role.into(),
    })
}

/// An unbonding window that a test can wait for.
pub(crate) fn short_unbonding() -> Params {
    Params {
        unbonding_window: 110,
        max_inference_attempts: 2,
        jail_window: 5,
        ..params()
    }
}

/// Whether the wallet operates no evaluator of the chain.
fn stranger_node(chain: &Chain, wallet: &Wallet) -> bool {
    chain
        .nodes(Role::Evaluator)
        .iter()
        .all(|node| node.operator != wallet.address)
}

fn is_over(chain: &Chain, id: u64) -> bool {
    support::is_over(&chain.task(id))
}

#[test]
fn stake_grows_and_shrinks_within_its_bounds() {
    let mut chain = Chain::with_params(short_unbonding(), 1, 5);
    let wallet = chain.evaluators[0].address.clone();
    let message = add_stake(&chain.evaluators[0], Role::Evaluator, 3 * STAKE);
    run(&mut chain, evaluator, message);
    let node = chain.node(Role::Evaluator, &wallet);
    assert_eq!(node.stake, 4 * STAKE);

    let sender = &chain.evaluators[0];
    for (message, expected) in [
        (add_stake(sender, Role::Evaluator, 0), code::INVALID_COINS),
        (
            add_stake(sender, Role::Evaluator, FUNDS),
            code::INSUFFICIENT_FUNDS,
        ),
        (add_stake(sender, Role::Inference, 1), code::NOT_REGISTERED),
        (
            add_stake(sender, Role::Unspecified, 1),
            code::INVALID_REQUEST,
        ),
        (unbond(sender, Role::Evaluator, 0), code::INVALID_COINS),
        (
            unbond(sender, Role::Evaluator, 4 * STAKE + 1),
            code::INSUFFICIENT_FUNDS,
        ),
        // One base unit below the minimum would be left.
        (
            unbond(sender, Role::Evaluator, 3 * STAKE + 1),
            code::STAKE_TOO_LOW,
        ),
        (unjail(sender, Role::Evaluator), code::NOT_JAILED),
        (unjail(sender, Role::Validator), code::INVALID_REQUEST),
    ] {
        assert_eq!(check(&chain, sender, message), expected);
    }

    let message = unbond(&chain.evaluators[0], Role::Evaluator, STAKE);
    run(&mut chain, evaluator, message);
    let started = chain.height;
    let node = chain.node(Role::Evaluator, &wallet);
    assert_eq!((node.stake, node.status()), (3 * STAKE, NodeStatus::Active));
    let part = &node.unbonding[0];
    assert_eq!((part.amount, part.release_height), (STAKE, started + 110));
    chain.assert_money_is_conserved();

    let before = chain.balance(&wallet);
    chain.blocks(109);
    assert_eq!(chain.balance(&wallet), before);
    chain.blocks(1);
    assert_eq!(chain.balance(&wallet), before + u128::from(STAKE));
    assert!(chain.node(Role::Evaluator, &wallet).unbonding.is_empty());
    chain.assert_money_is_conserved();
}

#[test]
fn parts_on_their_way_back_are_limited_and_those_of_a_height_are_one() {
    let mut chain = Chain::new(1, 5);
    let message = add_stake(&chain.evaluators[0], Role::Evaluator, STAKE);
    run(&mut chain, evaluator, message);
    let two = vec![unbond(&chain.evaluators[0], Role::Evaluator, 5); 2];
    let tx = chain.evaluators[0].sign(two);
    assert_eq!(chain.block(&[tx])[0].code, 0);
    for _ in 0..7 {
        let message = unbond(&chain.evaluators[0], Role::Evaluator, 5);
        run(&mut chain, evaluator, message);
    }
    let node = chain.node(Role::Evaluator, &chain.evaluators[0].address);
    assert_eq!((node.unbonding.len(), node.unbonding[0].amount), (8, 10));
    let message = unbond(&chain.evaluators[0], Role::Evaluator, 5);
    assert_eq!(
        check(&chain, &chain.evaluators[0], message),
        code::TOO_MANY_UNBONDINGS
    );
    chain.assert_money_is_conserved();
}

#[test]
fn a_node_leaves_and_comes_back() {
    let mut chain = Chain::with_params(short_unbonding(), 1, 6);
    let wallet = chain.evaluators[0].address.clone();
    let slot = chain.node(Role::Evaluator, &wallet).slot;
    let message = unbond(&chain.evaluators[0], Role::Evaluator, STAKE);
    run(&mut chain, evaluator, message);
    let node = chain.node(Role::Evaluator, &wallet);
    assert_eq!(
        (node.status(), node.stake),
        (NodeStatus::Unbonding, 0),
        "{node:?}"
    );

    // The node is not drawn, and can only wait.
    let id = chain.submit();
    chain.answer(id, "Paris.");
    let seats = chain.task(id).committees[0].seats.clone();
    assert_eq!(seats.len(), 5);
    assert!(seats.iter().all(|seat| seat.operator != wallet));
    let sender = &chain.evaluators[0];
    let update = any(&MsgUpdateNode {
        operator: wallet.clone(),
        role: Role::Evaluator.into(),
        models: vec![SCORER.into()],
        ..MsgUpdateNode::default()
    });
    let register = any(&MsgRegisterEvaluator {
        operator: wallet.clone(),
        evaluator_models: vec![SCORER.into()],
        stake: STAKE,
        ..MsgRegisterEvaluator::default()
    });
    for (message, expected) in [
        (add_stake(sender, Role::Evaluator, 1), code::NODE_LEAVING),
        (unbond(sender, Role::Evaluator, 1), code::NODE_LEAVING),
        (update, code::NODE_LEAVING),
        (unjail(sender, Role::Evaluator), code::NOT_JAILED),
        (register.clone(), code::ALREADY_REGISTERED),
    ] {
        assert_eq!(check(&chain, sender, message), expected);
    }

    chain.blocks(110);
    assert!(stranger_node(&chain, &chain.evaluators[0]));
    chain.assert_money_is_conserved();
    let keys = [
        format!("nodes/evaluator/payout/{wallet}"),
        format!("nodes/evaluator/slot/{slot:07}"),
    ];
    for key in keys {
        let (proven, _) = chain.app.prove(key.as_bytes(), None).unwrap();
        assert_eq!(proven.value, None, "{key}");
    }
    run(&mut chain, evaluator, register);
    let node = chain.node(Role::Evaluator, &wallet);
    assert_eq!((node.status(), node.slot), (NodeStatus::Active, slot));
    chain.assert_money_is_conserved();
}

#[test]
fn unbonding_is_no_way_out_of_a_slash() {
    let mut chain = Chain::with_params(short_unbonding(), 1, 5);
    let id = chain.submit();
    chain.answer(id, "Paris.");
    // The evaluator has a seat, unbonds everything, and stays silent.
    let silent = vec![chain.evaluators[0].address.clone()];
    let message = unbond(&chain.evaluators[0], Role::Evaluator, STAKE);
    run(&mut chain, evaluator, message);
    chain.commit(id, GOOD, &silent);
    chain.blocks(1);
    let node = chain.node(Role::Evaluator, &silent[0]);
    assert_eq!(node.unbonding[0].amount, STAKE - STAKE / 1_000 * 15);
    assert_eq!(
        (node.slashed, node.status()),
        (STAKE / 1_000 * 15, NodeStatus::Unbonding)
    );
    chain.assert_money_is_conserved();
    let before = chain.balance(&silent[0]);
    chain.blocks(110);
    assert_eq!(
        chain.balance(&silent[0]),
        before + u128::from(STAKE - STAKE / 1_000 * 15)
    );
    assert!(is_over(&chain, id));
}

#[test]
fn a_leaving_node_does_its_open_duties_and_stays_until_they_end() {
    let params = Params {
        unbonding_window: 69,
        answer_window: 1,
        commit_window: 1,
        reveal_window: 1,
        max_inference_attempts: 1,
        max_committee_attempts: 1,
        audit_window: 41,
        jail_window: 5,
        ..params()
    };
    let mut chain = Chain::with_params(params, 1, 5);
    let message = unbond(&chain.evaluators[0], Role::Evaluator, STAKE);
    let id = chain.submit();
    chain.answer(id, "Paris.");
    let wallet = chain.evaluators[0].address.clone();
    let tx = chain.evaluators[0].sign(vec![message]);
    // The evaluator leaves in the block in which it commits.
    let record = chain.task(id);
    let mut txs = vec![tx];
    for seat in &record.committees[0].seats {
        let sender = find(&mut chain.evaluators, &seat.operator);
        let message = support::commit_message(sender, id, 0, GOOD);
        txs.push(sender.sign(vec![any(&message)]));
    }
    assert!(chain.block(&txs).iter().all(|result| result.code == 0));
    chain.reveal(id, GOOD, &[]);
    assert_eq!(chain.task(id).status(), TaskStatus::Settled);
    assert_eq!(chain.node(Role::Evaluator, &wallet).open_duties, 1);
    chain.blocks(40);
    assert!(!is_over(&chain, id));
    chain.blocks(1);
    assert!(is_over(&chain, id));
    let node = chain.node(Role::Evaluator, &wallet);
    assert_eq!((node.open_duties, node.duties_done), (0, 1));
    assert!(node.earned > 0);
    chain.blocks(30);
    assert!(stranger_node(&chain, &chain.evaluators[0]));
    chain.assert_money_is_conserved();
}

#[test]
fn a_late_chain_is_no_way_out_of_a_slash() {
    let params = Params {
        max_open_tasks: 1_000,
        ..short_unbonding()
    };
    let slow = Params {
        max_transitions_per_block: 2,
        ..params.clone()
    };
    let mut chain = Chain::with_params(params, 1, 5);
    // More tasks than the chain can advance before the stake is due, all of which are due earlier.
    let ask = |chain: &mut Chain| {
        let message = any(&support::submit_message(&chain.user));
        chain.user.sign(vec![message])
    };
    let txs: Vec<_> = (0..300).map(|_| ask(&mut chain)).collect();
    assert!(chain.block(&txs).iter().all(|result| result.code == 0));
    let id = chain.submit();
    chain.answer(id, "Paris.");
    let wallet = chain.evaluators[0].address.clone();
    let message = unbond(&chain.evaluators[0], Role::Evaluator, STAKE);
    let slow = any(&MsgUpdateParams {
        authority: chain.user.address.clone(),
        params: Some(slow),
    });
    let txs = [
        chain.user.sign(vec![slow]),
        chain.evaluators[0].sign(vec![message]),
    ];
    assert!(chain.block(&txs).iter().all(|result| result.code == 0));
    chain.blocks(115);
    assert!(!is_over(&chain, id));
    let node = chain.node(Role::Evaluator, &wallet);
    assert_eq!((node.open_duties, node.unbonding.len()), (1, 1));
    for _ in 0..3_000 {
        chain.block(&[]);
        if is_over(&chain, id) {
            break;
        }
    }
    assert!(is_over(&chain, id));
    chain.blocks(17);
    assert!(stranger_node(&chain, &chain.evaluators[0]));
    assert!(chain.balance(&wallet) < u128::from(FUNDS + STAKE));
    chain.assert_money_is_conserved();
}

#[test]
fn an_operator_changes_what_it_declared() {
    let params = Params {
        answer_window: 50,
        ..params()
    };
    let mut chain = Chain::with_params(params, 2, 5);
    let other = MsgSetModel {
        authority: chain.user.address.clone(),
        model: Some(Model {
            id: "other".into(),
            ..support::model()
        }),
    };
    run(&mut chain, user, any(&other));
    let operator = chain.inference[0].address.clone();
    let update = |payout: &str, models: &[&str]| MsgUpdateNode {
        operator: operator.clone(),
        role: Role::Inference.into(),
        payout: payout.into(),
        endpoint: "http://10.0.0.1".into(),
        models: models.iter().map(|model| (*model).to_owned()).collect(),
        capacity: 9,
        stream: None,
    };
    let taken = chain.inference[1].address.clone();
    let with_role = |role: Role| MsgUpdateNode {
        role: role.into(),
        ..update("", &[MODEL])
    };
    for (message, expected) in [
        (update(&taken, &[MODEL]), code::PAYOUT_TAKEN),
        (update("nobody", &[MODEL]), code::INVALID_ADDRESS),
        (update("", &["none"]), code::UNKNOWN_MODEL),
        (update("", &[]), code::INVALID_REQUEST),
        (update("", &["other", MODEL]), code::INVALID_REQUEST),
        (with_role(Role::Evaluator), code::NOT_REGISTERED),
        (with_role(Role::Validator), code::INVALID_REQUEST),
    ] {
        assert_eq!(check(&chain, &chain.inference[0], any(&message)), expected);
    }

    let payout = chain.user.address.clone();
    run(&mut chain, inference, any(&update(&payout, &["other"])));
    let node = chain.node(Role::Inference, &operator);
    assert_eq!(
        (node.payout.as_str(), node.models.as_slice(), node.capacity),
        (payout.as_str(), &["other".to_owned()][..], 9)
    );
    // Only the other node serves the first model now.
    for _ in 0..4 {
        let id = chain.submit();
        assert_eq!(chain.task(id).assignments[0].operator, taken);
    }
    // Neither the node's own account nor its new payout account is available to others.
    let register = |payout: &str| MsgUpdateNode {
        operator: taken.clone(),
        payout: payout.into(),
        ..update("", &[MODEL])
    };
    for account in [&payout, &operator] {
        let refused = check(&chain, &chain.inference[1], any(&register(account)));
        assert_eq!(refused, code::PAYOUT_TAKEN);
    }
    chain.assert_money_is_conserved();
}
