//! Settlements: what a voucher pays, burns and returns.

use poq_proto::code;
use poq_proto::v1::*;
use poq_proto::{Voucher, merkle};

use super::log::settle_item;
use super::support::Wallet;
use super::*;

#[test]
fn the_rest_of_the_escrow_returns_at_once() {
    let mut chain = chain(1, 5);
    let (id, log) = served(&mut chain, &["10000000 yes", "10000000 no"]);
    settle(&mut chain, &log);
    assert_eq!(spent_by_user(&chain, 1), u128::from(log.amount()));
    let session = chain.session(id);
    assert_eq!(session.status(), SessionStatus::Revealing);
    let settlement = session.settlement.unwrap();
    assert!(settlement.all_drawn && settlement.open_points.is_empty());
    assert_eq!((settlement.count, settlement.amount), (2, log.amount()));
    chain.assert_money_is_conserved();
}

#[test]
fn an_unused_session_that_is_settled_is_over() {
    let mut chain = chain(1, 5);
    let (id, log) = served(&mut chain, &[]);
    assert_eq!(log.voucher().root, merkle::EMPTY_ROOT);
    let message = settling(&chain, &log, 0);
    is_ok(&by_node(&mut chain, id, &message));
    assert_eq!(chain.session(id).status(), SessionStatus::Final);
    assert_eq!(spent_by_user(&chain, 1), 0);
    let nodes = chain.nodes(Role::Inference);
    assert!(nodes.iter().all(|node| node.open_duties == 0));
    chain.assert_money_is_conserved();
}

/// Refusing the last acknowledgement costs what acknowledging it costs, or more.
#[test]
fn refused_ack_costs_the_ceiling() {
    let mut chain = chain(1, 5);
    let (id, mut log) = served(&mut chain, &["10000000 yes"]);
    log.ordered = 41_000;
    let (burnt, operator) = (chain.burnt(), chain.inference[0].address.clone());
    let before = chain.balance(&operator);
    let message = settling(&chain, &log, 41_000);
    is_ok(&by_node(&mut chain, id, &message));
    assert_eq!(chain.burnt() - burnt, 41_000);
    assert_eq!(spent_by_user(&chain, 1), u128::from(log.amount() + 41_000));
    // The node has nothing of it.
    assert_eq!(chain.balance(&operator), before - u128::from(FEE));
    chain.assert_money_is_conserved();
}

#[test]
fn false_claim_earns_nothing() {
    let mut chain = chain(1, 5);
    let (id, mut log) = served(&mut chain, &[]);
    log.ordered = 100_000;
    let operator = chain.inference[0].address.clone();
    let before = chain.balance(&operator);
    let message = settling(&chain, &log, 100_000);
    is_ok(&by_node(&mut chain, id, &message));
    chain.blocks(10);
    assert_eq!(chain.session(id).status(), SessionStatus::Final);
    assert_eq!(chain.balance(&operator), before - u128::from(FEE));
    assert_eq!(chain.node(Role::Inference, &operator).earned, 0);
    chain.assert_money_is_conserved();
}

#[test]
fn older_pays_less() {
    let mut chain = chain(1, 5);
    let (id, mut log) = served(&mut chain, &["10000000 yes"]);
    let older = log.settle_item(0);
    log.serve("And at night?", "10000000 It is black.");
    let message = MsgSettleSessions {
        items: vec![older],
        ..settling(&chain, &log, 0)
    };
    is_ok(&by_node(&mut chain, id, &message));
    let amount = chain.session(id).settlement.unwrap().amount;
    assert!(amount < log.amount());
    assert_eq!(spent_by_user(&chain, 1), u128::from(amount));
}

#[test]
fn second_refused() {
    let mut chain = chain(1, 5);
    let (id, mut log) = served(&mut chain, &["10000000 yes"]);
    settle(&mut chain, &log);
    log.serve("And at night?", "10000000 It is black.");
    let message = settling(&chain, &log, 0);
    is(
        &by_node(&mut chain, id, &message),
        code::WRONG_SESSION_PHASE,
    );
}

#[test]
fn closing_race() {
    let mut chain = chain(1, 5);
    let (id, log) = served(&mut chain, &["10000000 yes"]);
    let close = MsgCloseSessions {
        user: chain.user.address.clone(),
        sessions: vec![id],
    };
    let close = sign(&mut chain.user, any(&close));
    let message = settling(&chain, &log, 0);
    let settle = sign(&mut chain.inference[0], any(&message));
    for result in chain.block(&[close, settle]) {
        is_ok(&result);
    }
    assert_eq!(chain.session(id).status(), SessionStatus::Drawing);
}

#[test]
fn vouchers_of_others_are_refused() {
    let mut chain = chain(2, 5);
    let (id, mut log) = served(&mut chain, &["10000000 yes"]);
    log.ordered = 1_000;
    let good = log.voucher();
    let voucher = |change: fn(&mut Voucher)| {
        let mut voucher = good;
        change(&mut voucher);
        settle_item(&voucher, 0)
    };
    let mut cases = vec![
        (settle_item(&good, 1_001), code::SETTLEMENT_TOO_HIGH),
        (settle_item(&good, u64::MAX), code::SETTLEMENT_TOO_HIGH),
        (
            voucher(|one| one.amount = ESCROW + 1),
            code::SETTLEMENT_TOO_HIGH,
        ),
        (
            voucher(|one| (one.amount, one.authorized) = (ESCROW + 1, ESCROW + 1)),
            code::SETTLEMENT_TOO_HIGH,
        ),
        (
            voucher(|one| one.amount = one.authorized + 1),
            code::SETTLEMENT_TOO_HIGH,
        ),
        (voucher(|one| one.session = 99), code::UNKNOWN_SESSION),
    ];
    let mut unsigned = log.settle_item(0);
    unsigned.signature = vec![0; 64];
    cases.push((unsigned, code::INVALID_VOUCHER));
    let mut short = log.settle_item(0);
    short.signature.pop();
    cases.push((short, code::INVALID_VOUCHER));
    let mut changed = log.settle_item(0);
    changed.voucher.as_mut().unwrap().amount -= 1;
    cases.push((changed, code::INVALID_VOUCHER));
    let mut malformed = log.settle_item(0);
    malformed.voucher.as_mut().unwrap().root.pop();
    cases.push((malformed, code::INVALID_VOUCHER));
    cases.push((SettleItem::default(), code::UNKNOWN_SESSION));
    for (item, code) in cases {
        let message = MsgSettleSessions {
            items: vec![item],
            ..settling(&chain, &log, 0)
        };
        is(&by_node(&mut chain, id, &message), code);
    }
    // The signature of one session is none of another.
    let other = opening(&chain, 1);
    let other = open(&mut chain, &other);
    let mut item = log.settle_item(0);
    item.voucher.as_mut().unwrap().session = other;
    let operator = chain.session(other).node.unwrap().operator;
    let message = MsgSettleSessions {
        operator,
        items: vec![item],
    };
    is(&by_node(&mut chain, other, &message), code::INVALID_VOUCHER);
    // Another node cannot settle.
    let drawn = chain.session(id).node.unwrap().operator;
    let index = usize::from(chain.inference[0].address == drawn);
    let message = MsgSettleSessions {
        operator: chain.inference[index].address.clone(),
        items: vec![log.settle_item(0)],
    };
    let result = signed(&mut chain, |chain| &mut chain.inference[index], &message);
    is(&result, code::NOT_ASSIGNED);
    assert_eq!(chain.session(id).status(), SessionStatus::Open);
}

#[test]
fn a_settlement_is_free_once() {
    let mut chain = chain(1, 5);
    let (_, log) = served(&mut chain, &["10000000 yes"]);
    let message = settling(&chain, &log, 0);
    let free = |wallet: &Wallet| Draft::new(wallet, vec![any(&message)]).free().sign(wallet);
    let tx = free(&chain.inference[0]);
    let (judged, proposed) = chain.judge(std::slice::from_ref(&tx));
    judged.unwrap();
    assert_eq!(proposed.len(), 1);
    is_ok(&chain.block(&[tx]).remove(0));
    chain.inference[0].sequence += 1;
    let again = free(&chain.inference[0]);
    let (judged, proposed) = chain.judge(&[again]);
    judged.unwrap_err();
    assert!(proposed.is_empty());
}
