//! Verdicts on seats, and their consequences.

use poq_proto::v1::*;

use crate::support::{Chain, STAKE, any};
use crate::*;

#[test]
fn one_liar_is_punished_and_the_others_are_paid() {
    for tolerated in [true, false] {
        let mut chain = Chain::with_params(audited(1_000_000), 1, 5);
        let id = chain.submit();
        chain.answer(id, GOOD_ANSWER);
        let liar = chain.task(id).committees[0].seats[2].operator.clone();
        // The tolerance is 1,000.
        let score = if tolerated {
            GOOD + 1_000
        } else {
            GOOD + 1_001
        };
        let others = |chain: &Chain| -> Vec<String> {
            let all = chain.evaluators.iter().map(|wallet| wallet.address.clone());
            all.filter(|address| *address != liar).collect()
        };
        chain.commit(id, GOOD, std::slice::from_ref(&liar));
        let silent = others(&chain);
        chain.commit(id, score, &silent);
        chain.reveal(id, GOOD, std::slice::from_ref(&liar));
        chain.reveal(id, score, &silent);
        let settled = chain.task(id).settlement.unwrap();
        chain.blocks(2);
        let (task, result) = (chain.task(id), result_of(&chain, id));
        assert_eq!(task.audit.unwrap().cause(), AuditCause::Drawn);
        let settlement = task.settlement.unwrap();
        assert_eq!(settlement.quality, 700_000);
        if tolerated {
            assert!(result.penalties.is_empty());
            assert_eq!(settlement, settled);
            continue;
        }
        let penalty = AuditPenalty {
            operator: liar.clone(),
            amount: STAKE / 10,
        };
        assert_eq!(result.penalties, [penalty]);
        // There was no challenge, so there is no reward.
        assert_eq!((result.reward, result.burnt), (0, STAKE / 10));
        assert_eq!(amounts(&settlement), [63, 63, 0, 63, 63]);
        assert_eq!(settlement.inference, settled.inference);
        chain.blocks(3);
        for wallet in &chain.evaluators {
            let node = chain.node(Role::Evaluator, &wallet.address);
            let honest = wallet.address != liar;
            assert_eq!((node.earned > 0, node.duties_done == 1), (honest, honest));
            assert_eq!(node.status() == NodeStatus::Jailed, !honest);
            assert_eq!(node.open_duties, 0);
        }
        chain.assert_money_is_conserved();
    }
}

#[test]
fn an_answer_that_the_reference_gives_no_score_accuses_nobody() {
    let mut chain = Chain::new(1, 5);
    let id = chain.settle("no number", LIE);
    assert_eq!(challenge(&mut chain, id, DEPOSIT).code, 0);
    chain.blocks(1);
    let result = result_of(&chain, id);
    assert!(result.scores.is_empty() && result.penalties.is_empty());
    assert_eq!(result.burnt, DEPOSIT);
    assert_eq!(chain.task(id).settlement.unwrap().quality, 1_000_000);
    chain.assert_money_is_conserved();
}

/// A model that caps junk gives it the lowest raw score, which is treated like any other.
#[test]
fn the_least_raw_score_is_as_good_as_any_other() {
    let least = i32::MIN.to_string();
    for (revealed, punished) in [(i32::MIN, 0), (i32::MIN + 1_000, 0), (i32::MAX, 5)] {
        let mut chain = Chain::with_params(audited(1_000_000), 1, 5);
        let id = chain.settle(&least, revealed);
        let quality = chain.task(id).settlement.unwrap().quality;
        assert_eq!(quality, if punished == 0 { 0 } else { 1_000_000 });
        chain.blocks(2);
        let result = result_of(&chain, id);
        let score = &result.scores[0];
        assert_eq!((score.raw_score, score.quality), (i32::MIN, 0));
        assert_eq!(result.penalties.len(), punished);
        assert_eq!(chain.task(id).settlement.unwrap().quality, 0);
        chain.assert_money_is_conserved();
    }
}

#[test]
fn leaving_is_no_way_out_of_an_audit() {
    let mut chain = Chain::new(1, 6);
    let id = chain.settle(JUNK, LIE);
    let seats = chain.task(id).committees[0].seats.clone();
    let liar = seats[0].operator.clone();
    let wallet = support::find(&mut chain.evaluators, &liar);
    let unbond = any(&MsgUnbond {
        operator: liar.clone(),
        role: Role::Evaluator.into(),
        amount: STAKE,
    });
    let tx = wallet.sign(vec![unbond]);
    let message = challenge_message(&chain.validators[0], id, DEPOSIT);
    let other = chain.validators[0].sign(vec![message]);
    assert!(
        chain
            .block(&[tx, other])
            .iter()
            .all(|result| result.code == 0)
    );
    chain.blocks(1);
    let node = chain.node(Role::Evaluator, &liar);
    assert_eq!(node.status(), NodeStatus::Unbonding);
    assert_eq!(
        (node.unbonding[0].amount, node.open_duties),
        (STAKE - STAKE / 10, 0)
    );
    assert_eq!(result_of(&chain, id).penalties.len(), 5);
    chain.assert_money_is_conserved();
}

#[test]
fn a_compact_record_keeps_what_the_audit_found() {
    let params = Params {
        task_retention: 0,
        ..audited(1_000_000)
    };
    let mut chain = Chain::with_params(params, 1, 5);
    let id = chain.settle(JUNK, LIE);
    chain.blocks(2);
    let task = chain.task(id);
    assert!(!task.record_sha256.is_empty());
    let result = task.audit.unwrap().result.unwrap();
    assert!(result.penalties.is_empty());
    assert_eq!(
        (result.settled_quality, result.scores[0].quality),
        (1_000_000, 50_000)
    );
    assert_eq!(result.burnt, 5 * STAKE / 10);
}

/// A committee of two evaluator models: each seat is compared with the reference of its own model.
#[test]
fn plural_committees_are_judged_by_the_models_of_their_seats() {
    let mut chain = Chain::with_params(audited(1_000_000), 1, 5);
    let authority = chain.user.address.clone();
    let other = EvaluatorModel {
        id: support::STRICT_SCORER.into(),
        audit_tolerance: 0,
        ..support::scorer()
    };
    let model = Model {
        evaluator_models: [support::SCORER, support::STRICT_SCORER]
            .map(|id| WeightedEvaluatorModel {
                id: id.into(),
                weight: 1,
            })
            .to_vec(),
        ..support::model()
    };
    let both = [support::SCORER, support::STRICT_SCORER].map(String::from);
    let mut txs = vec![chain.user.sign(vec![
        any(&MsgSetEvaluatorModel {
            authority: authority.clone(),
            evaluator_model: Some(other),
        }),
        any(&MsgSetModel {
            authority,
            model: Some(model),
        }),
    ])];
    for wallet in &mut chain.evaluators {
        let update = MsgUpdateNode {
            operator: wallet.address.clone(),
            role: Role::Evaluator.into(),
            models: both.to_vec(),
            ..MsgUpdateNode::default()
        };
        txs.push(wallet.sign(vec![any(&update)]));
    }
    for result in chain.block(&txs) {
        assert_eq!(result.code, 0, "{}", result.log);
    }
    // The reference of the other model is one below the number in the answer.
    let id = chain.settle(GOOD_ANSWER, GOOD);
    let seats = chain.task(id).committees[0].seats.clone();
    chain.blocks(2);
    let result = result_of(&chain, id);
    let strict = |seat: &&Seat| seat.evaluator_model == support::STRICT_SCORER;
    let expected: Vec<_> = seats
        .iter()
        .filter(strict)
        .map(|seat| &seat.operator)
        .collect();
    let punished: Vec<_> = result.penalties.iter().map(|one| &one.operator).collect();
    assert!((1..5).contains(&expected.len()), "{expected:?}");
    assert_eq!(punished, expected);
    let raw: Vec<i32> = result.scores.iter().map(|score| score.raw_score).collect();
    assert_eq!(raw, [GOOD, GOOD - 1]);
    chain.assert_money_is_conserved();
}
