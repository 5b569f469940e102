//! Audits and challenges (protocol section 9). The reference score is the number in the answer.

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;

use poq_app::block::Block;
use poq_app::{Error, NoReference, ReferenceScorer, ScoreError};
use poq_proto::code::{self, Code};
use poq_proto::event;
use poq_proto::v1::*;
use support::{Chain, DENOM, STAKE, TextScorer, any, challenge_message, is_over};
use tendermint_proto::v0_38::abci::ExecTxResult;

/// What honest evaluators reveal for [`GOOD_ANSWER`], and its quality.
const GOOD: i32 = 4_000_000;
const GOOD_ANSWER: &str = "4000000";
/// Quality 50,000, below the floor of 200,000.
const JUNK: &str = "-9000000";
/// Quality 1,000,000.
const LIE: i32 = 10_000_000;
const DEPOSIT: u64 = 1_000_000;

fn audited(rate: u32) -> Params {
    Params {
        min_audit_rate: rate,
        ..support::params()
    }
}

/// A chain whose last inference node serves nothing any more and has time to challenge.
fn with_challenger() -> Chain {
    let mut chain = Chain::new(2, 5);
    let wallet = &mut chain.inference[1];
    let unbond = any(&MsgUnbond {
        operator: wallet.address.clone(),
        role: Role::Inference.into(),
        amount: STAKE,
    });
    let tx = wallet.sign(vec![unbond]);
    assert_eq!(chain.block(&[tx])[0].code, 0);
    chain
}

fn challenge(chain: &mut Chain, task: u64, deposit: u64) -> ExecTxResult {
    let challenger = chain.inference.last_mut().unwrap();
    let message = challenge_message(challenger, task, deposit);
    let tx = challenger.sign(vec![message]);
    chain.block(&[tx]).remove(0)
}

fn refused(chain: &mut Chain, task: u64, deposit: u64, code: Code) -> String {
    let result = challenge(chain, task, deposit);
    let found = (result.code, result.codespace.as_str());
    assert_eq!(found, (code.number, code.codespace), "{}", result.log);
    chain.assert_money_is_conserved();
    result.log
}

fn result_of(chain: &Chain, task: u64) -> AuditResult {
    chain.task(task).audit.unwrap().result.unwrap()
}

fn amounts(settlement: &Settlement) -> Vec<u64> {
    let payouts = settlement.evaluators.iter();
    payouts.map(|payout| payout.amount).collect()
}

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
    // The window is over at the same height, so the corrected amounts are paid already: all but
    // the protocol's part of the price went back.
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
        // Nobody challenged, so nobody is rewarded.
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
    assert!(log.contains("is audited already"), "{log}");
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
    assert!(log.contains("is audited already"), "{log}");
    chain.blocks(3);
    assert!(is_over(&chain.task(id)));
    let log = refused(&mut chain, id, DEPOSIT, code::ALREADY_AUDITED);
    assert!(log.contains("was audited at height"), "{log}");
    chain.blocks(4);
    // Its record is compact now, and so is the first one, which nobody audited.
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
    // Drawn together, in the order of their numbers.
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
    // The window is over, and nothing is paid.
    assert!(ids.iter().all(|id| !is_over(&chain.task(*id))));
    assert_eq!(chain.task(1).due_height, due);
    for id in ids {
        chain.blocks(1);
        assert_eq!(chain.height, due + id - 1);
        assert_eq!(chain.task(id).status(), TaskStatus::Final);
        assert_eq!(result_of(&chain, id).height, chain.height);
        chain.assert_money_is_conserved();
    }
    // Three lies cost three slashes, each of what was left.
    let node = chain.nodes(Role::Evaluator).remove(0);
    assert_eq!(node.stake, 72_900_000);
    assert_eq!(node.open_duties, 0);
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

/// Counts what it computes, and does not before it may.
#[derive(Default)]
struct Held {
    computed: AtomicUsize,
    may: Mutex<bool>,
    changed: Condvar,
}

impl Held {
    fn release(&self) {
        *self.may.lock().unwrap() = true;
        self.changed.notify_all();
    }
}

impl ReferenceScorer for Held {
    fn score(&self, model: &EvaluatorModel, prompt: &str, text: &str) -> Result<i32, ScoreError> {
        let mut may = self.may.lock().unwrap();
        while !*may {
            may = self.changed.wait(may).unwrap();
        }
        self.computed.fetch_add(1, Ordering::SeqCst);
        TextScorer.score(model, prompt, text)
    }
}

#[test]
fn a_restart_in_the_middle_of_an_audit_changes_nothing() {
    let params = Params {
        audit_delay: 3,
        ..audited(1_000_000)
    };
    // Blocks after the settlement at which the node restarts; the audit ends in the fourth.
    for restart_after in 0..=4 {
        let mut chain = Chain::with_params(params.clone(), 1, 5);
        let mut twin = Chain::with_params(params.clone(), 1, 5);
        assert_eq!(chain.settle(JUNK, LIE), twin.settle(JUNK, LIE));
        for block in 0..6 {
            if block == restart_after {
                // What was finalized and not committed is finalized again.
                let hash = [(twin.height + 1) as u8; 32];
                let none: [Vec<u8>; 0] = [];
                let next = Block {
                    last_commit: twin.last_commit(),
                    ..Block::new(twin.height + 1, &hash, &none)
                };
                twin.app.finalize_block(&next).unwrap();
                twin.restart(Arc::new(TextScorer));
            }
            chain.block(&[]);
            twin.block(&[]);
            assert_eq!(chain.app_hash, twin.app_hash, "{restart_after}, {block}");
            assert_eq!(chain.events, twin.events);
        }
        assert_eq!(result_of(&twin, 1).penalties.len(), 5);
        assert_eq!(chain.task(1), twin.task(1));
    }
}

/// Blocks before the one that uses the result do not wait for it.
#[test]
fn only_the_block_that_uses_a_score_waits_for_it() {
    let params = Params {
        audit_delay: 3,
        ..audited(1_000_000)
    };
    let mut chain = Chain::with_params(params, 1, 5);
    let id = chain.settle(JUNK, LIE);
    let scorer = Arc::new(Held::default());
    chain.restart(scorer.clone());
    chain.blocks(3);
    assert_eq!(scorer.computed.load(Ordering::SeqCst), 0);
    assert_eq!(chain.audits()[0].due_height, chain.height + 1);
    thread::scope(|scope| {
        let last = scope.spawn(|| chain.block(&[]));
        scorer.release();
        last.join().unwrap();
    });
    assert_eq!(scorer.computed.load(Ordering::SeqCst), 1);
    assert_eq!(result_of(&chain, id).penalties.len(), 5);
}

/// A node that restarts begins with what its state has scheduled.
#[test]
fn a_restarted_node_computes_before_it_is_asked() {
    let params = Params {
        audit_delay: 3,
        ..audited(1_000_000)
    };
    let mut chain = Chain::with_params(params, 1, 5);
    chain.settle(JUNK, LIE);
    chain.blocks(1);
    let scorer = Arc::new(Held::default());
    scorer.release();
    chain.restart(scorer.clone());
    while scorer.computed.load(Ordering::SeqCst) == 0 {
        thread::yield_now();
    }
    chain.blocks(3);
    assert_eq!(scorer.computed.load(Ordering::SeqCst), 1);
}

#[test]
fn a_node_without_the_model_stops_at_the_audit_and_says_why() {
    let mut chain = Chain::with_params(audited(1_000_000), 1, 5);
    chain.settle(JUNK, LIE);
    chain.restart(Arc::new(NoReference));
    chain.blocks(1);
    let none: [Vec<u8>; 0] = [];
    let block = Block::new(chain.height + 1, &[1; 32], &none);
    let error = chain.app.finalize_block(&block).unwrap_err();
    assert!(matches!(error, Error::Audit { task: 1, .. }), "{error}");
    assert!(error.to_string().contains("cross-encoder"), "{error}");
    // With the model it goes on.
    chain.restart(Arc::new(TextScorer));
    chain.blocks(1);
    assert_eq!(result_of(&chain, 1).penalties.len(), 5);
}

/// A committee of two evaluator models: each seat is held to the reference of its own.
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
