//! Drawn audits, and their ends.

use poq_proto::code;
use poq_proto::v1::*;

use crate::support::{Chain, STAKE, any, is_over};
use crate::*;

#[test]
fn the_beacon_of_the_next_block_draws_audits() {
    let mut chain = Chain::with_params(audited(1_000_000), 1, 5);
    let id = chain.settle(JUNK, LIE);
    let task = chain.task(id);
    assert_eq!(task.settlement.unwrap().audit_probability, 1_000_000);
    assert_eq!(task.audit, None);
    chain.blocks(1);
    let audit = chain.task(id).audit.unwrap();
    assert_eq!(
        (audit.height, audit.due_height),
        (chain.height, chain.height + 1)
    );
    assert_eq!((audit.deposit, audit.challenger.as_str()), (0, ""));
    chain.blocks(1);
    assert_eq!(chain.task(id).settlement.unwrap().quality, 50_000);
    let result = result_of(&chain, id);
    assert_eq!((result.penalties.len(), result.reward), (5, 0));
    assert_eq!(chain.burnt(), u128::from(5 * STAKE / 10));
    chain.assert_money_is_conserved();
}

/// A liar whose proposer knows the next beacon cannot be the first to challenge itself.
#[test]
fn a_drawn_audit_comes_before_the_challenges_of_its_block() {
    let mut chain = Chain::with_params(audited(1_000_000), 1, 5);
    let id = chain.settle(JUNK, LIE);
    let log = refused(&mut chain, id, DEPOSIT, code::ALREADY_AUDITED);
    assert!(log.contains("is already being audited"), "{log}");
    assert_eq!(chain.task(id).audit.unwrap().cause(), AuditCause::Drawn);
}

#[test]
fn without_luck_nothing_is_audited() {
    let mut chain = Chain::with_params(audited(0), 1, 5);
    let id = chain.settle(JUNK, LIE);
    // 1.5 · 1,620 / (0.1 · 250 million), rounded up.
    assert_eq!(chain.task(id).settlement.unwrap().audit_probability, 98);
    chain.blocks(2);
    assert_eq!(
        (chain.task(id).status(), chain.task(id).audit),
        (TaskStatus::Final, None)
    );
}

#[test]
fn finality_waits_for_an_audit_and_audits_for_their_turn() {
    let params = Params {
        max_audits_per_block: 1,
        audit_delay: 4,
        audit_window: 3,
        commit_window: 10,
        max_committee_attempts: 1,
        ..audited(1_000_000)
    };
    let mut chain = Chain::with_params(params, 1, 5);
    let ids = [1, 2, 3];
    let message = support::submit_message(&chain.user);
    let txs: Vec<_> = ids
        .iter()
        .map(|_| chain.user.sign(vec![any(&message)]))
        .collect();
    chain.block(&txs);
    chain.blocks(1);
    for id in ids {
        chain.send_answer(id, JUNK);
    }
    chain.blocks(1);
    for id in ids {
        chain.commit(id, LIE, &[]);
    }
    let mut txs = Vec::new();
    for id in ids {
        for wallet in &mut chain.evaluators {
            let message = support::reveal_message(wallet, id, LIE);
            txs.push(wallet.sign(vec![any(&message)]));
        }
    }
    assert!(chain.block(&txs).iter().all(|result| result.code == 0));
    let settled = chain.height;
    chain.blocks(1);
    // Drawn together, in the order of their ids.
    let due = settled + 1 + 4;
    let scheduled: Vec<_> = chain
        .audits()
        .iter()
        .map(|audit| (audit.due_height, audit.task_id))
        .collect();
    assert_eq!(scheduled, ids.map(|id| (due, id)));
    let page: QueryAuditsResponse = chain.query(
        "/poq.v1.Query/Audits",
        &QueryAuditsRequest {
            after_height: due,
            after_task_id: 1,
            limit: 1,
        },
    );
    assert_eq!(page.audits.len(), 1);
    assert_eq!(page.audits[0].task_id, 2);
    chain.blocks(3);
    // The window is over, but nothing is paid.
    assert!(ids.iter().all(|id| !is_over(&chain.task(*id))));
    assert_eq!(chain.task(1).due_height, due);
    for id in ids {
        chain.blocks(1);
        assert_eq!(chain.height, due + id - 1);
        assert_eq!(chain.task(id).status(), TaskStatus::Final);
        assert_eq!(result_of(&chain, id).height, chain.height);
        chain.assert_money_is_conserved();
    }
    // Three lies cost three slashes, each of the remaining stake.
    let node = chain.nodes(Role::Evaluator).remove(0);
    assert_eq!(node.stake, 72_900_000);
    assert_eq!(node.open_duties, 0);
}

/// Six challenges of honest scores keep the auditors busy.
#[test]
fn challenges_buy_a_drawn_liar_no_time() {
    let params = Params {
        max_audits_per_block: 1,
        audit_delay: 1,
        audit_window: 200,
        ..audited(0)
    };
    let mut chain = Chain::with_params(params.clone(), 1, 5);
    let honest: Vec<u64> = (0..6).map(|_| chain.settle(GOOD_ANSWER, GOOD)).collect();
    let update = MsgUpdateParams {
        authority: chain.user.address.clone(),
        params: Some(Params {
            min_audit_rate: 1_000_000,
            ..params
        }),
    };
    let tx = chain.user.sign(vec![any(&update)]);
    assert_eq!(chain.block(&[tx])[0].code, 0);
    let lie = chain.settle(JUNK, LIE);
    let txs: Vec<_> = honest
        .iter()
        .map(|id| {
            let message = support::challenge_message(&chain.validators[0], *id, DEPOSIT);
            chain.validators[0].sign(vec![message])
        })
        .collect();
    assert!(chain.block(&txs).iter().all(|result| result.code == 0));
    let scheduled: Vec<_> = chain.audits().iter().map(|audit| audit.task_id).collect();
    assert_eq!(scheduled[0], lie);
    assert_eq!(scheduled[1..], honest);
    let page: QueryAuditsResponse = chain.query(
        "/poq.v1.Query/Audits",
        &QueryAuditsRequest {
            after_height: chain.height + 1,
            after_task_id: honest[1],
            limit: 2,
        },
    );
    let page: Vec<_> = page.audits.iter().map(|audit| audit.task_id).collect();
    assert_eq!(page, honest[2..4]);
    chain.blocks(1);
    assert_eq!(result_of(&chain, lie).penalties.len(), 5);
    assert!(chain.task(honest[0]).audit.unwrap().result.is_none());
    chain.blocks(6);
    assert!(chain.audits().is_empty());
    chain.assert_money_is_conserved();
}
