//! The effects of challenges, and refused challenges.

use poq_proto::code;
use poq_proto::event;
use poq_proto::v1::*;

use crate::support::{Chain, DENOM, STAKE, any, is_over};
use crate::*;

#[test]
fn a_challenge_corrects_what_five_liars_agreed_on() {
    let mut chain = with_challenger();
    let asked = chain.balance(&chain.user.address);
    let id = chain.settle(JUNK, LIE);
    let settled = chain.task(id).settlement.unwrap();
    assert_eq!(settled.quality, 1_000_000);
    assert!(settled.inference.unwrap().amount > 0);
    let challenger = chain.inference[1].address.clone();
    let before = chain.balance(&challenger);
    let burnt = chain.burnt();

    assert_eq!(challenge(&mut chain, id, DEPOSIT).code, 0);
    let audit = chain.task(id).audit.unwrap();
    assert_eq!(audit.cause(), AuditCause::Challenged);
    assert_eq!(
        (audit.height, audit.due_height),
        (chain.height, chain.height + 1)
    );
    assert_eq!((audit.deposit, &audit.challenger), (DEPOSIT, &challenger));
    let fee = u128::from(support::GAS / 100);
    assert_eq!(
        chain.balance(&challenger),
        before - fee - u128::from(DEPOSIT)
    );
    assert_eq!(chain.audits().len(), 1);
    chain.assert_money_is_conserved();
    let settled_height = chain.task(id).settlement.unwrap().height;
    assert_eq!(chain.height, settled_height + 1);

    chain.blocks(1);
    let result = result_of(&chain, id);
    assert_eq!(
        (result.height, result.settled_quality),
        (chain.height, 1_000_000)
    );
    assert_eq!(
        (result.scores[0].raw_score, result.scores[0].quality),
        (-9_000_000, 50_000)
    );
    assert_eq!(result.penalties.len(), 5);
    // A tenth of five stakes; the challenger gets half of it.
    let slashed = 5 * STAKE / 10;
    assert_eq!(
        (result.reward, result.burnt),
        (slashed / 2, slashed - slashed / 2)
    );
    assert_eq!(
        chain.balance(&challenger),
        before - fee + u128::from(slashed / 2)
    );
    assert_eq!(chain.burnt(), burnt + u128::from(slashed / 2));
    for wallet in &chain.evaluators {
        let node = chain.node(Role::Evaluator, &wallet.address);
        assert_eq!(
            (node.status(), node.slashed),
            (NodeStatus::Jailed, STAKE / 10)
        );
        assert_eq!((node.open_duties, node.earned), (0, 0));
        assert!(node.reputation < 1_000_000);
    }
    for kind in [
        event::TASK_AUDITED,
        event::CHALLENGE_ENDED,
        event::NODE_JAILED,
    ] {
        assert!(
            chain.events.iter().any(|found| found.r#type == kind),
            "{kind}"
        );
    }
    // The window ends at the same height, so the corrected amounts are already paid: everything but
    // the protocol's part of the price was returned.
    let task = chain.task(id);
    assert_eq!(task.status(), TaskStatus::Final);
    let settlement = task.settlement.unwrap();
    assert_eq!(settlement.quality, 50_000);
    assert_eq!(settlement.inference.as_ref().unwrap().amount, 0);
    assert_eq!(amounts(&settlement), [0; 5]);
    assert_eq!(settlement.refund, 50_000 - settlement.protocol);
    let user = chain.balance(&chain.user.address);
    assert_eq!(user, asked - fee - u128::from(settlement.protocol));
    assert!(chain.audits().is_empty());
    chain.assert_money_is_conserved();
}

#[test]
fn a_challenge_of_honest_scores_costs_its_deposit() {
    let mut chain = with_challenger();
    let id = chain.settle(GOOD_ANSWER, GOOD);
    let settled = chain.task(id).settlement;
    let challenger = chain.inference[1].address.clone();
    let (before, burnt) = (chain.balance(&challenger), chain.burnt());
    assert_eq!(challenge(&mut chain, id, 3 * DEPOSIT).code, 0);
    chain.blocks(1);
    let result = result_of(&chain, id);
    assert!(result.penalties.is_empty());
    assert_eq!((result.reward, result.burnt), (0, 3 * DEPOSIT));
    assert_eq!(chain.burnt(), burnt + u128::from(3 * DEPOSIT));
    let fee = u128::from(support::GAS / 100);
    assert_eq!(
        chain.balance(&challenger),
        before - fee - u128::from(3 * DEPOSIT)
    );
    let task = chain.task(id);
    assert_eq!(
        (task.status(), task.settlement),
        (TaskStatus::Final, settled)
    );
    let nodes = chain.nodes(Role::Evaluator);
    assert!(
        nodes
            .iter()
            .all(|node| node.slashed == 0 && node.duties_done == 1)
    );
    chain.assert_money_is_conserved();
}

#[test]
fn every_bad_challenge_has_its_code() {
    let params = Params {
        task_retention: 3,
        audit_delay: 3,
        ..support::params()
    };
    let mut chain = Chain::with_params(params, 1, 5);
    refused(&mut chain, 7, DEPOSIT, code::UNKNOWN_TASK);
    let id = chain.submit();
    refused(&mut chain, id, DEPOSIT, code::WRONG_PHASE);
    chain.answer(id, GOOD_ANSWER);
    refused(&mut chain, id, DEPOSIT, code::WRONG_PHASE);
    chain.commit(id, GOOD, &[]);
    chain.reveal(id, GOOD, &[]);
    let log = refused(&mut chain, id, DEPOSIT - 1, code::DEPOSIT_TOO_SMALL);
    assert!(
        log.contains(&format!("at least 1000000{DENOM}, got 999999{DENOM}")),
        "{log}"
    );
    // The last block of the window.
    refused(&mut chain, id, 0, code::DEPOSIT_TOO_SMALL);
    assert!(is_over(&chain.task(id)));
    let log = refused(&mut chain, id, DEPOSIT, code::CHALLENGE_TOO_LATE);
    assert!(log.contains("could be challenged until height"), "{log}");

    let id = chain.settle(GOOD_ANSWER, GOOD);
    let poor = u64::MAX;
    refused(&mut chain, id, poor, code::INSUFFICIENT_FUNDS);
    assert_eq!(challenge(&mut chain, id, DEPOSIT).code, 0);
    let log = refused(&mut chain, id, DEPOSIT, code::ALREADY_AUDITED);
    assert!(log.contains("is already being audited"), "{log}");
    chain.blocks(3);
    assert!(is_over(&chain.task(id)));
    let log = refused(&mut chain, id, DEPOSIT, code::ALREADY_AUDITED);
    assert!(log.contains("was audited at height"), "{log}");
    chain.blocks(4);
    // Its record is compact now, like the first one, which was not audited.
    assert!(!chain.task(id).record_sha256.is_empty());
    refused(&mut chain, id, DEPOSIT, code::ALREADY_AUDITED);
    refused(&mut chain, 1, DEPOSIT, code::CHALLENGE_TOO_LATE);

    let id = chain.submit();
    let cancel = MsgCancelTask {
        user: chain.user.address.clone(),
        task_id: id,
    };
    let tx = chain.user.sign(vec![any(&cancel)]);
    assert_eq!(chain.block(&[tx])[0].code, 0);
    refused(&mut chain, id, DEPOSIT, code::TASK_OVER);
}

#[test]
fn two_challenges_of_a_block_are_one() {
    let mut chain = Chain::new(1, 5);
    let id = chain.settle(JUNK, LIE);
    let first = challenge_message(&chain.validators[0], id, DEPOSIT);
    let second = challenge_message(&chain.validators[1], id, DEPOSIT);
    let txs = [
        chain.validators[0].sign(vec![first]),
        chain.validators[1].sign(vec![second]),
    ];
    let results = chain.block(&txs);
    assert_eq!(results[0].code, 0);
    assert_eq!(results[1].code, code::ALREADY_AUDITED.number);
    chain.blocks(2);
    chain.assert_money_is_conserved();
}

#[test]
fn challenges_do_not_pile_up_for_ever() {
    let params = Params {
        max_audits_per_block: 1,
        audit_delay: 100,
        audit_window: 300,
        ..audited(0)
    };
    let mut chain = Chain::with_params(params, 1, 5);
    let ids: Vec<u64> = (0..17).map(|_| chain.settle(GOOD_ANSWER, GOOD)).collect();
    let txs: Vec<_> = ids[..16]
        .iter()
        .map(|id| {
            let message = challenge_message(&chain.validators[0], *id, DEPOSIT);
            chain.validators[0].sign(vec![message])
        })
        .collect();
    assert!(chain.block(&txs).iter().all(|result| result.code == 0));
    let last = challenge_message(&chain.validators[0], ids[16], DEPOSIT);
    let tx = chain.validators[0].sign(vec![last]);
    let result = chain.block(&[tx]).remove(0);
    assert_eq!(
        result.code,
        code::TOO_MANY_CHALLENGES.number,
        "{}",
        result.log
    );
    chain.assert_money_is_conserved();
}
