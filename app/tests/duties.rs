//! Duty messages are free: batches, and attempts to abuse them.

mod support;

use cosmos_sdk_proto::cosmos::base::abci::v1beta1::TxMsgData;
use poq_app::tx::Signatures;
use poq_proto::code::{self, Code};
use poq_proto::v1::*;
use prost::Message;
use support::{Chain, Draft, any, submit_message};
use tendermint_proto::v0_38::abci::ExecTxResult;

/// A chain whose user has `count` tasks assigned to its only inference node.
fn chain_with(count: usize) -> Chain {
    let params = Params {
        answer_window: 50,
        max_open_tasks: 1_000,
        max_tx_messages: 1_000,
        gas_price: 0,
        ..support::params()
    };
    let mut chain = Chain::with_params(params, 1, 5);
    let messages = vec![any(&submit_message(&chain.user)); count];
    let mut draft = Draft::new(&chain.user, messages);
    draft.auth_info.fee.as_mut().unwrap().gas_limit = 1 << 30;
    let tx = draft.sign(&chain.user);
    chain.user.sequence += 1;
    let result = chain.block(&[tx]).remove(0);
    assert_eq!(result.code, 0, "{}", result.log);
    chain.block(&[]);
    chain
}

fn answers(chain: &Chain, tasks: impl IntoIterator<Item = u64>, answer: &str) -> MsgSubmitAnswers {
    let item = |task_id| AnswerItem {
        task_id,
        answer: answer.into(),
        ..AnswerItem::default()
    };
    MsgSubmitAnswers {
        operator: chain.inference[0].address.clone(),
        items: tasks.into_iter().map(item).collect(),
    }
}

/// Signs as the inference node, without a fee and without counting the sequence.
fn free(chain: &Chain, messages: Vec<tendermint_proto::google::protobuf::Any>) -> Vec<u8> {
    Draft::new(&chain.inference[0], messages)
        .free()
        .sign(&chain.inference[0])
}

fn codes(result: &ExecTxResult) -> Vec<u32> {
    assert_eq!(result.code, 0, "{}", result.log);
    TxMsgData::decode(&*result.data)
        .unwrap()
        .msg_responses
        .iter()
        .flat_map(|response| {
            MsgSubmitAnswersResponse::decode(response.value.as_slice())
                .unwrap()
                .results
        })
        .map(|item| item.code)
        .collect()
}

fn refused(chain: &Chain, tx: &[u8]) -> Code {
    let error = chain.app.check_tx(tx, Signatures::Verify).unwrap_err();
    // Proposers leave out what CheckTx refuses, and validators refuse a block that contains it.
    let (judged, prepared) = chain.judge(&[tx.to_vec()]);
    assert!(prepared.is_empty());
    judged.unwrap_err();
    match error {
        poq_app::Error::Rejected { code, .. } => code,
        error => panic!("{error}"),
    }
}

#[test]
fn five_hundred_items_go_into_one_transaction() {
    let mut chain = chain_with(501);
    let tx = free(&chain, vec![any(&answers(&chain, 1..=501, "Yes."))]);
    assert_eq!(refused(&chain, &tx), code::INVALID_BATCH);
    let tx = free(&chain, vec![any(&answers(&chain, 1..=500, "Yes."))]);
    chain.app.check_tx(&tx, Signatures::Verify).unwrap();
    assert_eq!(codes(&chain.block(&[tx])[0]), [0; 500]);
    let answered = |task: &Task| task.status() == TaskStatus::Answered;
    assert!(chain.tasks()[..500].iter().all(answered));
    chain.assert_money_is_conserved();
}

#[test]
fn one_duty_does_not_carry_a_batch_of_nonsense() {
    let mut chain = chain_with(1);
    let tx = free(&chain, vec![any(&answers(&chain, 1..=500, "Yes."))]);
    assert_eq!(refused(&chain, &tx), code::MOSTLY_FAILING);
    // One large failing item is refused too.
    let mut message = answers(&chain, [1, 2], "Yes.");
    message.items[1].answer = "x".repeat(60_000);
    let tx = free(&chain, vec![any(&message)]);
    assert_eq!(refused(&chain, &tx), code::MOSTLY_FAILING);
    // If a block contains it nevertheless, each item has its own result.
    let tx = free(&chain, vec![any(&answers(&chain, 1..=3, "Yes."))]);
    let unknown = code::UNKNOWN_TASK.number;
    assert_eq!(codes(&chain.block(&[tx])[0]), [0, unknown, unknown]);
    assert_eq!(chain.task(1).status(), TaskStatus::Answered);
}

#[test]
fn a_lesser_part_of_a_batch_may_fail() {
    let mut chain = chain_with(3);
    let tx = free(&chain, vec![any(&answers(&chain, 1..=5, "Yes."))]);
    chain.app.check_tx(&tx, Signatures::Verify).unwrap();
    chain.judge(std::slice::from_ref(&tx)).0.unwrap();
    let unknown = code::UNKNOWN_TASK.number;
    assert_eq!(codes(&chain.block(&[tx])[0]), [0, 0, 0, unknown, unknown]);
}

#[test]
fn a_duty_is_done_once_in_a_transaction_and_in_a_block() {
    let mut chain = chain_with(2);
    let tx = free(&chain, vec![any(&answers(&chain, [1, 1], "Yes."))]);
    let first = chain.block(&[tx]).remove(0);
    assert_eq!(codes(&first), [0, code::DUPLICATE.number]);
    chain.inference[0].sequence += 1;

    let first = free(&chain, vec![any(&answers(&chain, [2], "Yes."))]);
    chain.inference[0].sequence += 1;
    let second = free(&chain, vec![any(&answers(&chain, [2], "No."))]);
    let both = vec![first.clone(), second];
    let (judged, prepared) = chain.judge(&both);
    assert_eq!(prepared, [first]);
    judged.unwrap_err();
    let results = chain.block(&both);
    assert_eq!(codes(&results[0]), [0]);
    assert_eq!(results[1].code, code::DUPLICATE.number);
    assert_eq!(chain.task(2).answer.unwrap().bytes, 4);
}

#[test]
fn several_duty_messages_are_free_together() {
    let mut chain = chain_with(4);
    let good = |task| any(&answers(&chain, [task], "Yes."));
    let tx = free(&chain, vec![good(1), good(2)]);
    // A message none of whose items succeeds fails, and its transaction with it.
    let mut other = free(&chain, vec![good(3), good(3)]);
    assert_eq!(refused(&chain, &other), code::DUPLICATE);
    assert_eq!(codes(&chain.block(&[tx])[0]), [0, 0]);
    chain.inference[0].sequence += 1;
    let good = |task| any(&answers(&chain, [task], "Yes."));
    other = free(&chain, vec![good(3), good(9)]);
    assert_eq!(chain.block(&[other])[0].code, code::UNKNOWN_TASK.number);
    assert_eq!(chain.task(3).status(), TaskStatus::Assigned);
}

#[test]
fn duties_beside_paid_messages_are_paid() {
    let params = Params {
        answer_window: 50,
        ..support::params()
    };
    let mut chain = Chain::with_params(params, 1, 5);
    let id = chain.submit();
    let messages = |chain: &Chain| {
        let node = &chain.inference[0];
        vec![
            any(&answers(chain, id..id + 20, "Yes.")),
            support::send(node, &chain.user.address, 1),
        ]
    };
    let tx = free(&chain, messages(&chain));
    let offered = chain.app.check_tx(&tx, Signatures::Verify).unwrap_err();
    assert!(
        offered.to_string().contains("insufficient fee"),
        "{offered}"
    );
    // A paid transaction may contain failing items.
    let tx = Draft::new(&chain.inference[0], messages(&chain)).sign(&chain.inference[0]);
    chain.app.check_tx(&tx, Signatures::Verify).unwrap();
    let before = chain.balance(&chain.inference[0].address);
    let result = chain.block(&[tx]).remove(0);
    assert_eq!(result.code, 0, "{}", result.log);
    assert_eq!(
        chain.balance(&chain.inference[0].address),
        before - u128::from(support::GAS / 100) - 1
    );
    assert_eq!(chain.task(id).status(), TaskStatus::Answered);
}

#[test]
fn a_user_has_so_many_open_tasks_and_no_more() {
    let params = Params {
        max_open_tasks: 2,
        ..support::params()
    };
    let mut chain = Chain::with_params(params, 1, 5);
    let ask = |chain: &mut Chain| {
        let message = submit_message(&chain.user);
        let tx = chain.user.sign(vec![any(&message)]);
        chain.block(&[tx]).remove(0).code
    };
    assert_eq!((ask(&mut chain), ask(&mut chain)), (0, 0));
    assert_eq!(ask(&mut chain), code::TOO_MANY_OPEN_TASKS.number);
    // When one task ends, another may begin.
    let cancel = MsgCancelTask {
        user: chain.user.address.clone(),
        task_id: 1,
    };
    let tx = chain.user.sign(vec![any(&cancel)]);
    assert_eq!(chain.block(&[tx])[0].code, 0);
    assert_eq!(ask(&mut chain), 0);
    assert_eq!(ask(&mut chain), code::TOO_MANY_OPEN_TASKS.number);
}
