//! Refused messages, and the effects that remain of a failure.

use poq_app::tx::Signatures;
use poq_proto::code;
use poq_proto::v1::{AnswerItem, MsgRegisterEvaluator, MsgSubmitAnswers, MsgSubmitTask};
use prost::Message;
use tendermint_proto::google::protobuf::Any;

use crate::support::{
    Chain, Draft, FUNDS, GAS, SCORER, STAKE, Wallet, any, coin, commit_message, reveal_message,
    send, submit_message,
};
use crate::{Case, code_of, refused};

#[test]
fn messages_that_do_not_exist_or_are_too_many() {
    let mut chain = Chain::new(1, 5);
    let unknown = Any {
        type_url: "/poq.v1.MsgNothing".into(),
        value: Vec::new(),
    };
    let tx = Draft::new(&chain.user, vec![unknown]).sign(&chain.user);
    assert_eq!(refused(&mut chain, tx), code::UNKNOWN_REQUEST);
    let tx = Draft::new(&chain.user, vec![]).sign(&chain.user);
    assert_eq!(refused(&mut chain, tx), code::INVALID_REQUEST);
    let many = vec![send(&chain.user, &chain.inference[0].address, 1); 1_000];
    let tx = Draft::new(&chain.user, many).sign(&chain.user);
    assert_eq!(refused(&mut chain, tx), code::INVALID_REQUEST);
}

#[test]
fn a_failed_message_undoes_the_others_but_not_the_fee() {
    let mut chain = Chain::new(1, 5);
    let to = chain.inference[0].address.clone();
    let (user, receiver) = (chain.balance(&chain.user.address), chain.balance(&to));
    let messages = vec![
        send(&chain.user, &to, 5),
        send(&chain.user, &to, 10 * FUNDS),
    ];
    let tx = chain.user.sign(messages);
    let check = chain.app.check_tx(&tx, Signatures::Verify);
    assert_eq!(code_of(check), code::INSUFFICIENT_FUNDS);
    let result = chain.block(&[tx]).remove(0);
    assert_eq!(result.code, code::INSUFFICIENT_FUNDS.number);
    assert!(result.data.is_empty());
    assert_eq!(chain.balance(&to), receiver);
    assert_eq!(
        chain.balance(&chain.user.address),
        user - u128::from(GAS / 100)
    );
    // The sequence was used up, so the next one is valid.
    let next = chain.user.sign(vec![send(&chain.user, &to, 5)]);
    assert_eq!(chain.block(&[next])[0].code, 0);
    chain.assert_money_is_conserved();
}

#[test]
fn tasks_that_cannot_be_submitted() {
    let chain = Chain::new(1, 5);
    let cases: [Case<MsgSubmitTask>; 7] = [
        (|m| m.model = "no-such".into(), code::UNKNOWN_MODEL),
        (|m| m.prompt.clear(), code::INVALID_PROMPT),
        (|m| m.prompt = "x".repeat(40_000), code::INVALID_PROMPT),
        (|m| m.max_answer_bytes = 0, code::INVALID_REQUEST),
        (|m| m.max_fee = 1, code::FEE_BELOW_PRICE),
        (|m| m.min_quality = 700_001, code::INVALID_REQUEST),
        (|m| m.max_fee = u64::MAX, code::INSUFFICIENT_FUNDS),
    ];
    for (change, expected) in cases {
        let mut message = submit_message(&chain.user);
        change(&mut message);
        let mut draft = Draft::new(&chain.user, vec![any(&message)]);
        let fee = draft.auth_info.fee.as_mut().unwrap();
        (fee.gas_limit, fee.amount) = (1_000_000, vec![coin(10_000)]);
        let tx = draft.sign(&chain.user);
        assert_eq!(
            code_of(chain.app.check_tx(&tx, Signatures::Verify)),
            expected
        );
    }
}

#[test]
fn duties_that_are_foreign_late_or_duplicate() {
    let mut chain = Chain::new(2, 7);
    let id = chain.submit();
    let assigned = chain.task(id).assignments[0].operator.clone();
    let other = chain
        .inference
        .iter()
        .position(|w| w.address != assigned)
        .unwrap();
    let answer = |operator: &str, text: &str| MsgSubmitAnswers {
        operator: operator.into(),
        items: vec![AnswerItem {
            task_id: id,
            answer: text.into(),
            ..AnswerItem::default()
        }],
    };
    let check = |chain: &Chain, wallet: &Wallet, message: Any| {
        let tx = Draft::new(wallet, vec![message]).free().sign(wallet);
        chain.app.check_tx(&tx, Signatures::Verify)
    };
    let foreign = any(&answer(&chain.inference[other].address, "x"));
    assert_eq!(
        code_of(check(&chain, &chain.inference[other], foreign)),
        code::NOT_ASSIGNED
    );
    let mine = chain
        .inference
        .iter()
        .position(|w| w.address == assigned)
        .unwrap();
    let long = any(&answer(&assigned, &"x".repeat(1_001)));
    assert_eq!(
        code_of(check(&chain, &chain.inference[mine], long)),
        code::ANSWER_TOO_LONG
    );

    chain.answer(id, "Paris.");
    let again = any(&answer(&assigned, "Rome."));
    assert_eq!(
        code_of(check(&chain, &chain.inference[mine], again)),
        code::DUPLICATE
    );

    let seats = chain.task(id).committees[0].seats.clone();
    let outsider = chain
        .evaluators
        .iter()
        .find(|w| seats.iter().all(|seat| seat.operator != w.address))
        .unwrap();
    let foreign = any(&commit_message(outsider, id, 0, 1));
    assert_eq!(
        code_of(check(&chain, outsider, foreign)),
        code::NOT_ASSIGNED
    );

    chain.commit(id, 1, &[]);
    let seated = chain
        .evaluators
        .iter()
        .find(|w| w.address == seats[0].operator)
        .unwrap();
    let late = any(&commit_message(seated, id, 0, 1));
    assert_eq!(code_of(check(&chain, seated, late)), code::DUPLICATE);
    let other_score = any(&reveal_message(seated, id, 2));
    assert_eq!(
        code_of(check(&chain, seated, other_score)),
        code::REVEAL_MISMATCH
    );
    let unknown = any(&reveal_message(seated, 99, 2));
    assert_eq!(code_of(check(&chain, seated, unknown)), code::UNKNOWN_TASK);
    let empty = any(&MsgSubmitAnswers {
        operator: assigned.clone(),
        items: vec![],
    });
    assert_eq!(
        code_of(check(&chain, &chain.inference[mine], empty)),
        code::INVALID_BATCH
    );
}

#[test]
fn a_batch_fails_item_by_item() {
    let mut chain = Chain::new(1, 5);
    let (first, second) = (chain.submit(), chain.submit());
    let wallet = &mut chain.inference[0];
    let item = |task_id, answer: &str| AnswerItem {
        task_id,
        answer: answer.into(),
        ..AnswerItem::default()
    };
    let message = MsgSubmitAnswers {
        operator: wallet.address.clone(),
        items: vec![item(first, "Paris."), item(77, "?"), item(second, "Rome.")],
    };
    let tx = Draft::new(wallet, vec![any(&message)]).free().sign(wallet);
    wallet.sequence += 1;
    let result = chain.block(&[tx]).remove(0);
    assert_eq!(result.code, 0, "{}", result.log);
    let data =
        cosmos_sdk_proto::cosmos::base::abci::v1beta1::TxMsgData::decode(result.data).unwrap();
    let response =
        poq_proto::v1::MsgSubmitAnswersResponse::decode(data.msg_responses[0].value.as_slice())
            .unwrap();
    let codes: Vec<u32> = response.results.iter().map(|result| result.code).collect();
    assert_eq!(codes, [0, code::UNKNOWN_TASK.number, 0]);
}

#[test]
fn registrations() {
    let mut chain = Chain::new(1, 5);
    let taken = chain.evaluators[0].address.clone();
    let message = |chain: &Chain| MsgRegisterEvaluator {
        operator: chain.user.address.clone(),
        payout: String::new(),
        evaluator_models: vec![SCORER.into()],
        stake: STAKE,
        capacity: 0,
    };
    let cases: [Case<MsgRegisterEvaluator>; 4] = [
        (|m| m.stake = 1, code::STAKE_TOO_LOW),
        (
            |m| m.evaluator_models = vec!["none".into()],
            code::UNKNOWN_EVALUATOR_MODEL,
        ),
        (|m| m.evaluator_models.clear(), code::INVALID_REQUEST),
        (|m| m.stake = 2 * FUNDS, code::INSUFFICIENT_FUNDS),
    ];
    for (change, expected) in cases {
        let mut bad = message(&chain);
        change(&mut bad);
        let tx = Draft::new(&chain.user, vec![any(&bad)]).sign(&chain.user);
        assert_eq!(
            code_of(chain.app.check_tx(&tx, Signatures::Verify)),
            expected
        );
    }
    let mut shared = message(&chain);
    shared.payout = taken;
    let tx = Draft::new(&chain.user, vec![any(&shared)]).sign(&chain.user);
    assert_eq!(
        code_of(chain.app.check_tx(&tx, Signatures::Verify)),
        code::PAYOUT_TAKEN
    );

    let good = any(&message(&chain));
    let tx = chain.user.sign(vec![good.clone()]);
    assert_eq!(chain.block(&[tx])[0].code, 0);
    let again = Draft::new(&chain.user, vec![good]).sign(&chain.user);
    assert_eq!(
        code_of(chain.app.check_tx(&again, Signatures::Verify)),
        code::ALREADY_REGISTERED
    );
}
