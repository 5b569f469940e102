//! Keys, and transactions that a test may change.

use cosmos_sdk_proto::cosmos::crypto::secp256k1::PubKey;
use cosmos_sdk_proto::cosmos::tx::signing::v1beta1::SignMode;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{
    AuthInfo, Fee, ModeInfo, SignDoc, SignerInfo, TxBody, TxRaw, mode_info,
};
use k256::ecdsa::signature::Signer;
use k256::ecdsa::{Signature, SigningKey};
use poq_app::Address;
use prost::{Message, Name as _};
use tendermint_proto::google::protobuf::Any;

use super::{CHAIN_ID, GAS, coin};

/// A key with the sequence of its next transaction.
#[derive(Clone)]
pub(crate) struct Wallet {
    pub key: SigningKey,
    pub address: String,
    pub sequence: u64,
    pub number: u64,
}

impl Wallet {
    pub(crate) fn new(seed: u8, number: u64) -> Self {
        Self::from_secret([seed; 32], number)
    }

    pub(crate) fn from_secret(secret: [u8; 32], number: u64) -> Self {
        let key = SigningKey::from_slice(&secret).unwrap();
        let public = key.verifying_key().to_encoded_point(true);
        let address = Address::from_public_key(public.as_bytes(), "poq").unwrap();
        Self {
            key,
            address: address.to_string(),
            sequence: 0,
            number,
        }
    }

    /// 32 bytes in place of an Ed25519 key; the application never verifies with it.
    pub(crate) fn consensus_key(&self) -> Vec<u8> {
        let public = self.key.verifying_key().to_encoded_point(true);
        public.as_bytes()[1..].to_vec()
    }

    /// Signs with the next sequence and counts it.
    pub(crate) fn sign(&mut self, messages: Vec<Any>) -> Vec<u8> {
        let tx = Draft::new(self, messages).sign(self);
        self.sequence += 1;
        tx
    }
}

/// The parts of a transaction that a test may change.
pub(crate) struct Draft {
    pub body: TxBody,
    pub auth_info: AuthInfo,
    pub chain_id: String,
    pub number: u64,
}

impl Draft {
    pub(crate) fn new(wallet: &Wallet, messages: Vec<Any>) -> Self {
        let public = wallet.key.verifying_key().to_encoded_point(true);
        let mode = mode_info::Single {
            mode: SignMode::Direct.into(),
        };
        Self {
            body: TxBody {
                messages,
                ..TxBody::default()
            },
            auth_info: AuthInfo {
                signer_infos: vec![SignerInfo {
                    public_key: Some(Any {
                        type_url: PubKey::type_url(),
                        value: PubKey {
                            key: public.as_bytes().to_vec(),
                        }
                        .encode_to_vec(),
                    }),
                    mode_info: Some(ModeInfo {
                        sum: Some(mode_info::Sum::Single(mode)),
                    }),
                    sequence: wallet.sequence,
                }],
                fee: Some(Fee {
                    amount: vec![coin(GAS / 100)],
                    gas_limit: GAS,
                    ..Fee::default()
                }),
                ..AuthInfo::default()
            },
            chain_id: CHAIN_ID.into(),
            number: wallet.number,
        }
    }

    pub(crate) fn free(mut self) -> Self {
        if let Some(fee) = &mut self.auth_info.fee {
            fee.amount.clear();
        }
        self
    }

    /// Declares another sign mode; the signed document stays the protobuf one.
    pub(crate) fn mode(mut self, mode: SignMode) -> Self {
        let single = mode_info::Single { mode: mode.into() };
        self.auth_info.signer_infos[0].mode_info = Some(ModeInfo {
            sum: Some(mode_info::Sum::Single(single)),
        });
        self
    }

    pub(crate) fn sign(&self, wallet: &Wallet) -> Vec<u8> {
        let (body_bytes, auth_info_bytes) =
            (self.body.encode_to_vec(), self.auth_info.encode_to_vec());
        let document = SignDoc {
            body_bytes: body_bytes.clone(),
            auth_info_bytes: auth_info_bytes.clone(),
            chain_id: self.chain_id.clone(),
            account_number: self.number,
        };
        let signature: Signature = wallet.key.sign(&document.encode_to_vec());
        TxRaw {
            body_bytes,
            auth_info_bytes,
            signatures: vec![signature.to_bytes().to_vec()],
        }
        .encode_to_vec()
    }
}
