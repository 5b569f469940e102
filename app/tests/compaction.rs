//! The record of a task after `task_retention` blocks.

mod support;

use poq_proto::v1::{
    Params, QueryPayloadRequest, QueryTasksRequest, QueryTasksResponse, Task, TaskStatus,
};
use prost::Message;
use sha2::{Digest, Sha256};
use support::{Chain, any, submit_message};

const GOOD: i32 = 4_000_000;

fn chain(task_retention: u64) -> Chain {
    let params = Params {
        task_retention,
        ..support::params()
    };
    Chain::with_params(params, 2, 6)
}

fn finish(chain: &mut Chain, id: u64) -> Task {
    chain.answer(id, "Paris.");
    chain.commit(id, GOOD, &[]);
    chain.reveal(id, GOOD, &[]);
    chain.blocks(2);
    let task = chain.task(id);
    assert_eq!(task.status(), TaskStatus::Final);
    task
}

fn stored(chain: &Chain, key: String) -> Option<Vec<u8>> {
    chain.app.prove(key.as_bytes(), None).unwrap().0.value
}

#[test]
fn a_kept_full_record_hashes_to_what_the_compact_one_says() {
    let mut chain = chain(3);
    let id = chain.submit();
    let full = finish(&mut chain, id);
    let bytes = stored(&chain, format!("tasks/task/{id:020}")).unwrap();
    chain.blocks(2);
    assert_eq!(chain.task(id), full);
    chain.blocks(1);

    let compact = chain.task(id);
    assert_eq!(compact.record_sha256, Sha256::digest(&bytes).to_vec());
    // The hashed bytes are those that a query returns.
    assert_eq!(full.encode_to_vec(), bytes);
    let expected = {
        let mut task = full.clone();
        let answer = task.answer.take().unwrap();
        task.answer = Some(poq_proto::v1::Answer {
            sha256: answer.sha256,
            bytes: answer.bytes,
            ..Default::default()
        });
        task.assignments.clear();
        task.committees.clear();
        task.evaluator_models.clear();
        let settlement = task.settlement.as_mut().unwrap();
        settlement.inference = None;
        settlement.evaluators.clear();
        task.record_sha256 = compact.record_sha256.clone();
        task
    };
    assert_eq!(compact, expected);
    assert!(compact.encoded_len() * 3 < full.encoded_len());
    // The record is compacted only once.
    chain.blocks(5);
    assert_eq!(chain.task(id), compact);
    chain.assert_money_is_conserved();
}

#[test]
fn lists_and_other_queries_still_know_compact_tasks() {
    let mut chain = chain(0);
    let first = chain.submit();
    finish(&mut chain, first);
    let second = chain.submit();
    let compact = chain.task(first);
    assert!(!compact.record_sha256.is_empty());
    let request = QueryTasksRequest {
        user: chain.user.address.clone(),
        ..QueryTasksRequest::default()
    };
    let answer: QueryTasksResponse = chain.query("/poq.v1.Query/Tasks", &request);
    let ids: Vec<u64> = answer.tasks.iter().map(|task| task.id).collect();
    assert_eq!(ids, [first, second]);
    assert_eq!(answer.tasks[0], compact);
    assert_eq!(chain.tasks().len(), 2);
    // The payload was deleted at the end of the task.
    let request = QueryPayloadRequest { task_id: first };
    let error = chain
        .app
        .query("/poq.v1.Query/Payload", &request.encode_to_vec(), None)
        .unwrap_err();
    assert!(error.to_string().contains("is over"), "{error}");
}

#[test]
fn refunded_tasks_become_compact_too() {
    let mut chain = chain(1);
    let id = chain.submit();
    chain.blocks(21);
    let task = chain.task(id);
    assert_eq!(task.status(), TaskStatus::Refunded);
    assert!(task.assignments.is_empty() && !task.record_sha256.is_empty());
    assert_eq!(task.escrow, 50_000);
}

#[test]
fn old_records_are_worked_off_in_portions() {
    let params = Params {
        task_retention: 1,
        max_transitions_per_block: 2,
        ..support::params()
    };
    let mut chain = Chain::with_params(params, 1, 5);
    let user = chain.user.address.clone();
    let mut messages = Vec::new();
    for task_id in 1..=5 {
        messages.push(any(&submit_message(&chain.user)));
        messages.push(any(&poq_proto::v1::MsgCancelTask {
            user: user.clone(),
            task_id,
        }));
    }
    let mut draft = support::Draft::new(&chain.user, messages);
    let fee = draft.auth_info.fee.as_mut().unwrap();
    fee.gas_limit = 1_000_000;
    fee.amount = vec![support::coin(10_000)];
    let tx = draft.sign(&chain.user);
    assert_eq!(chain.block(&[tx])[0].code, 0);
    let compact = |chain: &Chain| {
        let tasks = chain.tasks();
        tasks
            .iter()
            .filter(|task| !task.record_sha256.is_empty())
            .count()
    };
    let counts: Vec<usize> = (0..4)
        .map(|_| {
            chain.block(&[]);
            compact(&chain)
        })
        .collect();
    assert_eq!(counts, [2, 4, 5, 5]);
}
