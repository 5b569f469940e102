//! Cancelling a task (`MsgCancelTask`).

mod support;

use poq_proto::code::{self, Code};
use poq_proto::v1::{MsgCancelTask, MsgCancelTaskResponse, RefundReason, Role, TaskStatus};
use prost::Message;
use support::{Chain, Wallet, any, submit_message};
use tendermint_proto::v0_38::abci::ExecTxResult;

fn cancel(
    chain: &mut Chain,
    task_id: u64,
    sender: impl Fn(&mut Chain) -> &mut Wallet,
) -> ExecTxResult {
    let wallet = sender(chain);
    let message = MsgCancelTask {
        user: wallet.address.clone(),
        task_id,
    };
    let tx = wallet.sign(vec![any(&message)]);
    chain.block(&[tx]).remove(0)
}

fn by_user(chain: &mut Chain) -> &mut Wallet {
    &mut chain.user
}

fn is(result: &ExecTxResult, code: Code) {
    assert_eq!(
        (result.code, result.codespace.as_str()),
        (code.number, code.codespace),
        "{}",
        result.log
    );
}

#[test]
fn an_assigned_task_costs_a_fee_and_frees_its_node() {
    let mut chain = Chain::new(1, 5);
    let before = chain.balance(&chain.user.address);
    let id = chain.submit();
    let operator = chain.inference[0].address.clone();
    let node = chain.node(Role::Inference, &operator);
    assert_eq!(node.open_duties, 1);
    assert_eq!(chain.duties(Role::Inference, &operator).len(), 1);

    let result = cancel(&mut chain, id, by_user);
    assert_eq!(result.code, 0, "{}", result.log);
    assert!(result.events.iter().any(|event| {
        event.r#type == poq_proto::event::TASK_REFUNDED
            && event
                .attributes
                .iter()
                .any(|attribute| attribute.value == "REFUND_REASON_CANCELLED")
    }));
    let response = MsgCancelTaskResponse::decode(
        cosmos_sdk_proto::cosmos::base::abci::v1beta1::TxMsgData::decode(&*result.data)
            .unwrap()
            .msg_responses[0]
            .value
            .as_slice(),
    );
    // A quarter of 1,000 + 30 · 10 + 1,000 · 40.
    assert_eq!(response.unwrap().refund, 50_000 - 10_325);

    let task = chain.task(id);
    assert_eq!(task.status(), TaskStatus::Refunded);
    assert_eq!(task.refund_reason(), RefundReason::Cancelled);
    let fees = 2 * u128::from(support::GAS / 100);
    assert_eq!(task.cancellation_fee, 10_325);
    assert_eq!(chain.balance(&chain.user.address), before - fees - 10_325);
    // No penalty, no reward, nothing left to do, and nothing happens later.
    let after = chain.node(Role::Inference, &operator);
    assert_eq!((after.open_duties, after.duties_missed), (0, 0));
    assert_eq!(after.reputation, node.reputation);
    assert!(chain.duties(Role::Inference, &operator).is_empty());
    chain.blocks(6);
    assert_eq!(chain.task(id), task);
    assert_eq!(chain.node(Role::Inference, &operator), after);
    chain.assert_money_is_conserved();
}

#[test]
fn a_task_can_be_cancelled_in_the_block_that_asks() {
    let mut chain = Chain::new(1, 5);
    let user = chain.user.address.clone();
    let message = submit_message(&chain.user);
    let ask = chain.user.sign(vec![any(&message)]);
    let take_back = chain
        .user
        .sign(vec![any(&MsgCancelTask { user, task_id: 1 })]);
    assert!(
        chain
            .block(&[ask, take_back])
            .iter()
            .all(|result| result.code == 0)
    );
    let task = chain.task(1);
    assert_eq!(task.status(), TaskStatus::Refunded);
    assert!(task.assignments.is_empty());
    assert_eq!(task.cancellation_fee, 0);
    // The user has no open tasks left.
    let (proven, _) = chain
        .app
        .prove(
            format!("tasks/open/{}", chain.user.address).as_bytes(),
            None,
        )
        .unwrap();
    assert_eq!(proven.value, None);
    chain.assert_money_is_conserved();
}

#[test]
fn a_redrawn_task_frees_only_the_node_at_work() {
    let mut chain = Chain::new(2, 5);
    let id = chain.submit();
    chain.blocks(5);
    let assignments = chain.task(id).assignments;
    assert_eq!(assignments.len(), 2);
    assert_eq!(cancel(&mut chain, id, by_user).code, 0);
    // The first node has already missed the task.
    assert_eq!(chain.task(id).cancellation_fee, 0);
    let missed = chain.node(Role::Inference, &assignments[0].operator);
    let freed = chain.node(Role::Inference, &assignments[1].operator);
    assert_eq!((missed.duties_missed, missed.open_duties), (1, 0));
    assert_eq!((freed.duties_missed, freed.open_duties), (0, 0));
    chain.assert_money_is_conserved();
}

#[test]
fn the_answer_of_a_cancelled_task_is_refused() {
    let mut chain = Chain::new(1, 5);
    let id = chain.submit();
    assert_eq!(cancel(&mut chain, id, by_user).code, 0);
    is(&chain.answer(id, "Paris."), code::WRONG_PHASE);
}

#[test]
fn every_refusal_has_its_code() {
    let mut chain = Chain::new(1, 5);
    is(&cancel(&mut chain, 7, by_user), code::UNKNOWN_TASK);
    let id = chain.submit();
    is(
        &cancel(&mut chain, id, |chain| &mut chain.evaluators[0]),
        code::NOT_THE_USER,
    );
    chain.answer(id, "Paris.");
    is(&cancel(&mut chain, id, by_user), code::ALREADY_ANSWERED);
    chain.commit(id, 1, &[]);
    is(&cancel(&mut chain, id, by_user), code::ALREADY_ANSWERED);
    chain.reveal(id, 1, &[]);
    is(&cancel(&mut chain, id, by_user), code::ALREADY_ANSWERED);
    chain.blocks(2);
    is(&cancel(&mut chain, id, by_user), code::TASK_OVER);
    let id = chain.submit();
    assert_eq!(cancel(&mut chain, id, by_user).code, 0);
    is(&cancel(&mut chain, id, by_user), code::TASK_OVER);
    chain.assert_money_is_conserved();
}
