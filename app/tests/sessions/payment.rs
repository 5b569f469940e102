//! What a session pays.

use poq_proto::v1::*;

use super::*;

#[test]
fn good_answers_earn_the_full_share() {
    let mut chain = chain(1, 5);
    let operator = chain.inference[0].address.clone();
    let before = chain.node(Role::Inference, &operator);
    let balance = chain.balance(&operator);
    let (id, log) = served(&mut chain, &["10000000 yes", "10000000 no"]);
    settle(&mut chain, &log);
    reveal_drawn(&mut chain, &log);
    score(&mut chain, id);
    let payment = chain.session(id).payment.unwrap();
    let amount = log.amount();
    assert_eq!(payment.earned_part, 1_000_000);
    assert_eq!(payment.node, amount - amount / 5 - amount / 20);
    assert_eq!(payment.protocol, amount / 20);
    let earned = u128::from(payment.node);
    // Two transactions of the node.
    assert_eq!(
        chain.balance(&operator),
        balance + earned - u128::from(2 * FEE)
    );
    let node = chain.node(Role::Inference, &operator);
    assert_eq!(node.earned, before.earned + payment.node);
    assert_eq!(node.duties_done, before.duties_done + 1);
    assert_eq!(node.open_duties, 0);
    assert!(node.reputation > before.reputation);
    chain.assert_money_is_conserved();
}

#[test]
fn junk_earns_the_floor_and_an_empty_answer_needs_no_committee() {
    let mut chain = chain(1, 5);
    let (id, log) = served(&mut chain, &["-10000000 junk", ""]);
    settle(&mut chain, &log);
    reveal_drawn(&mut chain, &log);
    assert_eq!(chain.tasks().len(), 1);
    score(&mut chain, id);
    let payment = chain.session(id).payment.unwrap();
    assert_eq!(payment.earned_part, 100_000);
    chain.assert_money_is_conserved();
}

#[test]
fn numbers_that_were_not_served_are_free() {
    let mut chain = chain(1, 5);
    let (id, mut log) = served(&mut chain, &["10000000 yes"]);
    let amount = log.amount();
    log.lose("And at night?");
    assert_eq!(log.amount(), amount);
    settle(&mut chain, &log);
    reveal_drawn(&mut chain, &log);
    score(&mut chain, id);
    assert_eq!(chain.session(id).payment.unwrap().earned_part, 1_000_000);
}

#[test]
fn every_answer_is_scored_if_the_user_asks_for_it() {
    let mut chain = chain(1, 5);
    let message = MsgOpenSessions {
        scoring: SessionScoring::All.into(),
        ..opening(&chain, 1)
    };
    let id = open(&mut chain, &message);
    let mut log = Log::new(id);
    for _ in 0..9 {
        log.serve("Why?", "10000000 yes");
    }
    settle(&mut chain, &log);
    assert!(chain.session(id).settlement.unwrap().all_drawn);
    reveal_drawn(&mut chain, &log);
    assert_eq!(chain.tasks().len(), 9);
    score(&mut chain, id);
    chain.assert_money_is_conserved();
}

/// Nobody judged the answer: it does not count, and the pot returns.
#[test]
fn silent_committees_leave_the_floor() {
    let mut chain = chain(1, 8);
    let (id, log) = served(&mut chain, &["10000000 yes"]);
    settle(&mut chain, &log);
    reveal_drawn(&mut chain, &log);
    chain.blocks(40);
    let session = chain.session(id);
    assert_eq!(session.status(), SessionStatus::Final);
    assert_eq!(session.payment.unwrap().earned_part, 100_000);
    let task = chain.tasks().remove(0);
    assert_eq!(task.status(), TaskStatus::Refunded);
    assert_eq!(task.unjudged_pay, 0);
    chain.assert_money_is_conserved();
}

#[test]
fn a_challenge_corrects_a_leaf_before_the_session_is_paid() {
    let mut chain = chain(1, 5);
    let (id, log) = served(&mut chain, &["-10000000 junk"]);
    settle(&mut chain, &log);
    reveal_drawn(&mut chain, &log);
    chain.block(&[]);
    let task = chain.tasks().remove(0).id;
    // The whole committee lies.
    chain.commit(task, GOOD, &[]);
    chain.reveal(task, GOOD, &[]);
    let challenge = support::challenge_message(&chain.validators[0], task, 1_000_000);
    let tx = chain.validators[0].sign(vec![challenge]);
    is_ok(&chain.block(&[tx]).remove(0));
    chain.blocks(6);
    let session = chain.session(id);
    assert_eq!(session.status(), SessionStatus::Final);
    assert_eq!(session.payment.unwrap().earned_part, 100_000);
    chain.assert_money_is_conserved();
}

#[test]
fn an_export_refunds_what_sessions_hold() {
    let mut chain = chain(2, 5);
    let (_, log) = served(&mut chain, &["10000000 yes"]);
    settle(&mut chain, &log);
    reveal_drawn(&mut chain, &log);
    let message = opening(&chain, 2);
    open(&mut chain, &message);
    let exported = chain.app.export(None).unwrap();
    assert_eq!(
        exported
            .notes
            .iter()
            .filter(|note| note.contains("session"))
            .count(),
        3
    );
    let streams = exported
        .app_state
        .nodes
        .iter()
        .filter(|node| node.stream.is_some());
    assert_eq!(streams.count(), 2);
}
