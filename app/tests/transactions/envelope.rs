//! Bytes, signatures, sequences and fees.

use cosmos_sdk_proto::cosmos::tx::v1beta1::TxRaw;
use poq_app::tx::Signatures;
use poq_proto::code;
use prost::Message;

use crate::support::{Chain, Draft, FUNDS, Wallet, coin, send};
use crate::{Case, refused, transfer};

#[test]
fn bytes_that_are_no_transaction() {
    let mut chain = Chain::new(1, 5);
    let good = transfer(&chain).sign(&chain.user);
    let mut trailing = good.clone();
    trailing.extend([0x28, 0x01]);
    let mut padded = good.clone();
    // The length of the first field takes one byte more than necessary.
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
    // The mempool accepts the second transaction once it has the first.
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

/// A node remembers the signatures that it verified. That must not change results.
#[test]
fn a_block_is_the_same_to_who_saw_its_transactions_and_to_who_did_not() {
    let (mut seen, mut unseen) = (Chain::new(1, 5), Chain::new(1, 5));
    let valid = transfer(&seen).sign(&seen.user);
    seen.user.sequence = 1;
    let draft = transfer(&seen);
    let next = draft.sign(&seen.user);
    // One transaction's signature in another, and another account's signature.
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

/// Signatures are verified ahead, with the accounts before the block. That must not change results
/// either.
#[test]
fn an_account_that_a_block_makes_can_send_in_it() {
    let mut chain = Chain::new(1, 5);
    // Genesis accounts and the protocol's account, which gets the first fee, have the numbers
    // before.
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
