//! Thousands of tasks at once: the work is spread over blocks, and no node is punished for it.

mod support;

use std::collections::BTreeMap;

use poq_proto::v1::*;
use support::{Chain, Draft, any, duty_message, find, is_over, submit_message};

const TASKS: usize = 2_500;
const LIMIT: usize = 400;
const SCORE: i32 = 4_000_000;

fn chain() -> Chain {
    let params = Params {
        answer_window: 4,
        commit_window: 3,
        reveal_window: 3,
        max_open_tasks: 1_000_000,
        max_tx_messages: 1_000,
        max_transitions_per_block: LIMIT as u32,
        gas_price: 0,
        ..support::params()
    };
    Chain::with_params(params, 2, 6)
}

fn ask(chain: &mut Chain, count: usize) -> Vec<Vec<u8>> {
    (0..count)
        .collect::<Vec<_>>()
        .chunks(500)
        .map(|chunk| {
            let messages = vec![any(&submit_message(&chain.user)); chunk.len()];
            let mut draft = Draft::new(&chain.user, messages);
            draft.auth_info.fee.as_mut().unwrap().gas_limit = 1 << 30;
            let tx = draft.sign(&chain.user);
            chain.user.sequence += 1;
            tx
        })
        .collect()
}

/// Every node does all its duties in batches, like the workers.
fn do_duties(chain: &mut Chain) -> Vec<Vec<u8>> {
    let mut txs = Vec::new();
    let nodes = chain.inference.iter().map(|node| (Role::Inference, node));
    let evaluators = chain.evaluators.iter().map(|node| (Role::Evaluator, node));
    let all: Vec<(Role, String)> = nodes
        .chain(evaluators)
        .map(|(role, wallet)| (role, wallet.address.clone()))
        .collect();
    for (role, operator) in all {
        let mut by_phase: BTreeMap<i32, Vec<Duty>> = BTreeMap::new();
        for duty in all_duties(chain, role, &operator) {
            by_phase.entry(duty.phase).or_default().push(duty);
        }
        let wallets = match role {
            Role::Inference => &mut chain.inference,
            _ => &mut chain.evaluators,
        };
        let wallet = find(wallets, &operator);
        for duties in by_phase.into_values() {
            for batch in duties.chunks(500) {
                let message = duty_message(wallet, batch, "Paris.", SCORE);
                txs.push(wallet.sign(vec![message]));
            }
        }
    }
    txs
}

fn all_duties(chain: &Chain, role: Role, operator: &str) -> Vec<Duty> {
    let mut duties: Vec<Duty> = Vec::new();
    loop {
        let request = QueryDutiesRequest {
            role: role.into(),
            operator: operator.into(),
            after: duties.last().map_or(0, |duty| duty.task_id),
            limit: 1_000,
        };
        let page: QueryDutiesResponse = chain.query("/poq.v1.Query/Duties", &request);
        if page.duties.is_empty() {
            return duties;
        }
        duties.extend(page.duties);
    }
}

fn entered(chain: &Chain, kind: &str) -> usize {
    chain
        .events
        .iter()
        .filter(|event| event.r#type == kind)
        .count()
}

fn all_tasks(chain: &Chain) -> Vec<Task> {
    let mut tasks: Vec<Task> = Vec::new();
    loop {
        let request = QueryTasksRequest {
            after: tasks.last().map_or(0, |task| task.id),
            limit: 1_000,
            ..QueryTasksRequest::default()
        };
        let page: QueryTasksResponse = chain.query("/poq.v1.Query/Tasks", &request);
        if page.tasks.is_empty() {
            return tasks;
        }
        tasks.extend(page.tasks);
    }
}

/// A node's window begins when it is drawn, however long its task waited for that. A phase that is
/// complete in time stays complete while it waits.
#[test]
fn nobody_who_works_is_slashed_because_the_chain_is_late() {
    let mut chain = chain();
    let txs = ask(&mut chain, TASKS);
    for result in chain.block(&txs) {
        assert_eq!(result.code, 0, "{}", result.log);
    }
    chain.blocks(1);
    assert_eq!(entered(&chain, poq_proto::event::TASK_ASSIGNED), LIMIT / 2);
    let mut blocks = 0;
    while !all_tasks(&chain).iter().all(is_over) {
        let txs = do_duties(&mut chain);
        for result in chain.block(&txs) {
            assert_eq!(result.code, 0, "{}", result.log);
        }
        let moved: usize = [
            poq_proto::event::TASK_ASSIGNED,
            poq_proto::event::TASK_REVEALING,
            poq_proto::event::TASK_SETTLED,
            poq_proto::event::TASK_FINAL,
        ]
        .into_iter()
        .map(|kind| entered(&chain, kind))
        .sum();
        assert!(moved + entered(&chain, poq_proto::event::TASK_SEATED) / 5 <= LIMIT);
        blocks += 1;
        assert!(blocks < 200, "the backlog does not end");
    }
    // Five transitions per task, up to the limit per block.
    assert!(blocks >= 5 * TASKS / LIMIT);
    let tasks = all_tasks(&chain);
    assert_eq!(tasks.len(), TASKS);
    for task in &tasks {
        assert_eq!(task.status(), TaskStatus::Final);
        assert_eq!((task.assignments.len(), task.committees.len()), (1, 1));
    }
    for role in [Role::Inference, Role::Evaluator] {
        for node in chain.nodes(role) {
            assert_eq!((node.duties_missed, node.slashed), (0, 0));
            assert_eq!(node.open_duties, 0);
        }
    }
}

/// A node that is late while the chain is late too is not punished once the duty is done.
#[test]
fn an_answer_counts_until_the_chain_gets_to_the_deadline() {
    let params = Params {
        answer_window: 2,
        gas_price: 0,
        ..support::params()
    };
    let slow = MsgUpdateParams {
        authority: support::Wallet::new(1, 0).address,
        params: Some(Params {
            max_transitions_per_block: 2,
            ..params.clone()
        }),
    };
    let mut chain = Chain::with_params(params, 1, 5);
    let message = submit_message(&chain.user);
    let txs: Vec<_> = (0..5)
        .map(|_| chain.user.sign(vec![any(&message)]))
        .collect();
    chain.block(&txs);
    // The deadlines of all five are at one height, from which on two tasks per block advance.
    let slow = chain.user.sign(vec![any(&slow)]);
    assert_eq!(chain.block(&[slow])[0].code, 0);
    chain.blocks(3);
    let task = chain.task(5);
    assert_eq!(task.status(), TaskStatus::Assigned);
    assert!(task.due_height < chain.height);
    assert_eq!(chain.send_answer(5, "Paris.").code, 0);
    assert!(!chain.task(5).assignments[0].missed);
    assert_eq!(chain.task(5).status(), TaskStatus::Answered);
}
