//! Sessions end by themselves, whatever their node and their user do.

use poq_proto::code;
use poq_proto::v1::*;

use super::*;

#[test]
fn an_unused_session_costs_nobody_anything() {
    let mut chain = chain(1, 5);
    let operator = chain.inference[0].address.clone();
    let before = chain.node(Role::Inference, &operator);
    let message = opening(&chain, 1);
    let id = open(&mut chain, &message);
    chain.blocks(BLOCKS - 1);
    assert_eq!(chain.session(id).status(), SessionStatus::Open);
    chain.blocks(1);
    assert_eq!(chain.session(id).status(), SessionStatus::Closing);
    chain.blocks(5);
    let session = chain.session(id);
    assert_eq!(session.status(), SessionStatus::Refunded);
    assert_eq!(session.refund_reason(), SessionRefundReason::NotSettled);
    assert_eq!(spent_by_user(&chain, 1), 0);
    assert_eq!(chain.node(Role::Inference, &operator), before);
    chain.assert_money_is_conserved();
}

#[test]
fn a_node_can_settle_until_the_window_of_a_closed_session_ends() {
    let mut chain = chain(1, 5);
    let (id, log) = served(&mut chain, &["10000000 yes"]);
    let close = MsgCloseSessions {
        user: chain.user.address.clone(),
        sessions: vec![id, 99],
    };
    let result = signed(&mut chain, |chain| &mut chain.user, &close);
    is_ok(&result);
    let results = response::<MsgCloseSessionsResponse>(&result).results;
    assert_eq!(results[0].code, 0);
    assert_eq!(results[1].code, code::UNKNOWN_SESSION.number);
    assert_eq!(chain.session(id).status(), SessionStatus::Closing);
    let again = MsgCloseSessions {
        sessions: vec![id],
        ..close
    };
    let result = signed(&mut chain, |chain| &mut chain.user, &again);
    is(&result, code::WRONG_SESSION_PHASE);
    // Messages of a block come before its end, at which the window closes.
    chain.blocks(3);
    settle(&mut chain, &log);
    assert_eq!(chain.session(id).status(), SessionStatus::Revealing);
}

#[test]
fn only_the_user_closes_a_session() {
    let mut chain = chain(1, 5);
    let (id, _) = served(&mut chain, &[]);
    let close = MsgCloseSessions {
        user: chain.evaluators[0].address.clone(),
        sessions: vec![id],
    };
    let result = signed(&mut chain, |chain| &mut chain.evaluators[0], &close);
    is(&result, code::NOT_THE_USER);
}

#[test]
fn a_leaving_node_stays_until_its_session_is_over() {
    let mut chain = chain(2, 5);
    let (id, log) = served(&mut chain, &["10000000 yes"]);
    let operator = chain.session(id).node.unwrap().operator;
    let leave = MsgUnbond {
        operator: operator.clone(),
        role: Role::Inference.into(),
        amount: support::STAKE,
    };
    is_ok(&by_node(&mut chain, id, &leave));
    settle(&mut chain, &log);
    reveal_drawn(&mut chain, &log);
    score(&mut chain, id);
    assert!(chain.session(id).payment.unwrap().node > 0);
    chain.assert_money_is_conserved();
}

#[test]
fn a_record_becomes_compact_and_keeps_its_root() {
    let params = Params {
        task_retention: 3,
        ..session_params()
    };
    let mut chain = with_params(params, 1, 5);
    let (id, log) = served(&mut chain, &["10000000 yes", "10000000 no"]);
    settle(&mut chain, &log);
    reveal_drawn(&mut chain, &log);
    score(&mut chain, id);
    chain.blocks(4);
    let session = chain.session(id);
    assert_eq!(session.record_sha256.len(), 32);
    let settlement = session.settlement.unwrap();
    assert!(settlement.leaves.is_empty() && session.evaluator_models.is_empty());
    assert_eq!(settlement.root, log.voucher().root);
    assert_eq!(settlement.amount, log.amount());
    assert!(session.payment.is_some());
}
