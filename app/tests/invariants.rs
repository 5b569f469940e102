//! Invariants that hold whatever anyone does (protocol section 13).

mod support;

use poq_app::block::Block;
use poq_app::tx::Signatures;
use poq_proto::v1::{AnswerItem, MsgCancelTask, MsgSubmitAnswers, Params, Role, Task, TaskStatus};
use proptest::prelude::*;
use support::{
    Chain, Draft, FUNDS, GAS, Wallet, any as pack, challenge_message, commit_message, find,
    is_over, reveal_message, send, submit_message,
};

/// The fee of a transaction of `support`.
const FEE: u64 = GAS / 100;

/// An act of one participant in one block.
#[derive(Clone, Debug)]
enum Act {
    Submit {
        min_quality: u32,
        max_fee: u64,
    },
    Cancel {
        task: u64,
    },
    Answer {
        task: u64,
        score: i32,
        length: usize,
    },
    Commit {
        task: u64,
        seat: usize,
        score: i32,
    },
    Reveal {
        task: u64,
        seat: usize,
        score: i32,
    },
    Challenge {
        task: u64,
        deposit: u64,
    },
    Send {
        amount: u64,
    },
    /// Gives an empty account the fee of one transaction, if a challenge succeeds.
    PassOn {
        task: u64,
    },
    /// The account that has nothing else spends that fee.
    Spend,
    Garbage(Vec<u8>),
}

/// Few scores, so that commitments and reveals often match and sometimes do not.
fn score() -> impl Strategy<Value = i32> {
    prop_oneof![8 => Just(4_000_000), 1 => Just(-12_000_000), 1 => any::<i32>()]
}

fn act() -> impl Strategy<Value = Act> {
    let task = 1u64..6;
    prop_oneof![
        2 => (0u32..=800_000, prop_oneof![Just(50_000u64), Just(FUNDS), 0u64..50_000])
            .prop_map(|(min_quality, max_fee)| Act::Submit { min_quality, max_fee }),
        1 => task.clone().prop_map(|task| Act::Cancel { task }),
        4 => (task.clone(), score(), 0usize..1_100)
            .prop_map(|(task, score, length)| Act::Answer { task, score, length }),
        9 => (task.clone(), 0usize..5, score())
            .prop_map(|(task, seat, score)| Act::Commit { task, seat, score }),
        9 => (task.clone(), 0usize..5, score())
            .prop_map(|(task, seat, score)| Act::Reveal { task, seat, score }),
        2 => (task, prop_oneof![Just(1_000_000u64), 999_998u64..1_000_002, any::<u64>()])
            .prop_map(|(task, deposit)| Act::Challenge { task, deposit }),
        1 => (0u64..2 * FUNDS).prop_map(|amount| Act::Send { amount }),
        2 => (1u64..6).prop_map(|task| Act::PassOn { task }),
        2 => Just(Act::Spend),
        1 => prop::collection::vec(any::<u8>(), 0..200).prop_map(Act::Garbage),
    ]
}

/// The transaction of an act, signed with the next sequence; none if the act is impossible.
fn transaction(chain: &mut Chain, tasks: &[Task], act: &Act) -> Option<Vec<u8>> {
    let task = |id: &u64| tasks.iter().find(|task| task.id == *id);
    let seat_of = |id: &u64, seat: &usize| -> Option<(u32, String)> {
        let committees = &task(id)?.committees;
        let seat = committees.last()?.seats.get(*seat)?;
        Some((committees.len() as u32 - 1, seat.operator.clone()))
    };
    Some(match act {
        Act::Submit {
            min_quality,
            max_fee,
        } => {
            let mut message = submit_message(&chain.user);
            (message.min_quality, message.max_fee) = (*min_quality, *max_fee);
            chain.user.sign(vec![pack(&message)])
        }
        Act::Cancel { task: task_id } => {
            let user = chain.user.address.clone();
            let task_id = *task_id;
            chain
                .user
                .sign(vec![pack(&MsgCancelTask { user, task_id })])
        }
        Act::Challenge { task, deposit } => {
            let message = challenge_message(&chain.validators[0], *task, *deposit);
            chain.validators[0].sign(vec![message])
        }
        Act::Answer {
            task: id,
            score,
            length,
        } => {
            let operator = task(id)?.assignments.last()?.operator.clone();
            let wallet = find(&mut chain.inference, &operator);
            wallet.sign(vec![pack(&MsgSubmitAnswers {
                operator,
                items: vec![AnswerItem {
                    task_id: *id,
                    // A number is the reference score; the evaluator gives other answers no score.
                    answer: match length % 5 {
                        0 => "a".repeat(*length),
                        _ => format!("{score} {}", "a".repeat(*length)),
                    },
                    ..AnswerItem::default()
                }],
            })])
        }
        Act::Commit { task, seat, score } => {
            let (attempt, operator) = seat_of(task, seat)?;
            let wallet = find(&mut chain.evaluators, &operator);
            let message = commit_message(wallet, *task, attempt, *score);
            wallet.sign(vec![pack(&message)])
        }
        Act::Reveal { task, seat, score } => {
            let (_, operator) = seat_of(task, seat)?;
            let wallet = find(&mut chain.evaluators, &operator);
            let message = reveal_message(wallet, *task, *score);
            wallet.sign(vec![pack(&message)])
        }
        Act::Send { amount } => {
            let message = send(&chain.user, &chain.inference[0].address, *amount);
            chain.user.sign(vec![message])
        }
        Act::PassOn { task } => {
            let (rich, poor) = (&chain.validators[0], &chain.validators[1]);
            let challenge = challenge_message(rich, *task, 1_000_000);
            let fee = send(rich, &poor.address, FEE);
            chain.validators[0].sign(vec![challenge, fee])
        }
        Act::Spend => {
            let message = send(&chain.validators[1], &chain.user.address, 1);
            chain.validators[1].sign(vec![message])
        }
        Act::Garbage(bytes) => bytes.clone(),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Invariants 1, 2, 4 and 6 on random histories of honest, lazy and hostile participants.
    #[test]
    fn any_history_is_conserving_terminating_and_deterministic(
        history in prop::collection::vec(prop::collection::vec(act(), 0..8), 1..25),
    ) {
        let params = Params {
            min_audit_rate: 300_000,
            max_audits_per_block: 1,
            ..support::params()
        };
        let mut chain = Chain::with_params(params.clone(), 2, 6);
        let mut twin = Chain::with_params(params, 2, 6);
        for chain in [&mut chain, &mut twin] {
            let rest = FUNDS - FEE - 1;
            let message = send(&chain.validators[1], &chain.user.address, rest);
            let tx = chain.validators[1].sign(vec![message]);
            assert_eq!(chain.block(&[tx])[0].code, 0);
        }
        // Invariant 4 holds for every number of threads.
        let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
        for acts in history {
            let tasks = chain.tasks();
            let txs: Vec<Vec<u8>> = acts
                .iter()
                .filter_map(|act| transaction(&mut chain, &tasks, act))
                .collect();
            let height = chain.height + 1;
            let proposal = chain.prepare(&txs, 1 << 22);
            // A byzantine proposer may include anything; execution handles it on both nodes.
            let is_byzantine = height.is_multiple_of(3);
            // Every node's ProcessProposal accepts the result of PrepareProposal. One node then
            // decides what it accepted, or something else.
            let hash = [if is_byzantine { 0 } else { height as u8 }; 32];
            let entries = twin.carrying(&proposal);
            twin.app.process_proposal(&twin.next(&hash, &entries)).unwrap();
            let block = if is_byzantine { txs } else { proposal };
            let results = chain.block(&block);
            prop_assert_eq!(&results, &one_thread.install(|| twin.block(&block)));
            prop_assert_eq!(chain.app_hash, twin.app_hash);
            chain.assert_money_is_conserved();
            support::read_sequences(&mut chain);
        }
        // 2 inference attempts, then 2 committees of commit and reveal, then finality, with an
        // audit for each of five tasks before it.
        chain.blocks(2 * (1 + 4) + 2 * (1 + 3 + 3) + 2 + 2 + 5);
        prop_assert!(chain.tasks().iter().all(is_over));
        chain.assert_money_is_conserved();
        for role in [Role::Inference, Role::Evaluator] {
            prop_assert!(chain.nodes(role).iter().all(|node| node.open_duties == 0));
        }
    }

    /// Invariant 5: no bytes make a query or the mempool panic.
    #[test]
    fn garbage_gets_an_answer(
        path in prop_oneof![
            Just("/poq.v1.Query/Tasks".to_owned()),
            Just("/poq.v1.Query/Duties".to_owned()),
            Just("/poq.v1.Query/Nodes".to_owned()),
            Just("/cosmos.bank.v1beta1.Query/AllBalances".to_owned()),
            Just("/cosmos.auth.v1beta1.Query/Account".to_owned()),
            Just("/cosmos.tx.v1beta1.Service/Simulate".to_owned()),
            ".*",
        ],
        data in prop::collection::vec(any::<u8>(), 0..300),
        height in prop::option::of(any::<u64>()),
    ) {
        let chain = Chain::new(1, 1);
        let _ = chain.app.query(&path, &data, height);
        let _ = chain.app.prove(&data, height);
        prop_assert!(chain.app.check_tx(&data, Signatures::Verify).is_err());
        prop_assert!(chain.judge(&[data]).0.is_err());
    }
}

#[test]
fn a_restart_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let people = support::People {
        user: Wallet::new(1, 0),
        inference: Vec::new(),
        evaluators: Vec::new(),
        validators: vec![Wallet::new(30, 1)],
    };
    let json = serde_json::to_vec(&people.genesis(support::params())).unwrap();
    let powers = support::powers(&people.validators);
    let open = || {
        let scorer = std::sync::Arc::new(support::TextScorer);
        poq_app::App::open(folder.path(), poq_app::Options::default(), scorer).unwrap()
    };
    let none: [Vec<u8>; 0] = [];

    // Nothing is stored before the first commit, so InitChain can be repeated.
    let first = open();
    let genesis_hash = first
        .init_chain(support::CHAIN_ID, &json, &powers, 0)
        .unwrap();
    first
        .finalize_block(&Block::new(1, &[1; 32], &none))
        .unwrap();
    drop(first);
    let second = open();
    assert_eq!(second.head().height, 0);
    assert_eq!(
        second
            .init_chain(support::CHAIN_ID, &json, &powers, 0)
            .unwrap(),
        genesis_hash
    );
    let (_, hash) = second
        .finalize_block(&Block::new(1, &[1; 32], &none))
        .unwrap();
    second.commit().unwrap();
    let (_, next) = second
        .finalize_block(&Block::new(2, &[2; 32], &none))
        .unwrap();
    drop(second);

    // A block that was finalized but not committed is executed again, with the same result.
    let third = open();
    assert_eq!((third.head().height, third.head().app_hash), (1, hash));
    assert_eq!(
        third
            .finalize_block(&Block::new(2, &[2; 32], &none))
            .unwrap()
            .1,
        next
    );
    third.commit().unwrap();
    assert_eq!(third.head().app_hash, next);
}

#[test]
fn a_refused_transaction_leaves_no_trace() {
    let (mut chain, mut twin) = (Chain::new(1, 5), Chain::new(1, 5));
    let mut draft = Draft::new(
        &chain.user,
        vec![send(&chain.user, &chain.inference[0].address, 1)],
    );
    draft.chain_id = "other-1".into();
    let refused = draft.sign(&chain.user);
    chain.block(&[refused, vec![1, 2, 3]]);
    twin.block(&[]);
    assert_eq!(chain.app_hash, twin.app_hash);
}

#[test]
fn a_proposal_with_a_bad_transaction_is_refused() {
    let mut chain = Chain::new(1, 5);
    let good = chain.user.sign(vec![pack(&submit_message(&chain.user))]);
    let twice = [good.clone(), good.clone()];
    chain.judge(std::slice::from_ref(&good)).0.unwrap();
    let (judged, prepared) = chain.judge(&twice);
    judged.unwrap_err();
    // A proposer leaves the transaction out.
    assert_eq!(prepared, std::slice::from_ref(&good));
    // A proposer respects the block's size.
    assert!(chain.prepare(&twice, good.len()).is_empty());
}

#[test]
fn settled_tasks_are_paid_only_at_finality() {
    let mut chain = Chain::new(1, 5);
    let id = chain.submit();
    chain.answer(id, "Paris.");
    chain.commit(id, 1, &[]);
    chain.reveal(id, 1, &[]);
    assert_eq!(chain.task(id).status(), TaskStatus::Settled);
    let earned = chain.task(id).settlement.unwrap().inference.unwrap().amount;
    let node = chain.inference[0].address.clone();
    let before = chain.balance(&node);
    chain.blocks(1);
    assert_eq!(chain.balance(&node), before);
    chain.blocks(1);
    assert_eq!(chain.balance(&node), before + u128::from(earned));
}
