//! Anyone can repeat every draw from the state before it.

mod support;

use poq_app::modules::tasks::replay::{Record, Replay, draw_height, record, replay};
use poq_app::{App, Error};
use poq_proto::code;
use poq_proto::v1::{MsgUnbond, Params, Role, Seat, Task, TaskStatus};
use proptest::arbitrary::any as arbitrary;
use proptest::prelude::{Just, ProptestConfig, Strategy, prop, prop_oneof, proptest};
use support::{Chain, any, proven, submit_message};

const GOOD: i32 = 4_000_000;

fn repeat(app: &App, height: u64, id: u64, role: Role, attempt: u32) -> Result<Replay, Error> {
    let record = proven(app, height, |state| record(&state, id, role, attempt))?;
    proven(app, height - 1, |mut state| {
        replay(&mut state, record.clone())
    })
}

fn draws(task: &Task) -> Vec<(Role, u32, u64)> {
    let inference = task.assignments.iter().map(|draw| draw.height);
    let committees = task.committees.iter().map(|draw| draw.height);
    let number = |role| move |(attempt, height): (usize, u64)| (role, attempt as u32, height);
    inference
        .enumerate()
        .map(number(Role::Inference))
        .chain(committees.enumerate().map(number(Role::Evaluator)))
        .collect()
}

/// Repeats every draw of a chain, and returns their number.
fn repeat_all(chain: &Chain) -> usize {
    let mut count = 0;
    for task in chain.tasks() {
        for (role, attempt, height) in draws(&task) {
            assert_eq!(draw_height(&task, role, attempt).unwrap(), height);
            let replay = repeat(&chain.app, height, task.id, role, attempt).unwrap();
            assert!(replay.is_right(), "{replay:?}");
            for drawn in &replay.repeated {
                let pool = replay.pools.iter().find(|pool| pool.model == drawn.model);
                let pool = pool.unwrap();
                let weights: u128 = pool.candidates.iter().map(|one| one.weight).sum();
                assert_eq!(weights, pool.total_weight);
                assert!(
                    pool.candidates
                        .iter()
                        .any(|one| one.operator == drawn.operator && !one.excluded)
                );
            }
            count += 1;
        }
    }
    count
}

/// Nodes are slashed, paid and drawn in the same blocks: the draws use the state of the block
/// before.
#[test]
fn draws_beside_slashes_and_payouts_can_be_repeated() {
    let params = Params {
        commit_window: 6,
        min_inference_stake: support::STAKE / 2,
        ..support::params()
    };
    let mut chain = Chain::with_params(params, 3, 12);
    let first = chain.submit();
    chain.answer(first, "Paris.");
    let silent: Vec<String> = chain.task(first).committees[0].seats[..3]
        .iter()
        .map(|seat| seat.operator.clone())
        .collect();
    let second = chain.submit();
    chain.commit(first, GOOD, &silent);
    let third = chain.submit();
    // The first committee fails at the height at which the second task is answered, so both draw
    // at the next.
    chain.answer(second, "Paris.");
    assert_eq!(chain.task(first).committees.len(), 2);
    chain.commit(first, GOOD, &[]);
    chain.commit(second, GOOD, &[]);
    chain.reveal(first, GOOD, &[]);
    chain.reveal(second, GOOD, &[]);
    // Payouts and expiries follow, with submissions beside them.
    for _ in 0..6 {
        chain.submit();
    }
    assert!(chain.task(third).assignments.len() > 1);
    assert!(repeat_all(&chain) >= 14);
}

/// In the block that draws for the first task, an evaluator is slashed for the second one.
#[test]
fn a_draw_uses_the_weights_of_the_height_before() {
    let params = Params {
        answer_window: 20,
        ..support::params()
    };
    let mut chain = Chain::with_params(params, 1, 6);
    let (first, second) = (chain.submit(), chain.submit());
    chain.answer(second, "Paris.");
    let silent = chain.task(second).committees[0].seats[0].operator.clone();
    chain.commit(second, GOOD, std::slice::from_ref(&silent));
    chain.answer(first, "Paris.");
    let task = chain.task(first);
    assert_eq!(task.committees[0].height, chain.height);
    let slashed = chain.node(Role::Evaluator, &silent);
    assert_eq!(slashed.slashed, support::STAKE / 1_000 * 15);
    let replay = repeat(&chain.app, chain.height, first, Role::Evaluator, 0).unwrap();
    assert!(replay.is_right());
    let candidate = replay.pools[0]
        .candidates
        .iter()
        .find(|one| one.operator == silent);
    // Its stake is below the minimum now, but was not at the draw.
    assert!(candidate.is_some_and(|one| one.weight > 0));
}

#[test]
fn another_beacon_or_another_height_is_noticed() {
    let mut chain = Chain::new(3, 9);
    let id = chain.submit();
    let height = chain.height;
    let honest = repeat(&chain.app, height, id, Role::Inference, 0).unwrap();
    assert!(honest.is_right());
    for wrong in [
        Replay {
            record: Record {
                recorded_beacon: vec![1; 32],
                ..honest.record.clone()
            },
            ..honest.clone()
        },
        Replay {
            repeated: Vec::new(),
            ..honest.clone()
        },
    ] {
        assert!(!wrong.is_right());
    }
    chain.block(&[]);
    let error = repeat(&chain.app, height + 1, id, Role::Inference, 0).unwrap_err();
    assert!(matches!(
        error,
        Error::Rejected { code, .. } if code == code::INVALID_REQUEST
    ));
    for (role, attempt) in [
        (Role::Inference, 1),
        (Role::Evaluator, 0),
        (Role::Validator, 0),
    ] {
        let error = repeat(&chain.app, height, id, role, attempt).unwrap_err();
        assert!(matches!(
            error,
            Error::Rejected { code, .. } if code == code::NOT_FOUND
        ));
    }
}

#[test]
fn draws_of_a_compact_task_can_be_repeated_at_their_height() {
    let params = Params {
        task_retention: 0,
        ..support::params()
    };
    let mut chain = Chain::with_params(params, 1, 5);
    let id = chain.submit();
    let height = chain.height;
    chain.answer(id, "Paris.");
    chain.commit(id, GOOD, &[]);
    chain.reveal(id, GOOD, &[]);
    chain.blocks(2);
    let compact = chain.task(id);
    let error = draw_height(&compact, Role::Inference, 0).unwrap_err();
    assert!(error.to_string().contains("compact"), "{error}");
    let replay = repeat(&chain.app, height, id, Role::Inference, 0).unwrap();
    assert!(replay.is_right());
}

/// A step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Submit,
    Answer(usize),
    /// The task, and a bit per silent seat.
    Commit(usize, u8),
    Reveal(usize, u8),
    Unbond(Role, usize),
    Wait,
}

fn step() -> impl Strategy<Value = Step> {
    let task = 0usize..4;
    let silent = prop_oneof![3 => Just(0u8), 1 => arbitrary::<u8>()];
    prop_oneof![
        3 => Just(Step::Submit),
        3 => task.clone().prop_map(Step::Answer),
        4 => (task.clone(), silent.clone()).prop_map(|(task, bits)| Step::Commit(task, bits)),
        4 => (task, silent).prop_map(|(task, bits)| Step::Reveal(task, bits)),
        1 => (0usize..9).prop_map(|index| Step::Unbond(Role::Evaluator, index)),
        1 => (0usize..2).prop_map(|index| Step::Unbond(Role::Inference, index)),
        1 => Just(Step::Wait),
    ]
}

/// Ids of the tasks in a phase.
fn in_phase(chain: &Chain, phase: TaskStatus) -> Vec<u64> {
    let tasks = chain.tasks().into_iter();
    tasks
        .filter(|task| task.status() == phase)
        .map(|task| task.id)
        .collect()
}

/// Idle seats of the current committee: silent ones, and those that are done.
fn idle(chain: &Chain, id: u64, bits: u8, is_done: impl Fn(&Seat) -> bool) -> Vec<String> {
    let committees = chain.task(id).committees;
    let seats = committees.last().unwrap().seats.iter().enumerate();
    seats
        .filter(|(index, seat)| bits >> index & 1 == 1 || is_done(seat))
        .map(|(_, seat)| seat.operator.clone())
        .collect()
}

fn run(chain: &mut Chain, step: Step) {
    let pick = |tasks: Vec<u64>, index: usize| tasks.get(index).copied();
    match step {
        Step::Submit => {
            let tx = chain.user.sign(vec![any(&submit_message(&chain.user))]);
            chain.block(&[tx]);
        }
        Step::Answer(index) => {
            if let Some(id) = pick(in_phase(chain, TaskStatus::Assigned), index) {
                chain.answer(id, "Paris.");
            }
        }
        Step::Commit(index, bits) => {
            if let Some(id) = pick(in_phase(chain, TaskStatus::Committing), index) {
                let silent = idle(chain, id, bits, |seat| !seat.commitment.is_empty());
                chain.commit(id, GOOD, &silent);
            }
        }
        Step::Reveal(index, bits) => {
            if let Some(id) = pick(in_phase(chain, TaskStatus::Revealing), index) {
                let silent = idle(chain, id, bits, |seat| seat.reveal.is_some());
                chain.reveal(id, GOOD, &silent);
            }
        }
        Step::Unbond(role, index) => {
            let wallets = match role {
                Role::Inference => &mut chain.inference,
                _ => &mut chain.evaluators,
            };
            let wallet = &mut wallets[index];
            let tx = wallet.sign(vec![any(&MsgUnbond {
                operator: wallet.address.clone(),
                role: role.into(),
                amount: support::STAKE,
            })]);
            chain.block(&[tx]);
        }
        Step::Wait => chain.blocks(1),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

    /// Draws can be repeated beside silence, slashes, payouts, and nodes that leave and are
    /// removed.
    #[test]
    fn every_draw_of_any_history_can_be_repeated(
        history in prop::collection::vec(step(), 20..180),
    ) {
        let params = Params {
            unbonding_window: 128,
            jail_window: 3,
            min_evaluator_stake: support::STAKE / 2,
            min_inference_stake: support::STAKE / 2,
            ..support::params()
        };
        let mut chain = Chain::with_params(params, 2, 9);
        for step in history {
            run(&mut chain, step);
        }
        chain.blocks(6);
        repeat_all(&chain);
    }
}
