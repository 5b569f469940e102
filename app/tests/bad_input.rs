//! Amounts, texts and numbers that no honest client sends; each gets its code.

mod support;

use cosmos_sdk_proto::cosmos::bank::v1beta1::MsgSend;
use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
use poq_app::Error;
use poq_app::tx::Signatures;
use poq_proto::code::{self, Code};
use poq_proto::v1::{
    MsgAddStake, MsgCancelTask, MsgRegisterInferenceNode, MsgSubmitTask, MsgUnbond, Role, Sampling,
};
use prost::encoding::{encode_key, encode_varint};
use prost::{Message, Name};
use support::{Chain, DENOM, Draft, MODEL, any, submit_message};
use tendermint_proto::google::protobuf::Any;

/// The code from CheckTx for the user's message.
fn refused(chain: &Chain, message: Any) -> Code {
    let tx = Draft::new(&chain.user, vec![message]).sign(&chain.user);
    match chain.app.check_tx(&tx, Signatures::Verify) {
        Err(Error::Rejected { code, .. }) => code,
        other => panic!("expected a rejection, got {other:?}"),
    }
}

fn coins(amounts: &[(&str, &str)]) -> Vec<Coin> {
    let coin = |(amount, denom): &(&str, &str)| Coin {
        amount: (*amount).into(),
        denom: (*denom).into(),
    };
    amounts.iter().map(coin).collect()
}

#[test]
fn amounts_that_cannot_be_sent() {
    let chain = Chain::new(1, 5);
    let two_to_128 = "340282366920938463463374607431768211456";
    let cases: &[(&[(&str, &str)], Code)] = &[
        (&[], code::INVALID_COINS),
        (&[("0", DENOM)], code::INVALID_COINS),
        (&[("", DENOM)], code::INVALID_COINS),
        (&[("-1", DENOM)], code::INVALID_COINS),
        (&[("+1", DENOM)], code::INVALID_COINS),
        (&[("1.5", DENOM)], code::INVALID_COINS),
        (&[("1e3", DENOM)], code::INVALID_COINS),
        (&[(" 1", DENOM)], code::INVALID_COINS),
        (&[("٣", DENOM)], code::INVALID_COINS),
        (&[(two_to_128, DENOM)], code::INVALID_COINS),
        (&[("1", "")], code::INVALID_COINS),
        (&[("1", "UPOQ!")], code::INVALID_COINS),
        (&[("1", DENOM), ("1", DENOM)], code::INVALID_COINS),
        (&[("1", DENOM), ("1", "aaa")], code::INVALID_COINS),
        (&[("1", "other")], code::INSUFFICIENT_FUNDS),
        (&[("18446744073709551615", DENOM)], code::INSUFFICIENT_FUNDS),
        (
            &[("340282366920938463463374607431768211455", DENOM)],
            code::INSUFFICIENT_FUNDS,
        ),
    ];
    for (amounts, expected) in cases {
        let message = any(&MsgSend {
            from_address: chain.user.address.clone(),
            to_address: chain.inference[0].address.clone(),
            amount: coins(amounts),
        });
        assert_eq!(refused(&chain, message), *expected, "{amounts:?}");
    }
}

#[test]
fn fees_that_cannot_be_paid() {
    let chain = Chain::new(1, 5);
    let right = any(&MsgSend {
        from_address: chain.user.address.clone(),
        to_address: chain.inference[0].address.clone(),
        amount: coins(&[("1", DENOM)]),
    });
    for (amount, expected) in [
        (&[("1000000", "other")], code::INVALID_COINS),
        (
            &[("340282366920938463463374607431768211455", DENOM)],
            code::INSUFFICIENT_FUNDS,
        ),
        (&[("x", DENOM)], code::INVALID_COINS),
    ] {
        let mut draft = Draft::new(&chain.user, vec![right.clone()]);
        draft.auth_info.fee.as_mut().unwrap().amount = coins(amount);
        let result = chain
            .app
            .check_tx(&draft.sign(&chain.user), Signatures::Verify);
        match result {
            Err(Error::Rejected { code, .. }) => assert_eq!(code, expected, "{amount:?}"),
            other => panic!("{amount:?}: {other:?}"),
        }
    }
}

#[test]
fn stakes_that_cannot_be_moved() {
    let chain = Chain::new(1, 5);
    let operator = chain.user.address.clone();
    for role in [Role::Unspecified, Role::Inference, Role::Validator] {
        for amount in [0, 1, u64::MAX] {
            let message = any(&MsgAddStake {
                operator: operator.clone(),
                role: role.into(),
                amount,
            });
            let expected = match (role, amount) {
                (_, 0) => code::INVALID_COINS,
                (_, u64::MAX) => code::INSUFFICIENT_FUNDS,
                (Role::Unspecified, _) => code::INVALID_REQUEST,
                _ => code::NOT_REGISTERED,
            };
            assert_eq!(refused(&chain, message), expected, "{role:?} {amount}");
        }
    }
    let unbond = |role: i32| {
        any(&MsgUnbond {
            operator: operator.clone(),
            role,
            amount: 1,
        })
    };
    assert_eq!(refused(&chain, unbond(77)), code::INVALID_REQUEST);
    assert_eq!(refused(&chain, unbond(2)), code::NOT_REGISTERED);
    let register = |stake: u64, models: &[&str]| {
        any(&MsgRegisterInferenceNode {
            operator: operator.clone(),
            models: models.iter().map(ToString::to_string).collect(),
            stake,
            ..MsgRegisterInferenceNode::default()
        })
    };
    assert_eq!(refused(&chain, register(0, &[MODEL])), code::STAKE_TOO_LOW);
    assert_eq!(
        refused(&chain, register(u64::MAX, &[MODEL])),
        code::INSUFFICIENT_FUNDS
    );
    assert_eq!(
        refused(&chain, register(support::STAKE, &[MODEL, MODEL])),
        code::INVALID_REQUEST
    );
}

/// A message with fields that prost would not write.
fn raw<M: Name>(fields: &[(u32, &[u8])]) -> Any {
    let mut value = Vec::new();
    for (tag, bytes) in fields {
        encode_key(*tag, prost::encoding::WireType::LengthDelimited, &mut value);
        encode_varint(bytes.len() as u64, &mut value);
        value.extend(*bytes);
    }
    Any {
        type_url: M::type_url(),
        value,
    }
}

#[test]
fn texts_that_are_no_utf8() {
    let chain = Chain::new(1, 5);
    let user = chain.user.address.as_bytes();
    for (model, prompt) in [
        (MODEL.as_bytes(), &b"caf\xe9"[..]),
        (MODEL.as_bytes(), b"\xed\xa0\x80"),
        (b"\xff\xfe", b"Why?"),
    ] {
        let message = raw::<MsgSubmitTask>(&[(1, user), (2, model), (3, prompt)]);
        assert_eq!(refused(&chain, message), code::TX_DECODE, "{prompt:?}");
    }
}

#[test]
fn numbers_that_are_too_large_or_written_strangely() {
    let chain = Chain::new(1, 5);
    let right = submit_message(&chain.user);
    let with = |tail: &[u8]| {
        let mut message = any(&right);
        message.value.extend(tail);
        message
    };
    // A uint32 of 33 bits, a varint of eleven bytes, an explicit zero, a group.
    let mut ends = MsgCancelTask {
        user: chain.user.address.clone(),
        task_id: 0,
    }
    .encode_to_vec();
    ends.extend([0x10, 0x00]);
    let explicit_zero = Any {
        type_url: MsgCancelTask::type_url(),
        value: ends,
    };
    for message in [
        with(&[0x28, 0x80, 0x80, 0x80, 0x80, 0x10]),
        with(&[&[0x38][..], &[0x80; 10], &[0x01]].concat()),
        with(&[0x4b, 0x4c]),
        explicit_zero,
    ] {
        assert_eq!(refused(&chain, message), code::TX_DECODE);
    }
}

#[test]
fn sampling_out_of_its_ranges() {
    let chain = Chain::new(1, 5);
    let sampling = |temperature, top_p, repetition_penalty| {
        any(&MsgSubmitTask {
            sampling: Some(Sampling {
                temperature,
                top_p,
                repetition_penalty,
                ..Sampling::default()
            }),
            ..submit_message(&chain.user)
        })
    };
    for bad in [
        sampling(Some(2_000_001), 0, 0),
        sampling(None, 1_000_001, 0),
        sampling(None, 0, 1),
        sampling(None, 0, 999_999),
        sampling(None, 0, 2_000_001),
    ] {
        assert_eq!(refused(&chain, bad), code::INVALID_REQUEST);
    }
    for good in [
        sampling(None, 0, 0),
        sampling(Some(0), 1, 1_000_000),
        sampling(Some(2_000_000), 1_000_000, 2_000_000),
    ] {
        // Each transaction gets its own chain: one that is accepted uses the sequence up.
        let chain = Chain::new(1, 5);
        let tx = Draft::new(&chain.user, vec![good]).sign(&chain.user);
        assert!(chain.app.check_tx(&tx, Signatures::Verify).is_ok());
    }
}
