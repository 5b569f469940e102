//! Bad transactions get stable codes and leave nothing but, where due, a fee and a sequence.

mod support;

use cosmos_sdk_proto::cosmos::tx::v1beta1::{SimulateRequest, TxRaw};
use poq_app::tx::Signatures;
use poq_app::{Error, Result};
use poq_proto::code::{self, Code};
use poq_proto::v1::{AnswerItem, MsgRegisterEvaluator, MsgSubmitAnswers, MsgSubmitTask};
use prost::Message;
use support::{
    Chain, Draft, FUNDS, SCORER, STAKE, Wallet, any, coin, commit_message, reveal_message, send,
    submit_message,
};
use tendermint_proto::google::protobuf::Any;

/// What to spoil, and the code that it must get.
type Case<T> = (fn(&mut T), Code);

fn code_of<T: std::fmt::Debug>(result: Result<T>) -> Code {
    match result {
        Err(Error::Rejected { code, .. }) => code,
        other => panic!("expected a rejection, got {other:?}"),
    }
}

/// What CheckTx says; FinalizeBlock must say the same and change nothing.
#[track_caller]
fn refused(chain: &mut Chain, tx: Vec<u8>) -> Code {
    let code = code_of(chain.app.check_tx(&tx, Signatures::Verify));
    let before = chain.balance(&chain.user.address);
    let result = chain.block(&[tx]).remove(0);
    assert_eq!(
        (result.code, result.codespace.as_str()),
        (code.number, code.codespace)
    );
    assert_eq!(chain.balance(&chain.user.address), before);
    code
}

fn transfer(chain: &Chain) -> Draft {
    let to = chain.inference[0].address.clone();
    Draft::new(&chain.user, vec![send(&chain.user, &to, 5)])
}

#[test]
fn bytes_that_are_no_transaction() {
    let mut chain = Chain::new(1, 5);
    let good = transfer(&chain).sign(&chain.user);
    let mut trailing = good.clone();
    trailing.extend([0x28, 0x01]);
    let mut padded = good.clone();
    // The length of the first field in one byte more than it needs.
    assert!(padded[1] & 0x80 != 0);
    padded[2] |= 0x80;
    padded.insert(3, 0);
    let mut duplicated = good.clone();
    duplicated.extend(&good);
    for bytes in [
        Vec::new(),
        vec![0xff; 100],
        good[..good.len() / 2].to_vec(),
        trailing,
        padded,
        duplicated,
    ] {
        let refused = refused(&mut chain, bytes);
        assert!(
            [code::TX_DECODE, code::INVALID_REQUEST].contains(&refused),
            "{refused:?}"
        );
    }
    assert_eq!(refused(&mut chain, vec![0; 2 << 20]), code::TX_TOO_LARGE);
}

#[test]
fn deep_nesting_is_refused() {
    let mut chain = Chain::new(1, 5);
    let mut nested = Vec::new();
    for _ in 0..1_000 {
        let mut outer = vec![0x0a];
        prost::encoding::encode_varint(nested.len() as u64, &mut outer);
        outer.extend(nested);
        nested = outer;
    }
    assert_eq!(refused(&mut chain, nested), code::TX_DECODE);
}

#[test]
fn wrong_signatures() {
    let mut chain = Chain::new(1, 5);
    let stranger = Wallet::new(200, 0);
    let mut other_chain = transfer(&chain);
    other_chain.chain_id = "other-1".into();
    let tx = other_chain.sign(&chain.user);
    assert_eq!(refused(&mut chain, tx), code::UNAUTHORIZED);
    let tx = transfer(&chain).sign(&stranger);
    assert_eq!(refused(&mut chain, tx), code::UNAUTHORIZED);
    let forged =
        Draft::new(&stranger, vec![send(&chain.user, &stranger.address, 5)]).sign(&stranger);
    assert_eq!(refused(&mut chain, forged), code::INVALID_PUBKEY);
    let unknown =
        Draft::new(&stranger, vec![send(&stranger, &chain.user.address, 5)]).sign(&stranger);
    assert_eq!(refused(&mut chain, unknown), code::UNKNOWN_ADDRESS);
}

#[test]
fn a_high_s_signature_is_refused() {
    let mut chain = Chain::new(1, 5);
    let tx = transfer(&chain).sign(&chain.user);
    let mut raw = cosmos_sdk_proto::cosmos::tx::v1beta1::TxRaw::decode(tx.as_slice()).unwrap();
    let signature = k256::ecdsa::Signature::from_slice(&raw.signatures[0]).unwrap();
    let (r, s) = signature.split_scalars();
    let high = k256::ecdsa::Signature::from_scalars(*r, -*s).unwrap();
    raw.signatures[0] = high.to_bytes().to_vec();
    assert_eq!(refused(&mut chain, raw.encode_to_vec()), code::UNAUTHORIZED);
}

#[test]
fn sequences_in_and_out_of_order() {
    let mut chain = Chain::new(1, 5);
    let first = transfer(&chain).sign(&chain.user);
    chain.user.sequence = 1;
    let future = transfer(&chain).sign(&chain.user);
    assert_eq!(refused(&mut chain, future.clone()), code::WRONG_SEQUENCE);
    // The mempool accepts the second once it has the first.
    chain.app.check_tx(&first, Signatures::Verify).unwrap();
    chain.app.check_tx(&future, Signatures::Verify).unwrap();
    let codes: Vec<u32> = chain
        .block(&[first.clone(), future])
        .iter()
        .map(|r| r.code)
        .collect();
    assert_eq!(codes, [0, 0]);
    assert_eq!(refused(&mut chain, first), code::WRONG_SEQUENCE);
}

/// A node remembers the signatures that it verified; it must never show.
#[test]
fn a_block_is_the_same_to_who_saw_its_transactions_and_to_who_did_not() {
    let (mut seen, mut unseen) = (Chain::new(1, 5), Chain::new(1, 5));
    let valid = transfer(&seen).sign(&seen.user);
    seen.user.sequence = 1;
    let draft = transfer(&seen);
    let next = draft.sign(&seen.user);
    // The signature of one transaction under another, and that of another account's key.
    let mut swapped = TxRaw::decode(next.as_slice()).unwrap();
    swapped.signatures = TxRaw::decode(valid.as_slice()).unwrap().signatures;
    let stranger = draft.sign(&Wallet::new(200, 0));
    let txs = [
        valid.clone(),
        valid,
        swapped.encode_to_vec(),
        stranger,
        next,
    ];
    let checked = txs
        .clone()
        .map(|tx| seen.app.check_tx(&tx, Signatures::Verify).is_ok());
    assert_eq!(checked, [true, false, false, false, true]);
    let good = [txs[0].clone(), txs[4].clone()];
    assert!(seen.judge(&good).0.is_ok());

    let outcomes = [&mut seen, &mut unseen].map(|chain| (chain.block(&txs), chain.app_hash));
    assert_eq!(outcomes[0], outcomes[1]);
    let codes = outcomes[0].0.iter().map(|result| result.code);
    let unauthorized = code::UNAUTHORIZED.number;
    let wrong_sequence = code::WRONG_SEQUENCE.number;
    assert_eq!(
        codes.collect::<Vec<_>>(),
        [0, wrong_sequence, unauthorized, unauthorized, 0]
    );
}

/// Signatures are verified ahead, by the accounts before the block; it must never show either.
#[test]
fn an_account_that_a_block_makes_can_send_in_it() {
    let mut chain = Chain::new(1, 5);
    // The numbers before are of genesis, and of the protocol, which gets the first fee.
    let mut newcomer = Wallet::new(200, 10);
    let gift = send(&chain.user, &newcomer.address, 100_000_000);
    let gift = chain.user.sign(vec![gift]);
    let back = send(&newcomer, &chain.user.address, 1);
    let sent = newcomer.sign(vec![back.clone()]);
    let again = newcomer.sign(vec![back]);
    let codes = chain.block(&[gift, sent, again]);
    let codes = codes.iter().map(|result| (result.code, &*result.log));
    assert_eq!(codes.collect::<Vec<_>>(), [(0, ""); 3]);
}

#[test]
fn fees_gas_and_timeouts() {
    let mut chain = Chain::new(1, 5);
    let with = |chain: &Chain, change: fn(&mut Draft)| {
        let mut draft = transfer(chain);
        change(&mut draft);
        draft.sign(&chain.user)
    };
    let cases: [Case<Draft>; 6] = [
        (
            |d| d.auth_info.fee.as_mut().unwrap().amount = vec![coin(1)],
            code::INSUFFICIENT_FEE,
        ),
        (
            |d| d.auth_info.fee.as_mut().unwrap().amount = vec![],
            code::INSUFFICIENT_FEE,
        ),
        (
            |d| d.auth_info.fee.as_mut().unwrap().gas_limit = 10,
            code::OUT_OF_GAS,
        ),
        (
            |d| d.auth_info.fee.as_mut().unwrap().gas_limit = u64::MAX,
            code::OUT_OF_GAS,
        ),
        (
            |d| d.auth_info.fee.as_mut().unwrap().amount = vec![coin(2 * FUNDS)],
            code::INSUFFICIENT_FUNDS,
        ),
        (|d| d.body.memo = "x".repeat(300), code::MEMO_TOO_LARGE),
    ];
    for (change, expected) in cases {
        let tx = with(&chain, change);
        assert_eq!(refused(&mut chain, tx), expected);
    }
    chain.blocks(3);
    let tx = with(&chain, |d| d.body.timeout_height = 2);
    assert_eq!(refused(&mut chain, tx), code::TIMEOUT_HEIGHT);
}

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
        user - u128::from(support::GAS / 100)
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

/// A client simulates with the sequence that it is going to send, while others of its transactions
/// wait for a block.
#[test]
fn a_simulation_goes_by_what_waits_for_a_block() {
    let mut chain = Chain::new(1, 5);
    let to = chain.inference[0].address.clone();
    let sign = |chain: &mut Chain| {
        let message = support::send(&chain.user, &to, 1);
        chain.user.sign(vec![message])
    };
    let (first, second) = (sign(&mut chain), sign(&mut chain));
    let simulate = |chain: &Chain, tx: &[u8]| {
        let request = SimulateRequest {
            tx_bytes: tx.to_vec(),
            ..SimulateRequest::default()
        };
        let path = "/cosmos.tx.v1beta1.Service/Simulate";
        chain.app.query(path, &request.encode_to_vec(), None)
    };
    assert!(simulate(&chain, &second).is_err());
    chain.app.check_tx(&first, Signatures::Verify).unwrap();
    // A simulation leaves nothing behind.
    for _ in 0..3 {
        simulate(&chain, &second).unwrap();
    }
    chain.app.check_tx(&second, Signatures::Verify).unwrap();
    assert!(simulate(&chain, &second).is_err());
}

/// Events as the Cosmos SDK has them: of the fee and the signatures in every case, and of each
/// message with its index.
#[test]
fn events_are_those_of_the_sdk() {
    let mut chain = Chain::new(1, 5);
    let to = chain.inference[0].address.clone();
    let from = chain.user.address.clone();
    let two = vec![send(&chain.user, &to, 5), send(&chain.user, &to, 6)];
    let works = chain.user.sign(two);
    let too_much = vec![send(&chain.user, &to, 2 * FUNDS)];
    let fails = chain.user.sign(too_much);
    let results = chain.block(&[works, fails]);
    let told = |result: &tendermint_proto::v0_38::abci::ExecTxResult, kind: &str, key: &str| {
        let events = result.events.iter().filter(|event| event.r#type == kind);
        let attributes = events.flat_map(|event| event.attributes.clone());
        let values = attributes.filter(|attribute| attribute.key == key);
        values.map(|attribute| attribute.value).collect::<Vec<_>>()
    };
    let fee = format!("{}upoq", support::GAS / 100);
    let first = chain.user.sequence - 2;
    for (index, result) in results.iter().enumerate() {
        assert_eq!(told(result, "tx", "fee"), std::slice::from_ref(&fee));
        assert_eq!(told(result, "tx", "fee_payer"), std::slice::from_ref(&from));
        let sequence = format!("{from}/{}", first + index as u64);
        assert_eq!(told(result, "tx", "acc_seq"), [sequence]);
        assert_eq!(told(result, "tx", "signature").len(), 1);
    }
    let [works, fails] = results.as_slice() else {
        panic!("two results");
    };
    assert_eq!(
        (works.code, fails.code),
        (0, code::INSUFFICIENT_FUNDS.number)
    );
    assert!(fails.log.contains("insufficient funds"), "{}", fails.log);
    assert_eq!(told(works, "message", "module"), ["bank", "bank"]);
    assert_eq!(told(works, "transfer", "msg_index"), ["0", "1"]);
    assert_eq!(told(works, "coin_received", "receiver"), [to.clone(), to]);
    let spent = [fee, "5upoq".into(), "6upoq".into()];
    assert_eq!(told(works, "coin_spent", "amount"), spent);
    assert!(told(fails, "message", "module").is_empty());
}
