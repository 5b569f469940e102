//! Sign modes, keys and signatures.

use cosmos_sdk_proto::cosmos::auth::v1beta1::{QueryAccountInfoRequest, QueryAccountInfoResponse};
use cosmos_sdk_proto::cosmos::tx::signing::v1beta1::SignMode;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{ModeInfo, Tip, TxRaw, mode_info};
use k256::ecdsa::Signature;
use k256::ecdsa::signature::Signer;
use poq_app::tx::Signatures;
use poq_proto::code;
use prost::Message;
use tendermint_proto::google::protobuf::Any;

use crate::support::{CHAIN_ID, Chain, Draft, Wallet, coin, send};
use crate::{Case, refused, transfer};

/// A transfer whose JSON document is signed; the draft decides the bytes, not the document.
fn amino(chain: &Chain, draft: &Draft) -> Vec<u8> {
    let user = &chain.user;
    let to = &chain.inference[0].address;
    let document = format!(
        r#"{{"account_number":"{}","chain_id":"{CHAIN_ID}","fee":{{"amount":[{{"amount":"4000","denom":"upoq"}}],"gas":"400000"}},"memo":"a \u003c b","msgs":[{{"type":"cosmos-sdk/MsgSend","value":{{"amount":[{{"amount":"5","denom":"upoq"}}],"from_address":"{}","to_address":"{to}"}}}}],"sequence":"{}"}}"#,
        user.number, user.address, user.sequence
    );
    let signature: Signature = user.key.sign(document.as_bytes());
    TxRaw {
        body_bytes: draft.body.encode_to_vec(),
        auth_info_bytes: draft.auth_info.encode_to_vec(),
        signatures: vec![signature.to_bytes().to_vec()],
    }
    .encode_to_vec()
}

fn amino_draft(chain: &Chain) -> Draft {
    let mut draft = transfer(chain).mode(SignMode::LegacyAminoJson);
    draft.body.memo = "a < b".into();
    draft
}

#[test]
fn json_is_signed_too() {
    let mut chain = Chain::new(1, 5);
    let tx = amino(&chain, &amino_draft(&chain));
    chain.app.check_tx(&tx, Signatures::Verify).unwrap();
    let result = chain.block(&[tx]).remove(0);
    assert_eq!(result.code, 0, "{}", result.log);
    assert_eq!(chain.user.sequence + 1, sequence(&chain));
}

pub(crate) fn sequence(chain: &Chain) -> u64 {
    let request = QueryAccountInfoRequest {
        address: chain.user.address.clone(),
    };
    let answer: QueryAccountInfoResponse =
        chain.query("/cosmos.auth.v1beta1.Query/AccountInfo", &request);
    answer.info.unwrap().sequence
}

/// Only the signer can give a transaction signed in JSON other bytes.
#[test]
#[allow(deprecated)]
fn json_has_one_form_in_bytes() {
    let chain = Chain::new(1, 5);
    let cases: [Case; 8] = [
        (|d| d.body.memo.push('!'), code::UNAUTHORIZED),
        (|d| d.body.timeout_height = 100, code::UNAUTHORIZED),
        (
            |d| d.auth_info.fee.as_mut().unwrap().gas_limit += 1,
            code::INSUFFICIENT_FEE,
        ),
        (
            |d| d.auth_info.fee.as_mut().unwrap().amount = vec![coin(4_001)],
            code::UNAUTHORIZED,
        ),
        (
            |d| d.auth_info.signer_infos[0].public_key = None,
            code::INVALID_PUBKEY,
        ),
        (
            |d| d.auth_info.tip = Some(Tip::default()),
            code::UNKNOWN_REQUEST,
        ),
        (
            |d| {
                let payer = d.body.messages[0].value[2..45].to_vec();
                let payer = String::from_utf8(payer).unwrap();
                d.auth_info.fee.as_mut().unwrap().payer = payer;
            },
            code::UNAUTHORIZED,
        ),
        (
            |d| d.auth_info.signer_infos[0].sequence = 1,
            code::WRONG_SEQUENCE,
        ),
    ];
    for (index, (change, expected)) in cases.into_iter().enumerate() {
        let mut draft = amino_draft(&chain);
        change(&mut draft);
        let (code, log) = refused(&chain, &amino(&chain, &draft));
        assert_eq!(code, expected, "case {index}: {log}");
    }
    // A duty is free, so its fee could be left out, but then in only one way.
    let mut draft = amino_draft(&chain).free();
    draft.auth_info.fee = None;
    let (code, _) = refused(&chain, &amino(&chain, &draft));
    assert_eq!(code, code::OUT_OF_GAS);
}

#[test]
fn other_sign_modes_and_keys_are_refused_by_name() {
    let chain = Chain::new(1, 5);
    let textual = transfer(&chain).mode(SignMode::Textual).sign(&chain.user);
    let (code, log) = refused(&chain, &textual);
    assert_eq!(code, code::UNAUTHORIZED);
    assert!(log.contains("SIGN_MODE_TEXTUAL is not supported"), "{log}");
    let missing = transfer(&chain).mode(SignMode::Unspecified);
    assert_eq!(
        refused(&chain, &missing.sign(&chain.user)).0,
        code::UNAUTHORIZED
    );

    let mut multi = transfer(&chain);
    multi.auth_info.signer_infos[0].mode_info = Some(ModeInfo {
        sum: Some(mode_info::Sum::Multi(mode_info::Multi::default())),
    });
    let (code, log) = refused(&chain, &multi.sign(&chain.user));
    assert_eq!(code, code::UNAUTHORIZED);
    assert!(log.contains("one key signs for this account"), "{log}");

    let ed25519 = Any {
        type_url: "/cosmos.crypto.ed25519.PubKey".into(),
        value: vec![10, 1, 1],
    };
    let type_url = ed25519.type_url.clone();
    let mut draft = transfer(&chain);
    draft.auth_info.signer_infos[0].public_key = Some(ed25519);
    let (code, log) = refused(&chain, &draft.sign(&chain.user));
    assert_eq!(code, code::INVALID_PUBKEY);
    assert!(log.contains(&type_url), "{log}");
}

#[test]
fn signatures_are_counted() {
    let chain = Chain::new(1, 5);
    let tx = transfer(&chain).sign(&chain.user);
    let mut raw = TxRaw::decode(tx.as_slice()).unwrap();
    raw.signatures.push(raw.signatures[0].clone());
    assert_eq!(refused(&chain, &raw.encode_to_vec()).0, code::UNAUTHORIZED);
    raw.signatures.clear();
    assert_eq!(refused(&chain, &raw.encode_to_vec()).0, code::NO_SIGNATURES);
    let crowd: Vec<_> = (1..=9)
        .map(|seed| send(&Wallet::new(seed, 0), &chain.user.address, 1))
        .collect();
    let crowd = Draft::new(&chain.user, crowd).sign(&chain.user);
    assert_eq!(refused(&chain, &crowd).0, code::TOO_MANY_SIGNATURES);
}
