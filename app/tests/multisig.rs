//! Accounts of several keys, of which a threshold must sign.

mod support;

use cosmos_sdk_proto::cosmos::auth::v1beta1::{
    BaseAccount, QueryAccountRequest, QueryAccountResponse,
};
use cosmos_sdk_proto::cosmos::crypto::multisig::LegacyAminoPubKey;
use cosmos_sdk_proto::cosmos::crypto::multisig::v1beta1::{CompactBitArray, MultiSignature};
use cosmos_sdk_proto::cosmos::crypto::secp256k1::PubKey;
use cosmos_sdk_proto::cosmos::tx::signing::v1beta1::SignMode;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{
    AuthInfo, Fee, ModeInfo, SignerInfo, TxBody, TxRaw, mode_info,
};
use k256::ecdsa::Signature;
use k256::ecdsa::signature::Signer;
use poq_app::Error;
use poq_app::tx::Signatures;
use poq_proto::code::{self, Code};
use poq_proto::v1::{MsgUpdateParams, Params};
use prost::Message;
use support::{CHAIN_ID, Chain, GAS, Wallet, any, coin, params, send};
use tendermint_proto::google::protobuf::Any;

/// The address of [`keys`] with threshold 2, as CosmJS's `pubkeyToAddress` computes it.
const ADDRESS: &str = "poq1896yggmlu07f0cgd8jrc8mfn2rslkjm8dtxv93";
const AMOUNT: u64 = 50_000_000;

fn keys() -> Vec<Wallet> {
    (1..=3).map(|seed| Wallet::new(seed, 0)).collect()
}

/// A multisignature whose parts a test may change.
#[derive(Clone)]
struct Multi {
    threshold: u32,
    keys: Vec<Wallet>,
    signers: Vec<usize>,
    bits: CompactBitArray,
    number: u64,
    sequence: u64,
}

impl Multi {
    /// Signed by the first and the last of three keys.
    fn new() -> Self {
        Self {
            threshold: 2,
            keys: keys(),
            signers: vec![0, 2],
            bits: bits(3, &[0b1010_0000]),
            number: 0,
            sequence: 0,
        }
    }

    fn public_key(&self) -> LegacyAminoPubKey {
        let pack = |wallet: &Wallet| {
            let point = wallet.key.verifying_key().to_encoded_point(true);
            let key = point.as_bytes().to_vec();
            any(&PubKey { key })
        };
        LegacyAminoPubKey {
            threshold: self.threshold,
            public_keys: self.keys.iter().map(pack).collect(),
        }
    }

    fn raw(&self, message: Any, document: &str) -> (TxBody, AuthInfo, MultiSignature) {
        let amino = mode_info::Single {
            mode: SignMode::LegacyAminoJson.into(),
        };
        let amino = ModeInfo {
            sum: Some(mode_info::Sum::Single(amino)),
        };
        let multi = mode_info::Multi {
            bitarray: Some(self.bits.clone()),
            mode_infos: vec![amino; self.signers.len()],
        };
        let sign = |index: &usize| {
            let signature: Signature = self.keys[*index].key.sign(document.as_bytes());
            signature.to_bytes().to_vec()
        };
        let auth_info = AuthInfo {
            signer_infos: vec![SignerInfo {
                public_key: Some(any(&self.public_key())),
                mode_info: Some(ModeInfo {
                    sum: Some(mode_info::Sum::Multi(multi)),
                }),
                sequence: self.sequence,
            }],
            fee: Some(Fee {
                amount: vec![coin(GAS / 100)],
                gas_limit: GAS,
                ..Fee::default()
            }),
            ..AuthInfo::default()
        };
        let body = TxBody {
            messages: vec![message],
            ..TxBody::default()
        };
        let signatures = self.signers.iter().map(sign).collect();
        (body, auth_info, MultiSignature { signatures })
    }

    fn transfer(&self, to: &str) -> (TxBody, AuthInfo, MultiSignature) {
        let from = Wallet {
            address: ADDRESS.into(),
            ..self.keys[0].clone()
        };
        let value = format!(
            r#"{{"type":"cosmos-sdk/MsgSend","value":{{"amount":[{{"amount":"5","denom":"upoq"}}],"from_address":"{ADDRESS}","to_address":"{to}"}}}}"#
        );
        self.raw(send(&from, to, 5), &self.document(&value))
    }

    fn document(&self, message: &str) -> String {
        format!(
            r#"{{"account_number":"{}","chain_id":"{CHAIN_ID}","fee":{{"amount":[{{"amount":"{}","denom":"upoq"}}],"gas":"{GAS}"}},"memo":"","msgs":[{message}],"sequence":"{}"}}"#,
            self.number,
            GAS / 100,
            self.sequence
        )
    }
}

fn bits(extra: u32, elems: &[u8]) -> CompactBitArray {
    CompactBitArray {
        extra_bits_stored: extra,
        elems: elems.to_vec(),
    }
}

fn encode((body, auth_info, signature): (TxBody, AuthInfo, MultiSignature)) -> Vec<u8> {
    TxRaw {
        body_bytes: body.encode_to_vec(),
        auth_info_bytes: auth_info.encode_to_vec(),
        signatures: vec![signature.encode_to_vec()],
    }
    .encode_to_vec()
}

fn account(chain: &Chain) -> BaseAccount {
    let request = QueryAccountRequest {
        address: ADDRESS.into(),
    };
    let found: QueryAccountResponse = chain.query("/cosmos.auth.v1beta1.Query/Account", &request);
    BaseAccount::decode(&found.account.unwrap().value[..]).unwrap()
}

/// A chain on which the account has money.
fn chain_with(params: Params) -> (Chain, Multi) {
    let mut chain = Chain::with_params(params, 1, 5);
    let transfer = send(&chain.user, ADDRESS, AMOUNT);
    let tx = chain.user.sign(vec![transfer]);
    assert_eq!(chain.block(&[tx])[0].code, 0);
    let multi = Multi {
        number: account(&chain).account_number,
        ..Multi::new()
    };
    (chain, multi)
}

fn code_of(chain: &Chain, tx: &[u8]) -> (Code, String) {
    match chain.app.check_tx(tx, Signatures::Verify) {
        Err(Error::Rejected { code, log }) => (code, log),
        other => panic!("expected a rejection, got {other:?}"),
    }
}

#[test]
fn enough_of_the_keys_sign_for_an_account() {
    let (mut chain, mut multi) = chain_with(params());
    let to = chain.inference[0].address.clone();
    let before = chain.balance(&to);
    for (signers, byte) in [(vec![0, 2], 0b1010_0000), (vec![0, 1, 2], 0b1110_0000)] {
        multi.signers = signers;
        multi.bits = bits(3, &[byte]);
        let tx = encode(multi.transfer(&to));
        chain.app.check_tx(&tx, Signatures::Verify).unwrap();
        let result = chain.proposed_block(&[tx]).remove(0);
        assert_eq!(result.code, 0, "{}", result.log);
        multi.sequence += 1;
    }
    assert_eq!(chain.balance(&to), before + 10);
    let stored = account(&chain);
    assert_eq!(stored.sequence, 2);
    assert_eq!(stored.pub_key, Some(any(&multi.public_key())));
    let paid = u128::from(AMOUNT) - 10 - 2 * u128::from(GAS / 100);
    assert_eq!(chain.balance(ADDRESS), paid);
}

#[test]
fn every_signature_costs_gas() {
    let (chain, mut multi) = chain_with(params());
    let to = chain.inference[0].address.clone();
    let gas = |multi: &Multi| {
        let tx = encode(multi.transfer(&to));
        let gas = chain.app.check_tx(&tx, Signatures::Verify).unwrap();
        gas.used - 10 * i64::try_from(tx.len()).unwrap()
    };
    let two = gas(&multi);
    multi.sequence += 1;
    multi.signers = vec![0, 1, 2];
    multi.bits = bits(3, &[0b1110_0000]);
    assert_eq!(gas(&multi), two + 10_000);
}

#[test]
fn an_authority_may_be_several_keys() {
    let (mut chain, multi) = chain_with(Params {
        authority: ADDRESS.into(),
        ..params()
    });
    let message = MsgUpdateParams {
        authority: ADDRESS.into(),
        params: None,
    };
    let document =
        format!(r#"{{"type":"poq/MsgUpdateParams","value":{{"authority":"{ADDRESS}"}}}}"#);
    let tx = encode(multi.raw(any(&message), &multi.document(&document)));
    // Signed by the authority, so the missing parameters are the reason of the refusal.
    let result = chain.block(&[tx]).remove(0);
    assert_eq!(result.code, code::INVALID_REQUEST.number, "{}", result.log);
}

/// A change and the code that it must result in.
type Case = (&'static str, fn(&mut Multi), Code);

#[test]
fn wrong_multisignatures_are_refused() {
    let (chain, multi) = chain_with(params());
    let to = chain.inference[0].address.clone();
    let cases: [Case; 13] = [
        ("another number", |m| m.number += 1, code::UNAUTHORIZED),
        (
            "another sequence",
            |m| m.sequence += 1,
            code::WRONG_SEQUENCE,
        ),
        (
            "too few",
            |m| {
                m.signers.pop();
                m.bits = bits(3, &[0b1000_0000]);
            },
            code::UNAUTHORIZED,
        ),
        (
            "a missing signature",
            |m| {
                m.signers.pop();
            },
            code::UNAUTHORIZED,
        ),
        (
            "signatures of others than named",
            |m| m.bits = bits(3, &[0b1100_0000]),
            code::UNAUTHORIZED,
        ),
        (
            "in another order",
            |m| m.signers.reverse(),
            code::UNAUTHORIZED,
        ),
        (
            "more bits than keys",
            |m| m.bits = bits(3, &[0b1011_0000]),
            code::UNAUTHORIZED,
        ),
        (
            "fewer bits than keys",
            |m| m.bits = bits(2, &[0b1010_0000]),
            code::UNAUTHORIZED,
        ),
        (
            "too many bytes",
            |m| m.bits = bits(3, &[0b1010_0000, 0]),
            code::UNAUTHORIZED,
        ),
        (
            "another threshold",
            |m| m.threshold = 1,
            code::INVALID_PUBKEY,
        ),
        (
            "a threshold of nothing",
            |m| m.threshold = 0,
            code::INVALID_PUBKEY,
        ),
        (
            "a threshold above the keys",
            |m| m.threshold = 4,
            code::INVALID_PUBKEY,
        ),
        (
            "a key twice",
            |m| m.keys[1] = m.keys[0].clone(),
            code::INVALID_PUBKEY,
        ),
    ];
    for (what, change, expected) in cases {
        let mut multi = multi.clone();
        change(&mut multi);
        let (code, log) = code_of(&chain, &encode(multi.transfer(&to)));
        assert_eq!(code, expected, "{what}: {log}");
    }
    let many = LegacyAminoPubKey {
        threshold: 1,
        public_keys: (1..=17)
            .map(|seed| {
                any(&PubKey {
                    key: vec![seed; 33],
                })
            })
            .collect(),
    };
    let nested = LegacyAminoPubKey {
        threshold: 1,
        public_keys: vec![any(&multi.public_key())],
    };
    for key in [many, nested, LegacyAminoPubKey::default()] {
        let (body, mut auth_info, signature) = multi.transfer(&to);
        auth_info.signer_infos[0].public_key = Some(any(&key));
        let (code, log) = code_of(&chain, &encode((body, auth_info, signature)));
        assert_eq!(code, code::INVALID_PUBKEY, "{log}");
    }
}

/// Each unsigned part of a signer's information has only one valid form.
#[test]
fn nobody_gives_a_multisignature_another_form() {
    let (chain, multi) = chain_with(params());
    let to = chain.inference[0].address.clone();
    let refused = |change: fn(&mut SignerInfo, &mut MultiSignature), expected: Code| {
        let (body, mut auth_info, mut signature) = multi.transfer(&to);
        change(&mut auth_info.signer_infos[0], &mut signature);
        let (code, log) = code_of(&chain, &encode((body, auth_info, signature)));
        assert_eq!(code, expected, "{log}");
    };
    let direct: fn(&mut SignerInfo, &mut MultiSignature) = |info, _| {
        let direct = mode_info::Single {
            mode: SignMode::Direct.into(),
        };
        if let Some(mode_info::Sum::Multi(multi)) = info.mode_info.as_mut().unwrap().sum.as_mut() {
            multi.mode_infos[1].sum = Some(mode_info::Sum::Single(direct));
        }
    };
    refused(direct, code::UNAUTHORIZED);
    refused(|info, _| info.public_key = None, code::INVALID_PUBKEY);
    refused(|info, _| info.mode_info = None, code::UNAUTHORIZED);
    refused(
        |_, signature| signature.signatures.push(vec![0; 64]),
        code::UNAUTHORIZED,
    );
    refused(
        |_, signature| signature.signatures[1][63] ^= 1,
        code::UNAUTHORIZED,
    );
    // Unknown bytes after the signatures.
    let (body, auth_info, signature) = multi.transfer(&to);
    let raw = TxRaw {
        body_bytes: body.encode_to_vec(),
        auth_info_bytes: auth_info.encode_to_vec(),
        signatures: vec![[signature.encode_to_vec(), vec![0x10, 1]].concat()],
    };
    assert_eq!(code_of(&chain, &raw.encode_to_vec()).0, code::TX_DECODE);
}
