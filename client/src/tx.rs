//! Builds and signs transactions: `cosmos.tx.v1beta1.TxRaw`, SIGN_MODE_DIRECT, one signer.

mod json;

use std::ops::RangeInclusive;

use cosmos_sdk_proto::cosmos::base::abci::v1beta1::TxMsgData;
use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
use cosmos_sdk_proto::cosmos::crypto::secp256k1::PubKey;
use cosmos_sdk_proto::cosmos::tx::signing::v1beta1::SignMode;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{
    AuthInfo, Fee, ModeInfo, SignDoc, SignerInfo, TxBody, TxRaw, mode_info,
};
use prost::{Message, Name};
use tendermint::block::Height;

use crate::key::COMPRESSED;
use crate::multisig::{Multisig, PartialSignature};
use crate::{Any, Error, Key, Result};

pub use cosmos_sdk_proto::cosmos::tx::v1beta1::Tx;
pub use json::{
    from_json, message_from_json, message_to_json, signatures_from_json, signatures_to_json,
    snake_case, to_json,
};

/// Allowed ratio of a gas limit to the simulated gas; a larger one is probably a mistake.
pub const GAS_ADJUSTMENT: RangeInclusive<f64> = 1.0..=100.0;

/// Gas limit and fee of a simulated transaction. They affect only its length.
const PLACEHOLDER_GAS: u64 = 1_000_000_000;
const PLACEHOLDER_FEE: u128 = 1_000_000_000_000;
/// Length of a signature.
pub(crate) const SIGNATURE_BYTES: usize = 64;

/// The content of a transaction without its signer.
#[derive(Clone, Debug, PartialEq)]
pub struct Unsigned {
    /// Executed in order, all or none.
    pub messages: Vec<Any>,
    /// Most gas that the transaction may use.
    pub gas_limit: u64,
    /// Denom and amount in base units; `None` for a fee-free transaction.
    pub fee: Option<(String, u128)>,
    /// Free text; stored in the block.
    pub memo: String,
    /// Last height whose block may include the transaction; 0 means no limit.
    pub timeout_height: u64,
}

/// What binds a signature to a chain, an account and one of its transactions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Signer {
    /// The chain's id.
    pub chain_id: String,
    /// From [`crate::Account`].
    pub account_number: u64,
    /// From [`crate::Account`].
    pub sequence: u64,
}

/// Packs a message with its type URL, for example `/poq.v1.MsgSubmitTask`.
pub fn any<M: Message + Name>(message: &M) -> Any {
    Any {
        type_url: format!("/{}", M::full_name()),
        value: message.encode_to_vec(),
    }
}

/// Signs a transaction and returns the bytes to broadcast.
pub fn sign(unsigned: &Unsigned, signer: &Signer, key: &Key) -> Result<Vec<u8>> {
    Ok(encode(&sign_tx(unsigned.to_tx()?, signer, key)?))
}

/// Signs a transaction, replacing any signatures.
pub fn sign_tx(tx: Tx, signer: &Signer, key: &Key) -> Result<Tx> {
    let mut tx = claim(tx, key.public_key(), signer.sequence);
    let document = SignDoc {
        body_bytes: tx.body.encoded(),
        auth_info_bytes: tx.auth_info.encoded(),
        chain_id: signer.chain_id.clone(),
        account_number: signer.account_number,
    };
    tx.signatures = vec![key.sign(&document.encode_to_vec())?];
    Ok(tx)
}

/// Signs a transaction's amino JSON with one key of a multisignature account that is at `sequence`.
pub fn sign_amino(document: &[u8], sequence: u64, key: &Key) -> Result<PartialSignature> {
    Ok(PartialSignature {
        public_key: key.public_key(),
        signature: key.sign(document)?,
        sequence,
    })
}

/// The bytes of a transaction for a simulation. It accepts any signature and fee; these are at
/// least as long as in the real transaction, because bytes cost gas. `public_key` may be empty if
/// the chain knows it.
pub fn simulated(
    unsigned: &Unsigned,
    denom: &str,
    public_key: Vec<u8>,
    sequence: u64,
) -> Result<Vec<u8>> {
    let unsigned = Unsigned {
        gas_limit: PLACEHOLDER_GAS,
        fee: Some((denom.to_owned(), PLACEHOLDER_FEE)),
        ..unsigned.clone()
    };
    let mut tx = unsigned.to_tx()?;
    if public_key.len() > COMPRESSED {
        Multisig::decode(&public_key)?.simulate(&mut tx, sequence);
    } else {
        tx = claim(tx, public_key, sequence);
        tx.signatures = vec![vec![0; SIGNATURE_BYTES]];
    }
    Ok(encode(&tx))
}

/// The gas limit for the gas that a simulation used.
///
/// # Errors
/// [`Error::InvalidTx`] if the factor is not in [`GAS_ADJUSTMENT`].
pub fn adjusted(gas_used: u64, factor: f64) -> Result<u64> {
    if !GAS_ADJUSTMENT.contains(&factor) {
        return Err(Error::InvalidTx(format!(
            "the gas adjustment {factor} is not between {} and {}",
            GAS_ADJUSTMENT.start(),
            GAS_ADJUSTMENT.end()
        )));
    }
    Ok((gas_used as f64 * factor).ceil() as u64)
}

/// The bytes to broadcast.
pub fn encode(tx: &Tx) -> Vec<u8> {
    TxRaw {
        body_bytes: tx.body.encoded(),
        auth_info_bytes: tx.auth_info.encoded(),
        signatures: tx.signatures.clone(),
    }
    .encode_to_vec()
}

/// Decodes a transaction. The bytes must be exactly what [`encode`] returns for it: the chain
/// accepts nothing else, and the signature covers the bytes.
pub fn decode(bytes: &[u8]) -> Result<Tx> {
    let tx = Tx::decode(bytes)
        .map_err(|error| Error::InvalidTx(format!("the bytes are not a transaction: {error}")))?;
    if encode(&tx) != bytes {
        return Err(Error::InvalidTx(
            "the bytes are not the canonical encoding of a transaction".into(),
        ));
    }
    Ok(tx)
}

/// The responses to a transaction's messages, in order, from [`crate::TxOutcome::data`].
pub fn responses(data: &[u8]) -> Result<Vec<Any>> {
    TxMsgData::decode(data)
        .map(|data| data.msg_responses)
        .map_err(|error| Error::Decode {
            what: "a transaction's data".into(),
            reason: error.to_string(),
        })
}

impl Unsigned {
    /// The transaction without signer and signature.
    ///
    /// # Errors
    /// [`Error::InvalidTx`] if the chain would refuse it.
    pub fn to_tx(&self) -> Result<Tx> {
        Height::try_from(self.timeout_height)
            .map_err(|error| Error::InvalidTx(format!("the timeout height: {error}")))?;
        let amount = self.fee.iter().map(|(denom, amount)| Coin {
            denom: denom.clone(),
            amount: amount.to_string(),
        });
        Ok(Tx {
            body: Some(TxBody {
                messages: self.messages.clone(),
                memo: self.memo.clone(),
                timeout_height: self.timeout_height,
                ..TxBody::default()
            }),
            auth_info: Some(AuthInfo {
                fee: Some(Fee {
                    amount: amount.collect(),
                    gas_limit: self.gas_limit,
                    ..Fee::default()
                }),
                ..AuthInfo::default()
            }),
            signatures: Vec::new(),
        })
    }
}

/// Sets the only signer of a transaction.
fn claim(mut tx: Tx, public_key: Vec<u8>, sequence: u64) -> Tx {
    let public_key = match public_key.is_empty() {
        true => None,
        false => Some(any(&PubKey { key: public_key })),
    };
    let single = mode_info::Single {
        mode: SignMode::Direct.into(),
    };
    let info = SignerInfo {
        public_key,
        mode_info: Some(ModeInfo {
            sum: Some(mode_info::Sum::Single(single)),
        }),
        sequence,
    };
    tx.auth_info.get_or_insert_default().signer_infos = vec![info];
    tx
}

/// The encoding of an optional part.
trait Encoded {
    fn encoded(&self) -> Vec<u8>;
}

impl<M: Message> Encoded for Option<M> {
    fn encoded(&self) -> Vec<u8> {
        self.as_ref().map(M::encode_to_vec).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use cosmos_sdk_proto::cosmos::bank::v1beta1::MsgSend;

    use super::*;
    use crate::Mnemonic;

    /// Inputs of the SIGN_MODE_DIRECT test vectors of CosmJS (`packages/proto-signing`).
    fn transfer() -> (Unsigned, Key) {
        let mnemonic = "economy stock theory fatal elder harbor betray wasp final emotion task \
                        crumble siren bottom lizard educate guess current outdoor pair theory \
                        focus wife stone";
        let key = Key::from_mnemonic(&Mnemonic::parse(mnemonic).unwrap()).unwrap();
        let message = MsgSend {
            from_address: key.address("cosmos").unwrap(),
            to_address: "cosmos1qypqxpq9qcrsszg2pvxq6rs0zqg3yyc5lzv7xu".into(),
            amount: vec![Coin {
                denom: "ucosm".into(),
                amount: "1234567".into(),
            }],
        };
        let unsigned = Unsigned {
            messages: vec![any(&message)],
            gas_limit: 200_000,
            fee: Some(("ucosm".into(), 2000)),
            memo: String::new(),
            timeout_height: 0,
        };
        (unsigned, key)
    }

    fn signed(sequence: u64) -> String {
        let (unsigned, key) = transfer();
        let signer = Signer {
            chain_id: "simd-testing".into(),
            account_number: 1,
            sequence,
        };
        hex::encode(sign(&unsigned, &signer, &key).unwrap())
    }

    #[test]
    fn cosmjs_test_vectors() {
        let body = "0a93010a90010a1c2f636f736d6f732e62616e6b2e763162657461312e4d736753656e6412700a2d\
            636f736d6f7331706b707472653766646b6c366766727a6c65736a6a766878686c63337234676d6d6b3872\
            7336122d636f736d6f7331717970717870713971637273737a673270767871367273307a71673379796335\
            6c7a763778751a100a0575636f736d120731323334353637";
        let public_key = "0a460a1f2f636f736d6f732e63727970746f2e736563703235366b312e5075624b657912230a\
            21034f04181eeba35391b858633a765c4a0c189697b40d216354d50890d350c70290";
        let fee = "12130a0d0a0575636f736d12043230303010c09a0c";
        assert_eq!(
            signed(0),
            format!(
                "{body}12650a4e{public_key}12040a020801{fee}1a40c9dd20e07464d3a688ff4b710b1fbc02\
                7e495e797cfa0b4804da2ed117959227772de059808f765aa29b8f92edf30f4c2c5a438e30d3fe68\
                97daa7141e3ce6f9"
            )
        );
        assert_eq!(
            signed(1),
            format!(
                "{body}12670a50{public_key}12040a0208011801{fee}1a40525adc7e61565a509c60497b798c\
                549fbf217bb5cd31b24cc9b419d098cc95330c99ecc4bc72448f85c365a4e3f91299a3d40412fb37\
                51bab82f1940a83a0a4c"
            )
        );
    }

    #[test]
    fn bytes_are_read_back_only_if_canonical() {
        let (unsigned, key) = transfer();
        let signer = Signer {
            chain_id: "simd-testing".into(),
            account_number: 1,
            sequence: 1,
        };
        let bytes = sign(&unsigned, &signer, &key).unwrap();
        assert_eq!(encode(&decode(&bytes).unwrap()), bytes);
        // An unknown field.
        let longer = [bytes.as_slice(), &[0x20, 1]].concat();
        assert!(decode(&longer).is_err());
        assert!(decode(&bytes[1..]).is_err());
    }

    #[test]
    fn a_simulated_transaction_is_not_shorter_than_the_signed_one() {
        let (unsigned, key) = transfer();
        let signer = Signer {
            chain_id: "simd-testing".into(),
            account_number: 1,
            sequence: 7,
        };
        let signed = sign(&unsigned, &signer, &key).unwrap();
        let simulated = simulated(&unsigned, "ucosm", key.public_key(), 7).unwrap();
        assert!((signed.len()..signed.len() + 20).contains(&simulated.len()));
    }

    #[test]
    fn gas_limits_are_adjusted_within_reason() {
        assert_eq!(adjusted(10, 1.0).unwrap(), 10);
        assert_eq!(adjusted(11, 1.3).unwrap(), 15);
        for factor in [0.9, 101.0, f64::NAN] {
            assert!(adjusted(10, factor).is_err(), "{factor}");
        }
    }

    #[test]
    fn what_cannot_be_encoded_is_refused() {
        let (mut unsigned, key) = transfer();
        let signer = Signer {
            chain_id: "simd-testing".into(),
            account_number: 1,
            sequence: 0,
        };
        unsigned.timeout_height = u64::MAX;
        let error = sign(&unsigned, &signer, &key).unwrap_err();
        assert!(matches!(error, Error::InvalidTx(_)), "{error}");
    }

    #[test]
    fn type_urls() {
        let message = poq_proto::v1::MsgCommitScores::default();
        assert_eq!(any(&message).type_url, "/poq.v1.MsgCommitScores");
    }
}
