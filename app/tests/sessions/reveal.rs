//! Reveals of drawn leaves.

use poq_proto::code;
use poq_proto::v1::*;

use super::*;

/// A session with more answers than are scored.
fn sampled(chain: &mut Chain) -> (u64, Log) {
    let answers = vec!["10000000 yes"; 12];
    let (id, log) = served(chain, &answers);
    settle(chain, &log);
    let settlement = chain.session(id).settlement.unwrap();
    assert!(!settlement.all_drawn);
    assert_eq!(settlement.samples, 8);
    assert_eq!(settlement.open_points.len(), 8);
    (id, log)
}

#[test]
fn a_sample_is_revealed_and_scored() {
    let mut chain = chain(1, 6);
    let (id, log) = sampled(&mut chain);
    let drawn = log.drawn(&chain.session(id));
    assert!((1..=8).contains(&drawn.len()));
    reveal_drawn(&mut chain, &log);
    let settlement = chain.session(id).settlement.unwrap();
    assert!(settlement.open_points.is_empty());
    let points: u32 = settlement.leaves.iter().map(|leaf| leaf.points).sum();
    assert_eq!(points, 8);
    assert_eq!(chain.session(id).status(), SessionStatus::Scoring);
    let task = chain.task(settlement.leaves[0].task_id);
    let leaf = task.leaf.unwrap();
    assert_eq!((leaf.session, leaf.number), (id, drawn[0]));
    assert_eq!(task.escrow, leaf.price / 5);
    assert!(leaf.at_stake >= leaf.price);
    chain.assert_money_is_conserved();
    score(&mut chain, id);
    chain.assert_money_is_conserved();
}

#[test]
fn leaves_that_are_not_drawn_are_refused() {
    let mut chain = chain(1, 5);
    let (id, log) = sampled(&mut chain);
    let drawn = log.drawn(&chain.session(id));
    let other = (0..12).find(|number| !drawn.contains(number)).unwrap();
    let message = revealing(&chain, &log, &[other]);
    is(&by_node(&mut chain, id, &message), code::NOT_DRAWN);
    let message = revealing(&chain, &log, &drawn[..1]);
    is_ok(&by_node(&mut chain, id, &message));
    is(&by_node(&mut chain, id, &message), code::DUPLICATE);
}

#[test]
fn leaves_that_do_not_match_are_refused() {
    let mut chain = chain(1, 5);
    let (id, log) = served(&mut chain, &["10000000 yes", "10000000 no"]);
    settle(&mut chain, &log);
    let good = log.leaf_item(0);
    type Case = (fn(&mut LeafItem), code::Code);
    let cases: [Case; 12] = [
        (|item| item.path[0][0] ^= 1, code::NOT_IN_LOG),
        (|item| item.path.push(vec![0; 32]), code::NOT_IN_LOG),
        (|item| item.path[0].push(0), code::NOT_IN_LOG),
        (|item| item.path.clear(), code::NOT_IN_LOG),
        (
            |item| item.leaf.as_mut().unwrap().price += 1,
            code::NOT_IN_LOG,
        ),
        (
            |item| item.leaf.as_mut().unwrap().number = 1,
            code::NOT_IN_LOG,
        ),
        (|item| item.leaf = None, code::INVALID_LEAF),
        (
            |item| item.leaf.as_mut().unwrap().answer = vec![],
            code::INVALID_LEAF,
        ),
        (|item| item.answer.push('!'), code::INVALID_LEAF),
        (
            |item| item.chat.as_mut().unwrap().seed = 1,
            code::INVALID_LEAF,
        ),
        (|item| item.chat = None, code::INVALID_LEAF),
        (|item| item.session = 99, code::UNKNOWN_SESSION),
    ];
    let mut txs = Vec::new();
    for (change, _) in cases {
        let mut item = good.clone();
        change(&mut item);
        let message = any(&MsgRevealLeaves {
            items: vec![item],
            ..revealing(&chain, &log, &[])
        });
        txs.push(sign(&mut chain.inference[0], message));
    }
    for ((_, code), result) in cases.iter().zip(chain.block(&txs)) {
        is(&result, *code);
    }
    assert_eq!(chain.session(id).status(), SessionStatus::Revealing);
}

/// A log that node and user sign together may say anything; the chain believes only what it can check.
#[test]
fn a_log_with_false_contents_earns_nothing() {
    type Case = fn(&mut Log);
    let cases: [Case; 8] = [
        |log| log.leaves[0].0.price += 1,
        |log| log.leaves[0].0.finish = Finish::Void,
        |log| log.leaves[0].0.answer_bytes += 1,
        |log| log.leaves[0].0.prompt_bytes += 1,
        |log| log.leaves[0].0.min_quality = 1,
        |log| log.leaves[0].0.total += 1_000_000,
        |log| log.leaves[0].1.model = "other".into(),
        |log| {
            log.leaves[0].1.max_answer_bytes = 1;
            log.leaves[0].0.request = log.leaves[0].1.digest();
        },
    ];
    for change in cases {
        let mut chain = chain(1, 5);
        let (id, mut log) = served(&mut chain, &["10000000 yes", "10000000 no"]);
        change(&mut log);
        settle(&mut chain, &log);
        let message = revealing(&chain, &log, &[0]);
        is(&by_node(&mut chain, id, &message), code::INVALID_LEAF);
    }
}

/// Two leaves that claim the same place could otherwise take more pots than the amount has.
#[test]
fn leaves_cannot_overlap() {
    let mut chain = chain(1, 5);
    let (id, mut log) = served(&mut chain, &["10000000 yes", "10000000 no"]);
    log.leaves[1].0.total -= 1;
    settle(&mut chain, &log);
    let first = revealing(&chain, &log, &[0]);
    is_ok(&by_node(&mut chain, id, &first));
    let second = revealing(&chain, &log, &[1]);
    is(&by_node(&mut chain, id, &second), code::INVALID_LEAF);
}

#[test]
fn a_missing_leaf_costs_the_node_pay_and_stake() {
    let mut chain = chain(1, 5);
    let operator = chain.inference[0].address.clone();
    let before = chain.node(Role::Inference, &operator);
    let (id, log) = served(&mut chain, &["10000000 yes", "10000000 no"]);
    settle(&mut chain, &log);
    let message = revealing(&chain, &log, &[0]);
    is_ok(&by_node(&mut chain, id, &message));
    chain.blocks(2);
    assert_eq!(chain.session(id).status(), SessionStatus::Revealing);
    chain.blocks(1);
    assert_eq!(chain.session(id).status(), SessionStatus::Scoring);
    chain.assert_money_is_conserved();
    let id_of_task = chain.tasks()[0].id;
    assert_eq!(chain.task(id_of_task).status(), TaskStatus::Committing);
    // The committee missed its window meanwhile; the next one scores.
    chain.blocks(20);
    let session = chain.session(id);
    assert_eq!(session.status(), SessionStatus::Final);
    let node = chain.node(Role::Inference, &operator);
    assert_eq!(node.duties_missed, before.duties_missed + 1);
    assert!(node.stake < before.stake && node.reputation < before.reputation);
    chain.assert_money_is_conserved();
}

#[test]
fn reveals_after_the_window_are_refused() {
    let mut chain = chain(1, 5);
    let (id, log) = served(&mut chain, &["10000000 yes"]);
    settle(&mut chain, &log);
    chain.blocks(4);
    let message = revealing(&chain, &log, &[0]);
    is(
        &by_node(&mut chain, id, &message),
        code::WRONG_SESSION_PHASE,
    );
    let session = chain.session(id);
    assert_eq!(session.status(), SessionStatus::Final);
    assert_eq!(session.payment.unwrap().node, 0);
    chain.assert_money_is_conserved();
}
