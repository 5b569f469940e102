//! Opening, the draw of nodes, and closing before it.

use std::collections::BTreeSet;

use poq_app::Error;
use poq_app::modules::sessions::replay::{draw_height, record, replay};
use poq_proto::code;
use poq_proto::v1::*;

use super::support::{self, Wallet, find, proven};
use super::*;

#[test]
fn a_set_draws_different_nodes_that_anyone_can_draw_again() {
    let mut chain = chain(3, 5);
    let message = opening(&chain, 3);
    let first = open(&mut chain, &message);
    assert_eq!(spent_by_user(&chain, 1), u128::from(3 * ESCROW));
    let sessions = chain.sessions();
    let operators: BTreeSet<_> = sessions
        .iter()
        .map(|session| session.node.clone().unwrap().operator)
        .collect();
    assert_eq!(operators.len(), 3);
    for session in &sessions {
        assert_eq!(session.status(), SessionStatus::Open);
        assert_eq!((session.set, session.set_size), (first, 3));
        assert_eq!(session.due_height, chain.height + BLOCKS);
        let node = session.node.clone().unwrap();
        let wallet = find(&mut chain.inference, &node.operator);
        assert_eq!(node.key, public_key(wallet));
        let height = draw_height(session).unwrap();
        let record = proven(&chain.app, height, |mut state| {
            record(&mut state, session.id)
        })
        .unwrap();
        let again = |state: poq_store::State| {
            let mut state = state;
            replay(&mut state, record.clone())
        };
        let replay = proven(&chain.app, height - 1, again).unwrap();
        assert!(replay.is_right(), "{replay:?}");
        assert_eq!(replay.pool.candidates.len(), 3);
        assert_eq!(chain.node(Role::Inference, &node.operator).open_duties, 1);
    }
    chain.assert_money_is_conserved();
}

#[test]
fn sessions_beyond_the_nodes_are_refunded() {
    let mut chain = chain(2, 5);
    let message = opening(&chain, 3);
    let first = open(&mut chain, &message);
    let last = chain.session(first + 2);
    assert_eq!(last.status(), SessionStatus::Refunded);
    assert_eq!(last.refund_reason(), SessionRefundReason::NoNode);
    assert_eq!(spent_by_user(&chain, 1), u128::from(2 * ESCROW));
    chain.assert_money_is_conserved();
}

#[test]
fn only_nodes_with_a_stream_are_drawn() {
    let mut chain = chain(2, 5);
    let mut message = offer(&chain.inference[0]);
    message.stream = None;
    is_ok(&signed(
        &mut chain,
        |chain| &mut chain.inference[0],
        &message,
    ));
    for _ in 0..4 {
        let message = opening(&chain, 1);
        let id = open(&mut chain, &message);
        let operator = chain.session(id).node.unwrap().operator;
        assert_eq!(operator, chain.inference[1].address);
    }
    let mut message = offer(&chain.inference[1]);
    message.stream = None;
    is_ok(&signed(
        &mut chain,
        |chain| &mut chain.inference[1],
        &message,
    ));
    let message = opening(&chain, 1);
    is(
        &signed(&mut chain, |chain| &mut chain.user, &message),
        code::NO_NODES,
    );
}

#[test]
fn the_key_of_a_session_survives_a_change_of_the_nodes() {
    let mut chain = chain(1, 5);
    let message = opening(&chain, 1);
    let id = open(&mut chain, &message);
    let before = chain.session(id).node.unwrap().key;
    let mut message = offer(&chain.inference[0]);
    message.stream.as_mut().unwrap().key = public_key(&Wallet::new(77, 0));
    is_ok(&signed(
        &mut chain,
        |chain| &mut chain.inference[0],
        &message,
    ));
    assert_eq!(chain.session(id).node.unwrap().key, before);
}

#[test]
fn a_session_without_a_node_can_be_closed_for_nothing() {
    let mut chain = chain(1, 5);
    let message = opening(&chain, 1);
    let open = sign(&mut chain.user, any(&message));
    let close = MsgCloseSessions {
        user: chain.user.address.clone(),
        sessions: vec![1],
    };
    let close = sign(&mut chain.user, any(&close));
    for result in chain.block(&[open, close]) {
        is_ok(&result);
    }
    chain.block(&[]);
    let session = chain.session(1);
    assert_eq!(session.status(), SessionStatus::Refunded);
    assert_eq!(session.refund_reason(), SessionRefundReason::Closed);
    assert_eq!(spent_by_user(&chain, 2), 0);
    assert!(
        chain
            .nodes(Role::Inference)
            .iter()
            .all(|node| node.open_duties == 0)
    );
}

#[test]
fn what_cannot_be_a_session_is_refused() {
    let mut chain = chain(1, 5);
    let good = opening(&chain, 1);
    type Case = (fn(&mut MsgOpenSessions), code::Code);
    let cases: [Case; 12] = [
        (|m| m.model = "none".into(), code::UNKNOWN_MODEL),
        (|m| m.nodes = 0, code::INVALID_REQUEST),
        (|m| m.nodes = 5, code::INVALID_REQUEST),
        (|m| m.blocks = 0, code::INVALID_REQUEST),
        (|m| m.blocks = 101, code::INVALID_REQUEST),
        (|m| m.scoring = 0, code::INVALID_REQUEST),
        (|m| m.scoring = 7, code::INVALID_REQUEST),
        (|m| m.session_key = vec![2; 32], code::INVALID_KEY),
        (|m| m.session_key = vec![9; 33], code::INVALID_KEY),
        // 1,000 + 1 · 10 + 64 · 40.
        (|m| m.escrow = 3_569, code::INVALID_REQUEST),
        (|m| m.escrow = 64 * 20_000 + 1, code::INVALID_REQUEST),
        (|m| m.user = "poq1x".into(), code::INVALID_ADDRESS),
    ];
    for (change, code) in cases {
        let mut message = good.clone();
        change(&mut message);
        let wallet = &mut chain.user;
        let tx = sign(wallet, any(&message));
        let result = chain.block(&[tx]).remove(0);
        if code == code::INVALID_ADDRESS {
            // The signer is not known, so the transaction has no sequence.
            chain.user.sequence -= 1;
            assert_ne!(result.code, 0);
        } else {
            is(&result, code);
        }
    }
    assert!(chain.sessions().is_empty());
}

#[test]
fn a_user_has_a_limit_of_open_sessions() {
    let mut chain = chain(4, 5);
    for _ in 0..2 {
        let message = opening(&chain, 4);
        open(&mut chain, &message);
    }
    let message = opening(&chain, 1);
    let result = signed(&mut chain, |chain| &mut chain.user, &message);
    is(&result, code::TOO_MANY_OPEN_SESSIONS);
}

#[test]
fn a_chain_without_the_parameters_has_no_sessions() {
    let mut chain = with_params(support::params(), 1, 5);
    let message = opening(&chain, 1);
    let result = signed(&mut chain, |chain| &mut chain.user, &message);
    is(&result, code::SESSIONS_DISABLED);
    let update = |sessions| MsgUpdateParams {
        authority: support::params().authority,
        params: Some(Params {
            sessions,
            ..session_params()
        }),
    };
    let with = update(session_params().sessions);
    is_ok(&signed(&mut chain, |chain| &mut chain.user, &with));
    open(&mut chain, &message);
    let without = update(None);
    let result = signed(&mut chain, |chain| &mut chain.user, &without);
    is(&result, code::INVALID_REQUEST);
}

#[test]
fn a_stream_that_nobody_can_reach_is_refused() {
    let mut chain = chain(1, 5);
    let good = offer(&chain.inference[0]);
    type Case = fn(&mut Stream);
    let cases: [Case; 7] = [
        |stream| stream.url = "http://node.example".into(),
        |stream| stream.url = "https://".into(),
        |stream| stream.url = "https://node example".into(),
        |stream| stream.url = format!("https://{}", "a".repeat(249)),
        |stream| stream.url = "https://nöde.example".into(),
        |stream| stream.key = vec![5; 33],
        |stream| stream.tls_spki_sha256 = vec![1; 31],
    ];
    for change in cases {
        let mut message = good.clone();
        change(message.stream.as_mut().unwrap());
        let result = signed(&mut chain, |chain| &mut chain.inference[0], &message);
        is(&result, code::INVALID_STREAM);
    }
    let evaluator = MsgUpdateNode {
        operator: chain.evaluators[0].address.clone(),
        role: Role::Evaluator.into(),
        models: vec![support::SCORER.into()],
        ..good
    };
    let result = signed(&mut chain, |chain| &mut chain.evaluators[0], &evaluator);
    is(&result, code::INVALID_STREAM);
}

#[test]
fn a_session_that_does_not_exist_has_no_draw() {
    let chain = chain(1, 5);
    let found = proven(&chain.app, chain.height, |mut state| record(&mut state, 7));
    assert!(matches!(found, Err(Error::Rejected { code, .. }) if code == code::UNKNOWN_SESSION));
}
